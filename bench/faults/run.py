"""One run: the service under load, its faults in an order of the seed, and the account at the end."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil
import psycopg2

from bench.faults.books import by_shape, reconcile, share_out_doubts
from bench.faults.fault import Fault
from bench.faults.load import Client, until
from bench.faults.outcome import Injury, Outcome, Plan
from bench.faults.scene import Scene
from bench.stack import Stack

_DRAIN_SECONDS = 180.0
_SETTLE_SECONDS = 17.0  # a lease and a sweep: what the dead left behind is judged by then
_QUIET_SECONDS = 3.0
_IMPATIENT = {"MAILMUX_PROVIDER_READ_SECONDS": "8", "MAILMUX_PROVIDER_TOTAL_SECONDS": "12"}


@dataclass(slots=True)
class State:
    """How far a run is."""

    doing: str = "starting the service"
    accepted: int = 0
    received: int = 0
    done: int = 0


Tell = Callable[[State], None]


def run(plan: Plan, tell: Tell, folder: Path | None = None) -> Outcome:
    """Start a service of its own in `folder` (default: a temporary one), break it, and account for every email."""
    home = folder or Path(tempfile.mkdtemp(prefix="mailmux-faults-"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)
    stack = Stack(home / "data", environ=_IMPATIENT)
    began = time.monotonic()
    state = State()
    tell(state)
    try:
        stack.start()
        return _under_load(plan, stack, home, state, tell, began)
    finally:
        stack.end()
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


def _under_load(plan: Plan, stack: Stack, home: Path, state: State, tell: Tell, began: float) -> Outcome:
    faults = plan.faults()
    # Half of the emails come steadily, the other half at once where a fault strikes.
    expected = _QUIET_SECONDS + sum(f.seconds for f in faults)
    rate = max(5.0, plan.emails / 2 / expected)
    client = Client(
        stack.ready["api_url"], stack.ready["api_key"], home / "accepted.jsonl", plan.emails, rate, plan.seed,
        plan.shapes,
    )  # fmt: skip
    scene = Scene(stack, client, Random(plan.seed), plan.still)
    injuries: list[Injury] = []
    client.set_up()
    with _telling(scene, state, tell):
        client.start()
        time.sleep(_QUIET_SECONDS)
        quiet = client.slowest(0, time.monotonic())
        for place, fault in enumerate(faults):
            if time.monotonic() - began > plan.minutes * 60:
                break
            state.doing, state.done = fault.says, place
            share = plan.emails / len(faults)
            client.portion(round(share * (place + 0.5)), round(share * (place + 1)))
            injuries.append(_injure(scene, fault))
        state.doing, state.done = "sending the rest", len(injuries)
        client.finish(_DRAIN_SECONDS)
        state.doing = "waiting until all is at rest"
        scene.ledger.finish(_SETTLE_SECONDS * 2)
        time.sleep(_SETTLE_SECONDS)
        until(lambda: scene.ledger.backlog() == 0, _DRAIN_SECONDS, 0.5)
    books = scene.books()
    unknown = share_out_doubts(books.attempts, [i.wall for i in injuries], [i.allowed for i in injuries])
    for injury, doubts in zip(injuries, unknown, strict=True):
        injury.unknown = doubts
        injury.accept_p99_ms = client.slowest(injury.began, injury.ended)
    return Outcome(
        plan=plan,
        seconds=time.monotonic() - began,
        verdict=reconcile(books),
        unknown_bound=scene.doubts,
        backlog=scene.ledger.backlog(),
        injuries=injuries,
        orphans=scene.ledger.orphans,
        refused=client.refused,
        unanswered=client.unanswered,
        skipped=len(faults) - len(injuries),
        quiet_p99_ms=quiet,
        contents=by_shape(books),
    )


def _injure(scene: Scene, fault: Fault) -> Injury:
    """Inject once and see that emails go through again. What goes wrong in that is part of the account."""
    injury = Injury(fault.name, time.monotonic(), time.time())
    before = scene.doubts
    try:
        fault.inject(scene)
    except (RuntimeError, OSError, psutil.Error, psycopg2.Error) as error:
        injury.errors.append(str(error) or type(error).__name__)
    try:
        injury.recovery = scene.recovered()
        scene.all_back()
    except RuntimeError as error:
        injury.errors.append(str(error))
    injury.ended = time.monotonic()
    injury.allowed = scene.doubts - before
    return injury


@contextmanager
def _telling(scene: Scene, state: State, tell: Tell) -> Iterator[None]:
    """Tell how far it is, twice a second."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.5):
            state.accepted, state.received = len(scene.client.accepted), scene.count_received()
            tell(state)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
