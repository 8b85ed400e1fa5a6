"""Programs that stand still and go on: SIGSTOP and SIGCONT, exhausted connections, beats."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import psutil
import psycopg2

from bench.faults.fault import Fault
from bench.faults.scene import WORKERS, Scene, in_doubt


def stop_redis(scene: Scene) -> None:
    with scene.stopped(scene.family("valkey")):
        time.sleep(scene.still)  # the fault's own length


def stop_postgres(scene: Scene) -> None:
    scene.doubts += in_doubt(*WORKERS)
    with scene.stopped(scene.family("postgres")):
        time.sleep(scene.still)  # the fault's own length


def stop_workers_past_lease(scene: Scene) -> None:
    """20 s, where a lease lasts 15: what they held is swept, and they send nothing more of it."""
    processes = [process for name in WORKERS for process in scene.family(name)]
    scene.doubts += in_doubt(*WORKERS)
    with scene.stopped(processes):
        time.sleep(20)  # a lease of 15 s and a sweep


def exhaust_connections(scene: Scene) -> None:
    """Take every connection that PostgreSQL gives, for a few seconds."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(psycopg2.OperationalError):
            for _ in range(500):
                held.enter_context(contextlib.closing(psycopg2.connect(scene.ledger.url, connect_timeout=5)))
        time.sleep(3)  # the fault's own length


def no_beat(scene: Scene) -> None:
    """The beat stands still while the workers are killed: their successors' hearts do the rescue."""
    with scene.stopped(scene.family("beat")):
        scene.kill(*WORKERS)
        time.sleep(18)  # a lease and a sweep, without the beat


def two_beats(scene: Scene) -> None:
    beat = scene.stack.program("beat")
    environ = beat.environ()
    second = subprocess.Popen(
        [sys.executable, "-m", "celery", "-q", "-A", "wiring.worker", "beat", "--pidfile="],
        env={**environ, "PATH": os.environ["PATH"]}, cwd=beat.cwd(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(12)  # two rounds of the beat's most frequent duty
    finally:
        second.terminate()
        psutil.wait_procs([psutil.Process(second.pid)], timeout=20)
        second.wait(20)


FAULTS = (
    Fault("stop-redis", "Redis stands still (--still)", stop_redis, 14),
    Fault("stop-postgres", "PostgreSQL stands still (--still)", stop_postgres, 16),
    Fault(
        "stop-workers", "the workers stand still past their lease, and come back", stop_workers_past_lease, 40
    ),
    Fault("no-connections", "all connections of PostgreSQL are taken for 3 s", exhaust_connections, 10),
    Fault("no-beat", "SIGKILL of the workers while the beat stands still", no_beat, 28),
    Fault("two-beats", "two beats at once", two_beats, 18),
)
