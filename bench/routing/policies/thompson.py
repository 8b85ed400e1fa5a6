"""Discounted Thompson sampling of delivery per provider and recipient group, and of acceptance per provider."""

from __future__ import annotations

from bench.routing.briefing import Briefing
from bench.routing.policies.baseline import Baseline
from routing.fading import Fading
from routing.signs import End

NAME = "thompson"
HALF_LIFE, ACCEPT_HALF_LIFE = 1800.0, 300.0
PRIOR = (19.6, 0.4)


class Thompson(Baseline):
    def __init__(self, told: Briefing) -> None:
        super().__init__(told)
        self.delivered = [[Fading(HALF_LIFE, 0.0, 0.0) for _ in range(told.groups)] for _ in told.names]
        self.accepted = [Fading(ACCEPT_HALF_LIFE, 0.0, 0.0) for _ in told.names]

    def score(self, provider: int, kind: int, now: float) -> float:
        delivered = self._draw(self.delivered[provider][self.group_of[kind]], now)
        accepted = self._draw(self.accepted[provider], now)
        return self.price(provider) + self.told.value[kind] * (1 - delivered * accepted)

    def _draw(self, counts: Fading, now: float) -> float:
        good, bad = counts.fade(now)
        return self.chance.betavariate(good + PRIOR[0], bad + PRIOR[1])

    def ended(self, attempt: int, provider: int, kind: int, end: End, seconds: float, now: float) -> None:
        super().ended(attempt, provider, kind, end, seconds, now)
        if end not in (End.THROTTLED, End.QUOTA_SPENT):
            taken = end is End.ACCEPTED
            self.accepted[provider].add(now, float(taken), float(not taken))

    def event(self, attempt: int, provider: int, kind: int, delivered: bool, now: float) -> None:
        self.delivered[provider][self.group_of[kind]].add(now, float(delivered), float(not delivered))


def make(told: Briefing) -> Thompson:
    return Thompson(told)
