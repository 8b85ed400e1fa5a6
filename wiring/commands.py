"""What the service's programs are called with, on one machine and in containers alike (a test compares the two)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from domain.message import Lane
from workers.queue import SLOW_QUEUE, UPKEEP_QUEUE

TRANSACTIONAL: Final = ("transactional", (Lane.TRANSACTIONAL.value, UPKEEP_QUEUE))
"""The worker that an OTP never waits for, with its queues. What it takes of upkeep is done in a moment, and campaigns
must not hold it up; what asks others, or works for long, is the other's."""
ALL_LANES: Final = ("all-lanes", (*(lane.value for lane in Lane), UPKEEP_QUEUE))
SLOW: Final = ("slow", (SLOW_QUEUE,))
"""The worker for what takes long: by one that sends campaigns it would come late, and hold them up where it hangs."""

CONNECTIONS: Final = 512
"""Held open by an API process. Many more than its threads: clients keep theirs open between requests, and one that is
idle or slow must keep nobody out."""

_CELERY: Final = ("celery", "-q", "-A", "wiring.worker")


def api(host: str, port: int, threads: int, workers: int) -> list[str]:
    return [
        "granian", "--interface", "wsgi", "--http", "1", "--no-ws", "--log-level", "error",
        "--host", host, "--port", str(port), "--workers", str(workers),
        "--blocking-threads", str(threads), "--backpressure", str(CONNECTIONS),
        "--respawn-failed-workers", "wiring.wsgi:app",
    ]  # fmt: skip


def worker(name: str, queues: Sequence[str]) -> list[str]:
    return [
        *_CELERY, "worker", "-Q", ",".join(queues), "-n", f"{name}@%h", "-c", "1",
        "--without-mingle", "--without-gossip", "--include", "wiring.ready",
    ]  # fmt: skip


def guarded(name: str, queues: Sequence[str]) -> list[str]:
    """As a container starts a worker. `./run` watches over it by itself."""
    return ["mailmux", "guard", name, *worker(name, queues)]


def beat() -> list[str]:
    return [*_CELERY, "beat", "--pidfile="]


def learner() -> list[str]:
    return ["python", "-m", "wiring.learner"]


def webhooks() -> list[str]:
    return ["python", "-m", "wiring.webhooks"]


def flower(host: str, port: int) -> list[str]:
    """It reads who may look from FLOWER_BASIC_AUTH, user:password, which others cannot see as they can an argument."""
    return [*_CELERY, "flower", f"--address={host}", f"--port={port}", "--purge_offline_workers=60"]
