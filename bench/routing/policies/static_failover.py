"""One order for everything; the next one when one fails."""

from __future__ import annotations

from bench.routing.briefing import Briefing
from bench.routing.policies.baseline import Baseline

NAME = "static failover"
ORDER = ("bravo", "charlie", "alpha", "delta", "echo")


class StaticFailover(Baseline):
    def score(self, provider: int, kind: int, now: float) -> float:
        name = self.told.names[provider]
        return ORDER.index(name) if name in ORDER else len(ORDER) + provider


def make(told: Briefing) -> StaticFailover:
    return StaticFailover(told)
