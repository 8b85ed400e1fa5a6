"""Weighted round robin, smoothly interleaved, with failover."""

from __future__ import annotations

from collections.abc import Sequence

from bench.routing.briefing import Briefing
from bench.routing.policies.baseline import Baseline

NAME = "round robin"
WEIGHTS = {"alpha": 35, "bravo": 30, "charlie": 20, "delta": 10, "echo": 5}


class RoundRobin(Baseline):
    def __init__(self, told: Briefing) -> None:
        super().__init__(told)
        self.weights = [WEIGHTS.get(name, 20) for name in told.names]
        self.credit = [0.0] * len(told.names)

    def pick(self, free: Sequence[int], kind: int, now: float) -> int:
        for k in free:
            self.credit[k] += self.weights[k]
        best = max(free, key=lambda k: self.credit[k])
        self.credit[best] -= sum(self.weights[k] for k in free)
        return best


def make(told: Briefing) -> RoundRobin:
    return RoundRobin(told)
