"""The cheapest whose circuit breaker is closed: five failures in a row open it for half a minute."""

from __future__ import annotations

from bench.routing.briefing import Briefing
from bench.routing.policies.baseline import Baseline
from routing.signs import End

NAME = "cheapest + breaker"
TRIP_AFTER, COOL_DOWN = 5, 30.0


class CheapestWithBreaker(Baseline):
    def __init__(self, told: Briefing) -> None:
        super().__init__(told)
        self.failures = [0] * len(told.names)

    def score(self, provider: int, kind: int, now: float) -> float:
        return self.price(provider)

    def ended(self, attempt: int, provider: int, kind: int, end: End, seconds: float, now: float) -> None:
        super().ended(attempt, provider, kind, end, seconds, now)
        if end is End.ACCEPTED:
            self.failures[provider] = 0
        elif end not in (End.THROTTLED, End.QUOTA_SPENT):
            self.failures[provider] += 1
            if self.failures[provider] >= TRIP_AFTER:
                self.closed_until[provider] = max(self.closed_until[provider], now + COOL_DOWN)


def make(told: Briefing) -> CheapestWithBreaker:
    return CheapestWithBreaker(told)
