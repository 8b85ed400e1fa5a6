"""The newsroom on Redis: a stream of what happens, and the learner's latest view. Soft state, both of it.

News wait in this process for a moment and go out together, off the way of the emails; where Redis is away they are
dropped, for what they would have taught is learned again in seconds.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import orjson
import redis
import structlog

from domain.ports import Clock
from routing.index import Coefficients, Worth
from routing.news import NO_VIEW, Began, Ended, Healed, Heard, News, View
from routing.outlook import Standing
from routing.signs import End
from routing.worths import URGENT_WAIT

_EVERY = 0.1  # seconds that news may wait for company
_MOST_WAITING = 50_000  # news, beyond which the oldest are dropped
_MOST_KEPT = 20_000  # entries of the stream
_FRESH = 0.25  # seconds that a view which was read is used
_STALE = 20.0  # seconds after which a view that nobody renews no longer decides: its troubles would never end
_PAUSE = 5.0  # seconds without Redis after it failed
_VIEW_KEPT = 3600  # seconds that a view lives which nobody renews

# Only a later holder of the lease may write over a view: a learner that was thought dead says nothing more.
_PUBLISH = """
local fence = tonumber(redis.call('HGET', KEYS[1], 'fence') or 0)
if fence > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'view', ARGV[2], 'position', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

log = structlog.get_logger(__name__)


class RedisNewsroom:
    """routing.news.Newsroom, and the learner's side of it. Make it after a fork; safe for several threads."""

    def __init__(self, client: redis.Redis, clock: Clock, prefix: str = "mailmux") -> None:
        self._redis, self._clock = client, clock
        self._stream, self._view_key = f"{prefix}:news", f"{prefix}:view"
        self._publish = client.register_script(_PUBLISH)
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._waiting: list[News] = []
        self._thread: threading.Thread | None = None
        self._view, self._raw, self._read_at = NO_VIEW, b"", -_FRESH
        self._renewed_at = -_STALE
        self._down_until = 0.0

    # The workers' side.

    def tell(self, news: Sequence[News]) -> None:
        with self._lock:
            self._waiting += news
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="mailmux-news", daemon=True)
                self._thread.start()

    def view(self) -> View:
        now = self._clock.monotonic()
        if now >= self._read_at + _FRESH and now >= self._down_until:
            self._read_at = now
            try:
                raw = cast("bytes | None", self._redis.hget(self._view_key, "view"))
            except redis.RedisError as error:
                self._lost(error)
            else:
                self._take(raw, now)
        return self._view if now < self._renewed_at + _STALE else NO_VIEW

    def flush(self) -> None:
        """Send what waits. Safe for several threads."""
        with self._lock:
            news, self._waiting = self._waiting[-_MOST_WAITING:], []
        self.send(news)

    def send(self, news: Sequence[News]) -> None:
        """Tell at once, without the thread: for who has something to tell now and then."""
        if not news or self._clock.monotonic() < self._down_until:
            return
        try:
            line = {"n": orjson.dumps([_written(n) for n in news])}
            self._redis.xadd(self._stream, cast("Any", line), maxlen=_MOST_KEPT, approximate=True)
        except redis.RedisError as error:
            self._lost(error)

    def close(self) -> None:
        """Send what waits and end the thread: nobody uses the connection any more. Then nothing may be told."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()
        self.flush()

    # The learner's side. These raise redis.RedisError.

    def read(self, position: str, most: int = 200) -> tuple[str, list[News]]:
        """What was told after a position, and the position after it. A position of a flushed stream still holds:
        it is a time.
        """
        found = cast("list[Any]", self._redis.xread({self._stream: position}, count=most))
        news: list[News] = []
        for _, entries in found:
            for key, line in entries:
                position = key.decode()
                news += _read(line[b"n"])
        return position, news

    def publish(self, view: View, fence: int, position: str) -> bool:
        """Replace the view. False: a later learner has taken over."""
        done = self._publish([self._view_key], [fence, dump_view(view), position, _VIEW_KEPT])
        return bool(done)

    def _take(self, raw: bytes | None, now: float) -> None:
        if raw is None:
            self._view, self._raw = NO_VIEW, b""
        elif raw != self._raw:
            self._renewed_at = now
            try:
                self._view = load_view(raw)
            except (ValueError, TypeError, KeyError, IndexError) as error:  # another version's, perhaps
                log.warning("view_unreadable", error=type(error).__name__)
                self._view = NO_VIEW
            self._raw = raw

    def _serve(self) -> None:
        while not self._closing.wait(_EVERY):
            self.flush()

    def _lost(self, error: redis.RedisError) -> None:
        self._down_until = self._clock.monotonic() + _PAUSE
        log.warning("newsroom_unavailable", error=type(error).__name__, pause_seconds=_PAUSE)


def _written(news: News) -> list[Any]:
    provider = news.provider.hex
    match news:
        case Began(_, at, attempts, kinds, probes):
            return ["b", provider, at, attempts, [(u.hex, t, g) for u, t, g in kinds], probes]
        case Ended(_, at, ends):
            return ["e", provider, at, [(a, end.value, round(s, 4)) for a, end, s in ends]]
        case Heard(_, at, attempt, group, delivered, accepted_at):
            return ["h", provider, at, attempt, group, delivered, accepted_at]
        case Healed():
            return ["w", provider]


def _read(raw: bytes) -> Iterable[News]:
    try:
        return [_news(*line) for line in orjson.loads(raw)]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        log.warning("news_unreadable", error=type(error).__name__)
        return ()


_user = lru_cache(maxsize=1024)(UUID)  # a window's emails are mostly one user's


def _news(kind: str, provider: str, *rest: Any) -> News:
    key = UUID(hex=provider)
    match kind:
        case "b":
            at, attempts, kinds, probes = rest
            named = tuple([(_user(u), t, g) for u, t, g in kinds])
            return Began(key, at, tuple(attempts), named, tuple(probes))
        case "e":
            return Ended(key, rest[0], tuple((a, End(end), s) for a, end, s in rest[1]))
        case "h":
            return Heard(key, *rest)
        case _:
            return Healed(key)


_SETS = ("alarmed", "probe_groups")
_TUPLES = ("delivered", "sample", "hopeful")
_COEFFICIENTS = ("coefficients", "healthy")
_DERIVED = ("fixed", "loss", "time")
_STANDING = [f.name for f in fields(Standing) if f.name not in _DERIVED]


def dump_view(view: View) -> str:
    return json.dumps(
        {
            "version": view.version,
            "at": view.at,
            "standings": {p.hex: _values(s) for p, s in view.standings.items()},
            "rates": {p.hex: rate for p, rate in view.rates.items()},
            "prices": {p.hex: price for p, price in view.prices.items()},
            "worths": [
                [owner and owner.hex, name, worth.value, worth.wait, worth.steady]
                for (owner, name), worth in view.worths.items()
            ],
            # By itself: workers of the version before read five values of each, and nothing that they do not know.
            "urgent": [[owner and owner.hex, name] for (owner, name), w in view.worths.items() if w.urgent],
        }
    )


def load_view(raw: bytes | str) -> View:
    """Also what a learner of the version before wrote, which told the urgent by what a second is worth to them."""
    values = json.loads(raw)
    told = values.get("urgent")
    urgent = None if told is None else {(owner, name) for owner, name in told}

    def worth(owner: str | None, name: str, value: float, wait: float, steady: bool) -> Worth:
        hurried = wait >= URGENT_WAIT if urgent is None else (owner, name) in urgent
        return Worth(value, wait, steady, urgent=hurried)

    return View(
        values["version"],
        values["at"],
        {UUID(hex=p): _standing(s) for p, s in values["standings"].items()},
        {UUID(hex=p): rate for p, rate in values["rates"].items()},
        {UUID(hex=p): price for p, price in values["prices"].items()},
        {(row[0] and UUID(hex=row[0]), row[1]): worth(*row) for row in values["worths"]},
    )


def _values(standing: Standing) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _STANDING:
        value = getattr(standing, name)
        if isinstance(value, Coefficients):
            value = [value.price, value.shadow, value.work, _short(value.loss), value.time]
        elif name in _SETS:
            value = sorted(value)
        elif name in _TUPLES:
            value = _short(value)
        found[name] = value
    return found


def _short(values: Sequence[float]) -> list[float]:
    return [round(v, 6) for v in values]


def _standing(values: dict[str, Any]) -> Standing:
    for name in _COEFFICIENTS:
        if values[name] is not None:
            price, shadow, work, loss, time = values[name]
            values[name] = Coefficients(price, shadow, work, tuple(loss), time)
    for name in _SETS:
        values[name] = frozenset(values[name])
    for name in _TUPLES:
        values[name] = tuple(values[name])
    return Standing(**values)
