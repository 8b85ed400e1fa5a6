"""How fast a provider may be used: the configured rate, and what its refusals teach about the true one."""

from __future__ import annotations

import math
from collections import deque

CUT, PAUSE, RISE = 0.93, 2.0, 0.02  # of the measured throughput, at most every 2 s, then +2% a second
WINDOW, ENOUGH = 3.0, 8  # throughput is measured over so many seconds, or so many calls
MEMORY = 60.0  # seconds
FORGET = 20.0  # a taught rate this many times above what is used no longer limits


class Pace:
    """A token bucket of one provider whose rate falls at a 429 and climbs slowly back. Emails per second."""

    __slots__ = ("_at", "_calls", "_cut_at", "_taught", "_tokens", "configured")

    def __init__(self, configured: float = math.inf) -> None:
        self.configured = configured
        self._taught = math.inf
        self._cut_at = -math.inf
        self._tokens = self.burst
        self._at = -math.inf
        self._calls: deque[float] = deque()

    @property
    def rate(self) -> float:
        return min(self.configured, self._taught)

    @property
    def burst(self) -> float:
        return max(1.0, self.rate) if self.rate != math.inf else math.inf

    def free(self, now: float) -> float:
        """The part of the burst that is free, 0..1, and 1 where no rate is known; -1: nothing is admitted now."""
        self._refill(now)
        rate = self.rate
        if rate == math.inf:
            return 1.0
        return self._tokens / max(1.0, rate) if self._tokens >= 1.0 else -1.0

    def admits(self, now: float) -> bool:
        return self.free(now) >= 0

    def take(self, now: float) -> None:
        if self.rate != math.inf:
            self._refill(now)
            self._tokens -= 1.0

    def answered(self, now: float) -> None:
        """A call went through: throughput is made of these."""
        self._calls.append(now)
        while self._calls[0] < now - MEMORY:
            self._calls.popleft()

    def throttled(self, now: float) -> None:
        """The provider refused for its rate."""
        if now - self._cut_at < PAUSE:
            return
        self._cut_at = now
        self._taught = max(0.05, CUT * self.throughput(now))
        self._tokens = min(self._tokens, 0.0)
        self._at = max(self._at, now)

    def throughput(self, now: float) -> float:
        """Calls per second of late: over 3 s, or as long as the last eight have taken."""
        recent = [t for t in self._calls if t > now - WINDOW]
        if len(recent) < ENOUGH:
            recent = list(self._calls)[-ENOUGH:]
        return len(recent) / max(0.5, now - recent[0]) if recent else 0.0

    def _refill(self, now: float) -> None:
        passed = now - self._at
        if passed <= 0 or (self.configured == math.inf and self._taught == math.inf):
            return
        if passed == math.inf:
            self._tokens = self.burst
        else:
            if self._taught != math.inf:
                self._taught *= math.exp(RISE * min(passed, 600.0))
                if self._taught > FORGET * max(1.0, self.throughput(now)):
                    self._taught = math.inf
                if self.rate == math.inf:
                    self._at = now
                    return
            self._tokens = min(self.burst, self._tokens + passed * self.rate)
        self._at = now
