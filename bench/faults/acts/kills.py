"""SIGKILL at random moments, and programs that are asked to stop while emails flow."""

from __future__ import annotations

import signal
import time

import psutil
import redis

from bench.faults.fault import Fault
from bench.faults.scene import WORKERS, Scene, in_doubt


def _moment(scene: Scene) -> None:
    time.sleep(scene.chance.uniform(0.1, 1.5))  # another moment each time


def kill_workers(scene: Scene) -> None:
    _moment(scene)
    scene.kill(*WORKERS)


def kill_pool_child(scene: Scene) -> None:
    _moment(scene)
    children = scene.stack.program("all-lanes").children()
    if not children:
        raise RuntimeError("the worker has no child")
    scene.chance.choice(children).kill()
    scene.doubts += in_doubt("all-lanes")
    scene.relieve()


def kill_redis(scene: Scene) -> None:
    _moment(scene)
    scene.kill("valkey")


def flush_redis(scene: Scene) -> None:
    _moment(scene)
    with redis.Redis.from_url(scene.redis_url) as live:
        live.flushall()
    scene.relieve()


def kill_postgres(scene: Scene) -> None:
    """All of it at one moment: it recovers from its log. Outcomes that no worker can record in time are doubts."""
    _moment(scene)
    scene.doubts += in_doubt(*WORKERS)
    scene.kill("postgres")


def kill_api(scene: Scene) -> None:
    """Somewhere between a commit and its answer, now and then: the clients repeat with their keys."""
    _moment(scene)
    scene.kill("api")


def rolling_restart(scene: Scene) -> None:
    """Each program in turn is asked to end, and its successor waited for."""
    for name in (*WORKERS, "api", "beat"):
        before = scene.stack.program(name)
        before.send_signal(signal.SIGTERM)
        psutil.wait_procs([before], timeout=60)
        scene.back({name: before})
        time.sleep(1)  # under load for a while, between two restarts


FAULTS = (
    Fault("kill-workers", "SIGKILL of all worker processes", kill_workers, 6, kill=True),
    Fault("kill-pool-child", "SIGKILL of one worker's child", kill_pool_child, 6),
    Fault("kill-redis", "SIGKILL of Redis, which keeps nothing", kill_redis, 8, kill=True),
    Fault("flush-redis", "FLUSHALL", flush_redis, 6),
    Fault("kill-postgres", "SIGKILL of PostgreSQL", kill_postgres, 12, kill=True),
    Fault("kill-api", "SIGKILL of the API, the clients repeat with their keys", kill_api, 8, kill=True),
    Fault("rolling-restart", "SIGTERM to workers, API and beat in turn: no doubts", rolling_restart, 25),
)
