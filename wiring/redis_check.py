"""What a Redis must be like for Celery's messages, told at the start rather than found out under load."""

from __future__ import annotations

from typing import Final

import redis

from wiring.embedded.processes import ServiceFailed
from wiring.secret import Secret

_OLDEST: Final = (6, 2)


def check_redis(url: Secret) -> None:
    """Raises ServiceFailed where it cannot be reached, is too old, or evicts what it was given."""
    try:
        with redis.Redis.from_url(url.reveal(), socket_timeout=5, socket_connect_timeout=5) as connection:
            known = connection.info()
    except redis.RedisError as error:
        raise ServiceFailed(f"Redis cannot be reached (REDIS_URL): {error}") from error
    assert isinstance(known, dict)
    version = str(known["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise ServiceFailed(f"Redis is {version}; Mailmux needs 6.2 or later (REDIS_URL)")
    policy = known.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ServiceFailed(
            f"Redis evicts keys when its memory is full (maxmemory-policy {policy}). Messages are not a cache: "
            "run CONFIG SET maxmemory-policy noeviction, or give Mailmux a Redis of its own (REDIS_URL)"
        )
