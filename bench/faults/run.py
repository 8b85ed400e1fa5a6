"""One run: the service under load, its faults in an order of the seed, and the account at the end."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil

from bench.faults.acts import FAULTS
from bench.faults.books import Verdict, reconcile
from bench.faults.fault import Fault
from bench.faults.load import Client, until
from bench.faults.scene import Scene
from bench.stack import Stack

_DRAIN_SECONDS = 180.0
_SETTLE_SECONDS = 17.0  # a lease and a sweep: what the dead left behind is judged by then


@dataclass(frozen=True, slots=True)
class Plan:
    """`kills`: how often each fault that kills is repeated; `rounds`: all others; `minutes`: no fault begins later."""

    emails: int = 2000
    minutes: float = 30.0
    kills: int = 1
    rounds: int = 1
    seed: int = 1
    only: Sequence[str] = ()

    def faults(self) -> list[Fault]:
        chosen = [f for f in FAULTS if not self.only or f.name in self.only]
        order = [f for f in chosen for _ in range(self.kills if f.kill else self.rounds)]
        Random(self.seed).shuffle(order)
        return order


@dataclass(slots=True)
class Injury:
    """One fault, once. `error`: what did not happen that should have; `recovery` in seconds."""

    name: str
    began: float
    ended: float = 0.0
    recovery: float | None = None
    error: str = ""


@dataclass(slots=True)
class Outcome:
    plan: Plan
    seconds: float
    verdict: Verdict
    unknown_bound: int
    backlog: int
    injuries: list[Injury]
    refused: list[str]
    slowest: dict[str, float | None] = field(default_factory=dict)
    quiet_p99: float | None = None

    @property
    def complaints(self) -> list[str]:
        """Everything that must not be; empty where the run holds."""
        v = self.verdict
        found = [
            f"{len(ids)} {what}: {', '.join(ids[:10])}"
            for what, ids in {
                "lost": v.lost,
                "unexplained duplicates": v.unexplained,
                "phantoms": v.phantoms,
                "not at rest": v.moving,
                "refused by the API": self.refused,
            }.items()
            if ids
        ]
        if len(v.unknown) > self.unknown_bound:
            found.append(f"{len(v.unknown)} unknown, where at most {self.unknown_bound} can be")
        if self.backlog:
            found.append(f"{self.backlog} emails still move")
        return found + [f"{i.name}: {i.error}" for i in self.injuries if i.error]

    def as_json(self) -> dict[str, Any]:
        by_name: dict[str, list[Injury]] = defaultdict(list)
        for injury in self.injuries:
            by_name[injury.name].append(injury)
        return {
            "holds": not self.complaints,
            "complaints": self.complaints,
            "seed": self.plan.seed,
            "emails": self.plan.emails,
            "seconds": round(self.seconds, 1),
            "machine": f"{psutil.cpu_count()} × {platform.machine()}, Python {platform.python_version()}",
            "total": {**self.verdict.counts(), "unknown_bound": self.unknown_bound},
            "accept_p99_ms": _rounded(self.quiet_p99),
            "faults": [
                {
                    "name": name,
                    "injections": len(injuries),
                    "recovery_seconds_median": _rounded(_middle([i.recovery for i in injuries])),
                    "recovery_seconds_max": _rounded(max([i.recovery or 0.0 for i in injuries])),
                    "accept_p99_ms": _rounded(self.slowest.get(name)),
                    "errors": [i.error for i in injuries if i.error],
                }
                for name, injuries in by_name.items()
            ],
        }


Tell = Callable[[str, int, int], None]  # what goes on, emails accepted, faults done


def run(plan: Plan, tell: Tell, folder: Path | None = None) -> Outcome:
    """Start a service of its own in `folder` (default: a temporary one), break it, and account for every email."""
    home = folder or Path(tempfile.mkdtemp(prefix="mailmux-faults-"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)
    stack = Stack(
        home / "data", environ={"MAILMUX_PROVIDER_READ_SECONDS": "8", "MAILMUX_PROVIDER_TOTAL_SECONDS": "12"}
    )
    began = time.monotonic()
    tell("starting the service", 0, 0)
    try:
        stack.start()
        return _under_load(plan, stack, home, tell, began)
    finally:
        stack.end()
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


def _under_load(plan: Plan, stack: Stack, home: Path, tell: Tell, began: float) -> Outcome:
    faults = plan.faults()
    expected = min(plan.minutes * 60, sum(f.seconds for f in faults) or 1.0)
    client = Client(
        stack.ready["api_url"],
        stack.ready["api_key"],
        home / "accepted.jsonl",
        plan.emails,
        max(5.0, plan.emails / expected),
        plan.seed,
    )
    scene = Scene(stack, client, Random(plan.seed))
    client.start()
    time.sleep(2)
    quiet = client.slowest(0, time.monotonic())
    injuries: list[Injury] = []
    for fault in faults:
        if time.monotonic() - began > plan.minutes * 60:
            break
        tell(fault.says, len(client.accepted), len(injuries))
        injuries.append(_injure(scene, fault))
    tell("sending the rest", len(client.accepted), len(injuries))
    client.finish(_DRAIN_SECONDS)
    tell("waiting until all is at rest", len(client.accepted), len(injuries))
    time.sleep(_SETTLE_SECONDS)
    until(lambda: scene.backlog() == 0, _DRAIN_SECONDS, 0.5)
    slowest = {
        name: max(
            (p for i in injuries if i.name == name and (p := client.slowest(i.began, i.ended)) is not None),
            default=None,
        )
        for name in {i.name for i in injuries}
    }
    return Outcome(
        plan,
        time.monotonic() - began,
        reconcile(scene.books()),
        scene.doubts,
        scene.backlog(),
        injuries,
        client.refused,
        slowest,
        quiet,
    )


def _injure(scene: Scene, fault: Fault) -> Injury:
    """Inject once and see that emails go through again. What goes wrong in that is part of the account."""
    injury = Injury(fault.name, time.monotonic())
    try:
        fault.inject(scene)
        injury.ended = time.monotonic()
        injury.recovery = scene.recovered()
    except (RuntimeError, OSError, psutil.Error) as error:
        injury.error = str(error)
        injury.ended = injury.ended or time.monotonic()
    return injury


def _middle(values: Sequence[float | None]) -> float | None:
    found = sorted(v for v in values if v is not None)
    return found[len(found) // 2] if found else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
