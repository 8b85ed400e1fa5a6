"""A sum whose parts count less the older they are."""

from __future__ import annotations

import math


class Fading:
    """Several sums that fade together with one half-life, in seconds. Times are seconds from any start."""

    __slots__ = ("_at", "_rate", "sums")

    def __init__(self, half_life: float, *sums: float) -> None:
        self._rate = math.log(2) / half_life
        self._at = -math.inf
        self.sums = list(sums)

    def fade(self, now: float) -> list[float]:
        """The sums as they count now. Time that goes backwards changes nothing."""
        if now > self._at:
            if self._at != -math.inf:
                keep = math.exp(-self._rate * (now - self._at))
                self.sums = [s * keep for s in self.sums]
            self._at = now
        return self.sums

    def add(self, now: float, *parts: float) -> None:
        self.sums = [s + p for s, p in zip(self.fade(now), parts, strict=True)]
