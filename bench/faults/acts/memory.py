"""Memory that runs out in Redis."""

from __future__ import annotations

import time

import redis

from bench.faults.fault import Fault
from bench.faults.scene import Scene


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


FAULTS = (Fault("fill-redis", "Redis out of memory", fill_redis, 12),)
