"""Ours: what production runs (routing.learner, routing.outlook, routing.planner, routing.pacing), nothing else."""

from __future__ import annotations

import math
import random

from bench.routing.briefing import Briefing
from bench.routing.world import GROUPS
from routing.allocation import Tariff
from routing.forecasting import horizon
from routing.index import Worth
from routing.learner import Learner
from routing.outlook import choose
from routing.pacing import Pace
from routing.planner import Demand, Prices, Supply, Unsolved, plan
from routing.signs import End
from routing.worths import URGENT_WAIT

NAME = "mailmux"
PLAN_EVERY = 300.0
RATE_MOVED = 0.25


class Mailmux:
    def __init__(self, told: Briefing) -> None:
        self.told = told
        self.chance = random.Random(told.seed * 31 + 7)
        self.worths = [
            Worth(v, w, urgent=w >= URGENT_WAIT) for v, w in zip(told.value, told.wait, strict=True)
        ]
        self.demands = [
            Demand(worth, kind % told.groups, allowed)
            for kind, (worth, allowed) in enumerate(zip(self.worths, told.allowed, strict=True))
        ]
        self.providers = range(len(told.names))
        self.candidates = [[k for k in self.providers if row[k]] for row in told.allowed]
        self.learner = Learner(
            [p.price_at(0) for p in told.prices], told.groups, self.demands, told.on_unknown
        )
        self.paces = [Pace(rate) for rate in told.rates]
        self.volume = [0] * len(told.names)
        self.spent = [False] * len(told.names)
        self.accepted: dict[int, float] = {}
        self.now = 0.0
        self.probe = False
        self.planned_at = -math.inf
        self.planned_rates: list[float] = []

    def choose(self, kind: int, now: float, tried: int) -> int | None:
        self._plan(now)
        candidates = self.candidates[kind]
        if tried:
            candidates = [k for k in candidates if not tried >> k & 1]

        def free(k: int) -> float:
            return -1.0 if self.spent[k] else self.paces[k].free(now)

        worth = self.worths[kind]
        patient = not worth.urgent
        choice = choose(
            self.learner.outlook(now), worth, kind % len(GROUPS), candidates, free, self.chance,
            explores=patient, probes=patient,
        )  # fmt: skip
        if choice is None:
            return None
        self.probe = choice.probe
        return choice.provider

    def patience(self, provider: int) -> float:
        return self.learner.patience(provider, self.now)

    def deadline(self, provider: int) -> float:
        return math.inf

    def started(self, attempt: int, provider: int, kind: int, now: float) -> None:
        self.now = now
        self.paces[provider].take(now)
        self.learner.started(attempt, provider, kind, now, probe=self.probe)

    def overdue(self, attempt: int, provider: int, kind: int, now: float) -> None:
        self.learner.overdue(attempt, provider, now)

    def ended(self, attempt: int, provider: int, kind: int, end: End, seconds: float, now: float) -> None:
        pace = self.paces[provider]
        if end is End.THROTTLED:
            pace.throttled(now)
        else:
            pace.answered(now)
        if end in (End.ACCEPTED, End.TIMED_OUT):
            self.accepted[attempt] = now
            if end is End.ACCEPTED:
                self.volume[provider] += 1
        if end is End.QUOTA_SPENT:
            self.spent[provider] = True
        quota = self.told.quotas[provider]
        if quota is not None and self.volume[provider] >= quota:
            self.spent[provider] = True
        self.learner.ended(attempt, provider, kind, end, seconds, now)

    def event(self, attempt: int, provider: int, kind: int, delivered: bool, now: float) -> None:
        at = self.accepted.pop(attempt, now)
        self.learner.event(attempt, provider, kind % len(GROUPS), delivered, at, now)

    def _plan(self, now: float) -> None:
        rates = [min(pace.rate, 1e9) for pace in self.paces]
        if now < self.planned_at + PLAN_EVERY and not self._moved(rates, now):
            return
        self.planned_at, self.planned_rates = now, rates
        told = self.told
        forecast, seconds = horizon(told.forecast, told.step, now, told.duration)
        supplies = []
        for k in self.providers:
            ends, delivered = self.learner.belief(k, now)
            quota, volume = told.quotas[k], self.volume[k]
            tariff = Tariff(
                told.prices[k].segments(volume), None if quota is None else max(0.0, quota - volume)
            )
            supplies.append(Supply(ends, delivered, told.prices[k].price_at(volume), tariff, rates[k]))
        prices = [s.price for s in supplies]
        try:
            found = plan(self.demands, forecast[:, None] * told.shares, seconds, supplies, told.on_unknown)
        except Unsolved:
            found = Prices((0.0,) * len(prices), (0.0,) * len(prices))
        self.learner.priced(prices, found)

    def _moved(self, rates: list[float], now: float) -> bool:
        if now < self.planned_at + 10:
            return False
        return any(
            abs(a - b) > RATE_MOVED * max(b, 0.1) for a, b in zip(rates, self.planned_rates, strict=True)
        )


def make(told: Briefing) -> Mailmux:
    return Mailmux(told)
