"""Memory that runs out: in Redis, and in the processes that send."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator

import psutil
import redis

from bench.faults.fault import Fault
from bench.faults.load import an_email, until
from bench.faults.scene import WORKERS, Scene, in_doubt

_SPARE = (
    24 << 20
)  # bytes that a worker's child may still take: enough for small emails, too little for the poison
_POISON = 9 << 20  # bytes of the body that is too much
_PATIENCE = 180.0  # a run that broke off holds its claims until its lease has passed, six times


def fill_redis(scene: Scene) -> None:
    """Redis refuses whatever would take memory (noeviction)."""
    with redis.Redis.from_url(scene.redis_url) as live:
        live.config_set("maxmemory-policy", "noeviction")
        live.config_set("maxmemory", 1)
        try:
            time.sleep(scene.still)  # the fault's own length
        finally:
            live.config_set("maxmemory", 0)
    scene.relieve()


def poison(scene: Scene) -> None:
    """An email that no worker has the memory for, among others: they go out, and it is given up after some tries."""
    number = f"m{scene.chance.getrandbits(48)}"
    line = f"This is {number}.\n"
    email = an_email(number, subject="Heavy", text=line * (_POISON // len(line)))
    scene.doubts += in_doubt(*WORKERS)  # children may end over it
    with _Starvation(scene) as starvation:
        answer = scene.api("POST", "/v1/emails", email)
        if answer.status_code != 202:
            raise RuntimeError(f"the email was refused: {answer.status_code} {answer.text[:200]}")
        scene.client.accepted[number].append(answer.json()["id"])

        def given_up() -> bool:
            starvation.spread()
            return _fate(scene, answer.json()["id"])[0] in {"failed", "unknown"}

        ended = until(given_up, _PATIENCE)
        scene.relieve()
        scene.recovered()  # others pass while memory is short
    if not ended:
        raise RuntimeError(f"the email was not given up: {_fate(scene, answer.json()['id'])}")


class _Starvation(contextlib.AbstractContextManager["_Starvation"]):
    """No worker's child may take much more memory than it has; at the end they may again."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._before: dict[psutil.Process, tuple[int, int]] = {}

    def __enter__(self) -> _Starvation:
        self.spread()
        return self

    def spread(self) -> None:
        """To the children that came meanwhile too."""
        for child in self._children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child not in self._before:
                    self._before[child] = child.rlimit(resource.RLIMIT_DATA)
                    child.rlimit(
                        resource.RLIMIT_DATA, (child.memory_info().data + _SPARE, self._before[child][1])
                    )

    def __exit__(self, *_: object) -> None:
        for child, limits in self._before.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.rlimit(resource.RLIMIT_DATA, limits)

    def _children(self) -> Iterator[psutil.Process]:
        for name in WORKERS:
            with contextlib.suppress(psutil.NoSuchProcess):
                yield from self._scene.stack.program(name).children()


def _fate(scene: Scene, email_id: str) -> tuple[str, str | None]:
    [(status, reason)] = scene.ledger.query(
        "SELECT status, status_reason FROM email_jobs WHERE id = %s", email_id
    )
    return status, reason


FAULTS = (
    Fault("fill-redis", "Redis out of memory", fill_redis, 12),
    Fault("poison", "an email that no worker has the memory for", poison, 120),
)
