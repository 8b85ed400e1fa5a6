"""A sum whose parts count less the older they are."""

from __future__ import annotations

import math
from collections.abc import Sequence


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

    def kept(self) -> list[float]:
        """What has to be remembered of it: the time, then the sums; nothing, where nothing was added."""
        return [self._at, *self.sums] if math.isfinite(self._at) else []

    def recall(self, kept: Sequence[float]) -> None:
        """Go on from what was kept. What was kept of sums of another number is of no use, and left."""
        if len(kept) == len(self.sums) + 1 and math.isfinite(kept[0]):
            self._at, self.sums = kept[0], list(kept[1:])

    def add(self, now: float, *parts: float) -> None:
        self.sums = [s + p for s, p in zip(self.fade(now), parts, strict=True)]
