"""How often a key was used in this minute, counted in Redis for all processes. Without it nobody is held up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import redis
import structlog

from domain.ports import Clock

_PAUSE = 5.0  # seconds without Redis after it failed

# Minutes of Redis's clock. Returns what was used, this request included, and the seconds until the next minute.
_COUNT = """
local now = redis.call('TIME')
local minute = math.floor(now[1] / 60)
local key = KEYS[1] .. ':' .. minute
local used = redis.call('INCR', key)
if used == 1 then redis.call('EXPIRE', key, 120) end
return {used, (minute + 1) * 60 - now[1]}
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a key with a rate. `reset`: seconds until the count begins anew."""

    limit: int
    used: int
    reset: int

    @property
    def allowed(self) -> bool:
        return self.used <= self.limit

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


class RedisThrottle:
    """One round trip for each request of a key with a rate, and none for the others."""

    def __init__(self, client: redis.Redis, clock: Clock, prefix: str = "mailmux") -> None:
        self._count, self._clock, self._prefix = client.register_script(_COUNT), clock, prefix
        self._down_until = 0.0

    def take(self, key: UUID, per_minute: int) -> Turn | None:
        """None: nobody counts now, and the request goes on."""
        if self._clock.monotonic() < self._down_until:
            return None
        try:
            used, reset = cast("Any", self._count([f"{self._prefix}:key:{key}"]))
        except redis.RedisError as error:
            self._down_until = self._clock.monotonic() + _PAUSE
            log.warning("key_rates_not_counted", error=type(error).__name__, pause_seconds=_PAUSE)
            return None
        return Turn(per_minute, int(used), max(1, int(reset)))
