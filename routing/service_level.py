"""Cheapest with a promise: as little cost as possible while a target share is delivered, or taken in time.

The value V of a delivered email moves by a virtual queue of what is owed to the target: V = V0·e^(Q/25). A choice
pays in what it is expected to miss or exceed; what really happened corrects the expectation. As a queue alone
settles a little below the target, what has been missed for good raises the target by a small integral.

A promise of time is the same of w, the worth of a second: of what is to be taken in time nothing is expected, for how
long it took is known at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

SCALE = 25.0
INTEGRAL = 2e-5  # of the target, per email missed so far
MOST_MARGIN = 0.01
ON_TIME = 0.95  # the share that a promise of time is about: its 95th percentile
LEAST, MOST = -2.0 * SCALE, 5.0 * SCALE  # of the queue


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """`target`: share of emails that are delivered (taken in time), 0..1. `base`: V (w), in $ per 1,000, where nothing
    is owed.
    """

    target: float
    base: float
    queue: float = 0.0
    missed: float = 0.0

    @property
    def value(self) -> float:
        return self.base * math.exp(self.queue / SCALE)

    @property
    def aim(self) -> float:
        """The target with its margin."""
        return min(0.9999, self.target + min(MOST_MARGIN, max(0.0, INTEGRAL * self.missed)))

    def from_value(self, value: float) -> ServiceLevel:
        """Begin where a delivered email is worth so much: from nothing it would take thousands to get there."""
        return self._moved(SCALE * math.log(max(value, self.base) / self.base))

    def accepted(self, chance: float) -> ServiceLevel:
        """A provider took an email which it delivers with this chance."""
        return self._moved(self.aim - chance)

    def settled(self, chance: float, delivered: bool) -> ServiceLevel:
        """What became of an email that was expected to be delivered with this chance."""
        moved = self._moved(chance - delivered)
        return replace(moved, missed=max(0.0, self.missed + self.target - delivered))

    def _moved(self, by: float) -> ServiceLevel:
        return replace(self, queue=min(MOST, max(LEAST, self.queue + by)))
