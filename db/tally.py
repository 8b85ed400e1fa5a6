"""Counters that all processes share: kept in the process for a moment, then added up in Redis.

A scrape of any API process so sees what all of them, and all workers, have counted. Redis may be flushed: counters
then begin anew, which whoever reads counters expects. What a killed process had not handed over yet is not counted.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Final, cast

import redis
import structlog

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the steps of a duration; beyond the last there is one more."""
_EVERY = 2.0  # seconds between two additions
_MOST_NAMES = 20_000  # of counters in one process, so that no label can fill the memory

Name = tuple[str, ...]  # the metric, then the values of its labels

log = structlog.get_logger(__name__)


class Tally:
    """Safe to use from several threads; make it after a fork. Nothing here raises, and nothing but `read` waits."""

    def __init__(self, client: redis.Redis, prefix: str = "mailmux") -> None:
        self._redis, self._key = client, f"{prefix}:tally"
        self._lock = threading.Lock()
        self._counts: defaultdict[Name, float] = defaultdict(float)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, *name: str, by: float = 1) -> None:
        with self._lock:
            self._add(name, by)

    def observe(self, *name: str, seconds: float) -> None:
        """Count a duration in its step, and add it to the sum."""
        self.observe_all(*name, seconds=(seconds,))

    def observe_all(self, *name: str, seconds: Collection[float]) -> None:
        """The same for several."""
        steps = Counter([bisect_left(SECONDS, one) for one in seconds])
        with self._lock:
            for step, count in steps.items():
                self._add((*name, str(step)), count)
            self._add((*name, "sum"), sum(seconds))

    def _add(self, name: Name, by: float) -> None:
        if len(self._counts) < _MOST_NAMES or name in self._counts:
            self._counts[name] += by
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="mailmux-tally", daemon=True)
            self._thread.start()

    def read(self) -> Mapping[Name, float]:
        """What all processes have counted together. Raises redis.RedisError."""
        self.flush()
        found = cast("dict[bytes, bytes]", self._redis.hgetall(self._key))
        return {tuple(json.loads(name)): float(count) for name, count in found.items()}

    def flush(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, defaultdict(float)
        if not counts:
            return
        try:
            self._redis.ping()
        except redis.RedisError:
            with self._lock:  # nothing was handed over: it is kept for the next time
                for name, count in counts.items():
                    self._add(name, count)
            return
        try:
            with self._redis.pipeline() as pipe:
                for name, count in counts.items():
                    pipe.hincrbyfloat(self._key, json.dumps(name), count)
                pipe.execute()
        except redis.RedisError as error:  # perhaps added, perhaps not: too few is better than twice
            log.warning("counts_lost", error=type(error).__name__)

    def close(self) -> None:
        self._closing.set()
        self.flush()

    def _serve(self) -> None:
        while not self._closing.wait(_EVERY):
            self.flush()
