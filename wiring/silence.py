"""The sign of life that a worker leaves (wiring.alive), as others see it. Imports no Celery: it is looked at by the
supervisor and by health checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import redis

from wiring.secret import Secret

_TIMEOUT = 2.0  # seconds for Redis


def proof_file(data_dir: Path, name: str) -> Path:
    """What the worker NAME touches whenever it has ended a task."""
    return data_dir / "run" / f"{name}.alive"


class Silence:
    """For how long a file has not been touched, by the monotonic clock: one that is set cannot make it seem old."""

    def __init__(self, file: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._file, self._monotonic = file, monotonic
        self._seen, self._since = -1, monotonic()

    def seconds(self) -> float:
        touched = self._file.stat().st_mtime_ns if self._file.exists() else -1
        if touched != self._seen:
            self._seen, self._since = touched, self._monotonic()
        return self._monotonic() - self._since

    def excuse(self) -> None:
        """Count from now on: what was silent until now could not speak."""
        self._since = self._monotonic()


def redis_answers(url: Secret) -> bool:
    """Without Redis no worker can take a task, and none is to blame for it."""
    try:
        with redis.Redis.from_url(
            url.reveal(), socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
        ) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
