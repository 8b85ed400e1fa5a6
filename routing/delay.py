"""How long it takes from acceptance to the event that tells of delivery: learned as a distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from routing.allocation import Floats
from routing.fading import Fading

SHORTEST, LONGEST, STEPS = 0.25, 3600.0, 64
HALF_LIFE = 3600.0
SLICE = 10.0  # seconds of sends that are taken in together
ENOUGH = 200.0  # events before the curve is trusted
MATURE = (
    300.0  # seconds after which a send is taken into account: early, only the quick ones have been heard of
)
_GRID = np.geomspace(SHORTEST, LONGEST, STEPS)
_STEP = math.log(LONGEST / SHORTEST) / (STEPS - 1)


class DelayCurve:
    """The cumulative distribution of the delay of delivered events, from sends that are old enough to be complete."""

    __slots__ = ("_counts", "_cumulated", "_waiting")

    def __init__(self) -> None:
        self._counts = Fading(HALF_LIFE, *([0.0] * STEPS))
        self._waiting: dict[
            int, list[float]
        ] = {}  # counts per step, of the emails accepted in a slice of time
        self._cumulated: Floats | None = None

    def event(self, accepted_at: float, now: float) -> None:
        delay = max(SHORTEST, now - accepted_at)
        if delay <= MATURE:
            step = min(STEPS - 1, math.ceil(math.log(delay / SHORTEST) / _STEP))
            self._waiting.setdefault(int(accepted_at / SLICE), [0.0] * STEPS)[step] += 1.0

    def refresh(self, now: float) -> None:
        """Take in the events of sends that have matured."""
        ripe = [n for n in self._waiting if (n + 1) * SLICE + MATURE <= now]
        for number in ripe:
            self._counts.add(now, *self._waiting.pop(number))
        if ripe:
            sums = np.cumsum(self._counts.sums)
            self._cumulated = sums / sums[-1] if sums[-1] >= ENOUGH else None

    def kept(self) -> list[float]:
        return self._counts.kept()

    def recall(self, kept: Sequence[float]) -> None:
        self._counts.recall(kept)
        sums = np.cumsum(self._counts.sums)
        self._cumulated = sums / sums[-1] if sums[-1] >= ENOUGH else None

    @property
    def known(self) -> bool:
        return self._cumulated is not None

    def share(self, ages: Floats) -> Floats:
        """Of what will be delivered: the part that has been heard of at these ages, in seconds."""
        if self._cumulated is None:
            return np.zeros_like(ages)
        return np.interp(ages, _GRID, self._cumulated, left=0.0)
