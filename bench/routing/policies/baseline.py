"""What every product does that is not a policy of its own: it skips what is spent or has just refused for its rate."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from bench.routing.briefing import Briefing
from routing.signs import End

THROTTLE_PAUSE = 1.0  # seconds without a provider that answered 429


class Baseline:
    """A policy that ranks: `score` of a provider for a class, the lowest first. Ties go to the first provider."""

    def __init__(self, told: Briefing) -> None:
        self.told = told
        self.chance = random.Random(told.seed)
        self.candidates = [[k for k, may in enumerate(row) if may] for row in told.allowed]
        self.closed_until = [-math.inf] * len(told.names)
        self.group_of = [kind % told.groups for kind in range(len(told.value))]
        self.volume = [0] * len(told.names)

    def score(self, provider: int, kind: int, now: float) -> float:
        raise NotImplementedError

    def choose(self, kind: int, now: float, tried: int) -> int | None:
        free = [k for k in self.candidates[kind] if not tried >> k & 1 and self.closed_until[k] <= now]
        return self.pick(free, kind, now) if free else None

    def pick(self, free: Sequence[int], kind: int, now: float) -> int:
        return min(free, key=lambda k: self.score(k, kind, now))

    def price(self, provider: int) -> float:
        return self.told.prices[provider].price_at(self.volume[provider])

    def patience(self, provider: int) -> float:
        return math.inf

    def deadline(self, provider: int) -> float:
        return math.inf

    def started(self, attempt: int, provider: int, kind: int, now: float) -> None: ...

    def overdue(self, attempt: int, provider: int, kind: int, now: float) -> None: ...

    def ended(self, attempt: int, provider: int, kind: int, end: End, seconds: float, now: float) -> None:
        if end is End.THROTTLED:
            self.closed_until[provider] = now + THROTTLE_PAUSE
        elif end is End.QUOTA_SPENT:
            self.closed_until[provider] = math.inf
        elif end is End.ACCEPTED:
            self.volume[provider] += 1

    def event(self, attempt: int, provider: int, kind: int, delivered: bool, now: float) -> None: ...
