"""Breakers and rates in Redis: soft state that all workers share.

Redis may be flushed or down at any time. Then breakers and rates are kept in this process for a while, and
Redis is tried again after `_PAUSE` seconds: sending goes on, with limits that count per process.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import redis
import structlog

from domain.ports import Clock
from routing.breaker import CLOSED, Admission, Breaker
from routing.live import Grant, Signal, Wish

_PAUSE = 5.0  # seconds without Redis after it failed
_PROBE_MS = 1000  # for which one probe keeps others from being sent
_KEPT = 3600  # seconds that an untouched breaker lives
_RETRIES = 5
_SLOWEST = 0.001  # emails per second: a smaller rate is no rate that could be counted

# Generic cell rate algorithm (ITU-T I.371) on Redis's own clock: `tat` is the theoretical arrival time of the
# next email, in seconds. Grants at most `count` for each key, and says when a full burst is free again.
_GCRA = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local found = {}
for i, key in ipairs(KEYS) do
  local interval, burst, count = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local tat = math.max(tonumber(redis.call('GET', key) or 0), now)
  local granted = math.min(count, math.floor((now - tat) / interval + burst + 0.000001))
  if granted > 0 then
    tat = tat + granted * interval
    redis.call('SET', key, string.format('%.6f', tat), 'EX', math.ceil(tat - now) + 60)
  end
  found[2 * i - 1] = math.max(granted, 0)
  found[2 * i] = string.format('%.6f', math.max(0, tat - now))
end
return found
"""

log = structlog.get_logger(__name__)


def cells(per_second: float) -> tuple[float, int]:
    """The interval in seconds and the burst with which no second ever holds more than `per_second` emails.

    A burst of b and an interval of 1 / (r - b + 1) admit at most r emails in any one second.
    """
    per_second = max(per_second, _SLOWEST)
    burst = max(1, int(per_second // 5))
    return 1.0 / (per_second - burst + 1), burst


class RedisLiveState:
    """routing.live.LiveState, shared through Redis while it answers. Safe to use from several threads."""

    def __init__(self, client: redis.Redis, clock: Clock, prefix: str = "mailmux") -> None:
        self._redis = client
        self._clock = clock
        self._prefix = prefix
        self._gcra = client.register_script(_GCRA)
        self._lock = threading.Lock()
        self._local: dict[UUID, Breaker] = {}
        self._local_tat: dict[UUID, float] = {}
        self._down_until = 0.0

    def breakers(self, providers: Sequence[UUID]) -> Mapping[UUID, Breaker]:
        if providers and self._up():
            try:
                found = cast(
                    "list[bytes | None]", self._redis.mget([self._key("breaker", p) for p in providers])
                )
            except redis.RedisError as error:
                self._lost(error)
            else:
                return {p: _load(raw) for p, raw in zip(providers, found, strict=True)}
        with self._lock:
            return {p: self._local.get(p, CLOSED) for p in providers}

    def fold(self, signs: Sequence[Signal], now: datetime) -> None:
        for provider in {s.provider_id for s in signs}:
            own = [s for s in signs if s.provider_id == provider]

            def folded(breaker: Breaker, own: Sequence[Signal] = own) -> Breaker:
                for s in own:
                    breaker = breaker.after(
                        s.sign, now, probe=s.probe, cause=s.cause, retry_after=s.retry_after
                    )
                return breaker

            self._update(provider, folded)

    def forget(self, provider: UUID) -> None:
        """Close the breaker: somebody says that the provider is well."""
        self._update(provider, lambda _: CLOSED)

    def take_probe(self, provider: UUID, now: datetime) -> bool:
        taken = False
        if self._up():
            try:
                if not self._redis.set(self._key("probe", provider), 1, nx=True, px=_PROBE_MS):
                    return False
            except redis.RedisError as error:
                self._lost(error)

        def probing(breaker: Breaker) -> Breaker:
            nonlocal taken
            admission = breaker.admission(now)
            taken = admission is not Admission.SHUT
            return breaker.probing(now) if admission is Admission.PROBE else breaker

        self._update(provider, probing)
        return taken

    def reserve_rate(self, provider: UUID, per_second: float, count: int) -> Grant:
        return self.reserve({provider: Wish(per_second, count)})[provider]

    def reserve(self, wishes: Mapping[UUID, Wish]) -> Mapping[UUID, Grant]:
        shapes = {p: cells(wish.per_second) for p, wish in wishes.items()}
        if wishes and self._up():
            arguments = [value for p, wish in wishes.items() for value in (*shapes[p], wish.count)]
            try:
                found = self._gcra([self._key("rate", p) for p in wishes], arguments)
            except redis.RedisError as error:
                self._lost(error)
            else:
                pairs = zip(found[::2], found[1::2], strict=True)
                return {
                    p: _grant(int(granted), float(ahead), *shapes[p])
                    for p, (granted, ahead) in zip(wishes, pairs, strict=True)
                }
        with self._lock:
            return {p: self._reserve_here(p, wish.count, *shapes[p]) for p, wish in wishes.items()}

    def _reserve_here(self, provider: UUID, count: int, interval: float, burst: int) -> Grant:
        now = self._clock.monotonic()
        tat = max(self._local_tat.get(provider, now), now)
        granted = max(0, min(count, int((now - tat) / interval + burst + 1e-6)))
        self._local_tat[provider] = tat = tat + granted * interval
        return _grant(granted, tat - now, interval, burst)

    def _update(self, provider: UUID, change: Any) -> None:
        """Replace the breaker by `change(breaker)`, as one step for all workers."""
        key = self._key("breaker", provider)
        if self._up():
            try:
                for _ in range(_RETRIES):
                    if self._try_update(key, change):
                        return
                log.warning("breaker_contended", provider=str(provider))
                return
            except redis.RedisError as error:
                self._lost(error)
        with self._lock:
            self._local[provider] = change(self._local.get(provider, CLOSED))

    def _try_update(self, key: str, change: Any) -> bool:
        with self._redis.pipeline() as pipe:
            pipe.watch(key)  # type: ignore[no-untyped-call]  # redis-py annotates its arguments only
            before = _load(cast("bytes | None", pipe.get(key)))
            after = change(before)
            if after == before:
                return True
            pipe.multi()
            pipe.set(key, _dump(after), ex=_KEPT)
            try:
                pipe.execute()
            except redis.WatchError:
                return False
            return True

    def _key(self, what: str, provider: UUID) -> str:
        return f"{self._prefix}:{what}:{provider}"

    def _up(self) -> bool:
        return self._clock.monotonic() >= self._down_until

    def _lost(self, error: redis.RedisError) -> None:
        self._down_until = self._clock.monotonic() + _PAUSE
        log.warning("live_state_unavailable", error=type(error).__name__, pause_seconds=_PAUSE)


def _grant(granted: int, ahead: float, interval: float, burst: int) -> Grant:
    return Grant(granted, max(ahead, interval), max(0.0, 1.0 - ahead / (interval * burst)))


def _dump(breaker: Breaker) -> str:
    return json.dumps(asdict(breaker), default=datetime.isoformat)


def _load(raw: bytes | None) -> Breaker:
    if raw is None:
        return CLOSED
    try:
        values = json.loads(raw)
        for field in ("retry_at", "throttled_until"):
            if values[field] is not None:
                values[field] = datetime.fromisoformat(values[field])
        return Breaker(**values)
    except (ValueError, TypeError, KeyError) as error:  # another version's, perhaps: it is soft state
        log.warning("breaker_unreadable", error=type(error).__name__)
        return CLOSED
