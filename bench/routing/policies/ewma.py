"""Moving averages of acceptance, delivery and latency per provider, weighed against the price; 2% at random."""

from __future__ import annotations

from collections.abc import Sequence

from bench.routing.briefing import Briefing
from bench.routing.policies.baseline import Baseline
from routing.signs import End

NAME = "ewma"
ALPHA, EXPLORED = 0.02, 0.02


class Ewma(Baseline):
    def __init__(self, told: Briefing) -> None:
        super().__init__(told)
        n = len(told.names)
        self.accepted, self.delivered, self.seconds = [0.99] * n, [0.98] * n, [0.3] * n

    def score(self, provider: int, kind: int, now: float) -> float:
        reached = self.accepted[provider] * self.delivered[provider]
        waited = self.told.wait[kind] * self.seconds[provider]
        return self.price(provider) + self.told.value[kind] * (1 - reached) + waited

    def pick(self, free: Sequence[int], kind: int, now: float) -> int:
        if self.chance.random() < EXPLORED:
            return self.chance.choice(free)
        return super().pick(free, kind, now)

    def ended(self, attempt: int, provider: int, kind: int, end: End, seconds: float, now: float) -> None:
        super().ended(attempt, provider, kind, end, seconds, now)
        if end not in (End.THROTTLED, End.QUOTA_SPENT):
            self.accepted[provider] += ALPHA * ((end is End.ACCEPTED) - self.accepted[provider])
            self.seconds[provider] += ALPHA * (seconds - self.seconds[provider])

    def event(self, attempt: int, provider: int, kind: int, delivered: bool, now: float) -> None:
        self.delivered[provider] += ALPHA / 4 * (delivered - self.delivered[provider])


def make(told: Briefing) -> Ewma:
    return Ewma(told)
