"""What the learner holds in mind: the models of all providers, fed by news, and the plan that prices what is scarce."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from db.repositories.learning import TypeRow
from domain.message import OnUnknown
from routing.acceptance import Ends
from routing.allocation import Tariff, Unsolved
from routing.forecasting import horizon
from routing.kinds import Roster
from routing.learner import Learner
from routing.mailbox_groups import GROUPS
from routing.news import EVERYBODY, Began, Ended, Healed, Heard, News, View
from routing.pacing import Pace
from routing.planner import Prices, Supply, plan
from routing.pricing import PriceList, flat
from routing.signs import End
from routing.snapshot import ProviderSnapshot, Snapshot, Worths
from routing.worths import Preference, worth_of

FIRST_STRIDE, STRIDE_WEIGHT, SLACK = 0.02, 0.2, 3.0
NEXT_MISSED = 0.25  # of the patience, until the next attempt of a silent window counts as missed
LEAST_TRAFFIC = 1e-4  # emails per second, below which nothing is planned
FORGOTTEN = 120.0  # seconds after which an attempt without an end is no longer waited for
DAY, HOUR = 86_400.0, 3600.0


@dataclass(slots=True)
class _Window:
    """Attempts of one window at one provider that have not ended. `moved_at`: when the last sign of it came."""

    provider: UUID
    moved_at: float
    began_at: float
    open: deque[int]
    size: int = 0
    missed: int = 0


@dataclass(slots=True)
class Mind:
    """The models of all providers, with what they are numbered by."""

    roster: Roster
    learner: Learner
    lists: Mapping[UUID, PriceList]
    volumes: Mapping[UUID, float]
    paces: dict[UUID, Pace] = field(default_factory=dict)
    windows: list[_Window] = field(default_factory=list)
    strides: dict[UUID, float] = field(default_factory=dict)  # seconds per email of a window, of late
    doings: dict[int, tuple[_Window, int]] = field(default_factory=dict)  # an attempt's window and kind

    def shape(self) -> tuple[object, ...]:
        """What a change of asks for a new mind; quotas and volumes do not."""
        providers = tuple((p.id, p.owner, p.active, p.fault, p.base_cost) for p in self.roster.providers)
        return providers, self.roster.worths, self.roster.rules, self.lists

    def adopt(self, other: Mind) -> None:
        """Go on with what another mind knows of the providers that are still there."""
        for p, k in self.roster.number.items():
            if p in other.roster.number:
                self.learner.adopt(k, other.learner, other.roster.number[p])
                if p in other.paces:
                    self.paces[p] = other.paces[p]

    def fold(self, news: News) -> None:
        match news:
            case Began():
                self._began(news)
            case Ended(provider, at, ends):
                for attempt, end, seconds in ends:
                    self._ended(provider, attempt, end, seconds, at)
            case Heard(provider, at, attempt, group, delivered, accepted_at):
                k = self.roster.number.get(provider)
                if k is not None and group < len(GROUPS):
                    self.learner.event(attempt, k, group, delivered, accepted_at, at)
            case Healed(provider):
                for p, k in self.roster.number.items():
                    if provider in (p, EVERYBODY):
                        self.learner.forget_trouble(k)
                        self.paces.pop(p, None)

    def _began(self, news: Began) -> None:
        k = self.roster.number.get(news.provider)
        if k is None:
            return
        window = _Window(news.provider, news.at, news.at, deque())
        for attempt, (user, email_type, group) in zip(news.attempts, news.kinds, strict=True):
            kind = self.roster.kind(user, email_type, group)
            if kind is None:
                continue
            self.learner.started(attempt, k, kind, news.at, probe=attempt in news.probes)
            self.doings[attempt] = window, kind
            window.open.append(attempt)
        window.size = len(window.open)
        self.windows.append(window)

    def _ended(self, provider: UUID, attempt: int, end: End, seconds: float, at: float) -> None:
        k, doing = self.roster.number.get(provider), self.doings.pop(attempt, None)
        if k is None or doing is None:
            return
        window, kind = doing
        window.moved_at, window.missed = at, 0
        if attempt == window.open[-1]:
            stride = max(0.0, at - window.began_at) / window.size
            before = self.strides.get(provider, stride)
            self.strides[provider] = before + STRIDE_WEIGHT * (stride - before)
        if end is End.TIMED_OUT and self._is_past(window, k):
            return
        pace = self.paces.setdefault(provider, Pace())
        if end is End.THROTTLED:
            pace.throttled(at)
        else:
            pace.answered(at)
        self.learner.ended(attempt, k, kind, end, seconds, at)

    def watch(self, now: float) -> None:
        """Count as a provisional failure what should have ended. A window has as long as one of its
        size usually takes, for its emails may go one after the other and are told of together.
        """
        left = []
        for window in self.windows:
            while window.open and window.open[0] not in self.doings:
                window.open.popleft()
            if not window.open:
                continue
            if now > window.began_at + FORGOTTEN:
                for attempt in window.open:
                    self.doings.pop(attempt, None)
                continue
            left.append(window)
            k = self.roster.number.get(window.provider)
            if k is None or window.missed >= len(window.open) or self._is_past(window, k):
                continue
            patience = self.learner.patience(k, now)
            stride = self.strides.get(window.provider, FIRST_STRIDE)
            if now > window.moved_at + patience + SLACK * stride * window.size:
                window.moved_at += patience * NEXT_MISSED
                window.missed += 1
                self.learner.overdue(window.open[0], k, now)
                window.open.rotate(-1)
        self.windows = left

    def _is_past(self, window: _Window, k: int) -> bool:
        """It tells of the time before the provider was found well again."""
        return window.began_at < self.learner.well_since(k)

    def view(self, now: float) -> View:
        outlook = self.learner.outlook(now)
        for pace in self.paces.values():
            pace.free(now)  # a taught rate climbs with time
        return View(
            outlook.version,
            now,
            {p.id: s for p, s in zip(self.roster.providers, outlook.standings, strict=True)},
            {p: pace.rate for p, pace in self.paces.items() if pace.rate != math.inf},
            {p: self.price(p) for p in self.lists},
            self.roster.worths,
        )

    def price(self, provider: UUID) -> float:
        """What the next recipient costs now, $ per 1,000."""
        return self.lists[provider].price_at(self.volumes.get(provider, 0.0))

    def plan(self, now: float, by_hour: Sequence[tuple[float, float]]) -> None:
        """Price what is scarce over the day ahead. Without traffic or a solution nothing is."""
        self.learner.priced([self._price(p) for p in self.roster.providers], self._scarcity(now, by_hour))

    def _scarcity(self, now: float, by_hour: Sequence[tuple[float, float]]) -> Prices:
        learner, roster = self.learner, self.roster
        nothing = Prices((0.0,) * len(roster.providers), (0.0,) * len(roster.providers))
        traffic = np.array(learner.traffic(now))
        if traffic.sum() < LEAST_TRAFFIC or not roster.providers:
            return nothing
        ahead = np.array(forecast(by_hour, now, float(traffic.sum())))
        emails, seconds = horizon(ahead, HOUR, now % HOUR, now % HOUR + DAY)
        shares = traffic / traffic.sum()
        busy = np.flatnonzero(shares > 0)
        supplies = [self._supply(p, *learner.belief(k, now)) for k, p in enumerate(roster.providers)]
        demands = [roster.demands[int(i)] for i in busy]
        try:
            return plan(demands, emails[:, None] * shares[busy], seconds, supplies, OnUnknown.HOLD)
        except Unsolved:
            return nothing

    def _price(self, p: ProviderSnapshot) -> float:
        return self.price(p.id) if p.id in self.lists else float(p.base_cost) * 1000

    def _supply(self, p: ProviderSnapshot, ends: Ends, delivered: tuple[float, ...]) -> Supply:
        prices = self.lists.get(p.id) or flat(float(p.base_cost) * 1000)
        volume = self.volumes.get(p.id, 0.0)
        left = [q for q in (p.quota.today, p.quota.this_month, p.quota.rolling) if q is not None]
        taught = self.paces[p.id].rate if p.id in self.paces else math.inf
        rate = min(p.rate_per_second or math.inf, taught, 1e9)
        tariff = Tariff(prices.segments(volume), max(0.0, min(left)) if left else None)
        return Supply(ends, delivered, prices.price_at(volume), tariff, rate)


def forecast(by_hour: Sequence[tuple[float, float]], now: float, lately: float) -> list[float]:
    """Emails per second for this hour and the 24 after it: the mean of the same hour a day and a week ago, where known.

    `lately`: emails per second of the last minutes, which hours without a past are taken to have.
    """
    known = dict(by_hour)
    begin = now - now % HOUR
    ahead = []
    for hour in range(25):
        at = begin + hour * HOUR
        past = [known[at - back] for back in (DAY, 7 * DAY) if at - back in known]
        ahead.append(sum(past) / len(past) if past else lately)
    return ahead


def worths_of(
    types: Sequence[TypeRow], providers: Sequence[ProviderSnapshot], lists: Mapping[UUID, PriceList]
) -> Worths:
    """What an email of each type is worth, by the type's policy."""
    shared = [lists.get(p.id) or flat(float(p.base_cost) * 1000) for p in providers if p.owner is None]
    return {
        (t.owner, t.name): worth_of(Preference(t.policy), shared, urgent=t.urgent, waits=not t.marketing)
        for t in types
    }


def mind_of(
    fleet: Snapshot, types: Sequence[TypeRow], lists: Mapping[UUID, PriceList], volumes: Mapping[UUID, float]
) -> Mind:
    """A fresh mind for what is configured now."""
    roster = Roster(fleet.providers, worths_of(types, fleet.providers, lists), fleet.rules)
    learner = Learner([0.0] * len(fleet.providers), len(GROUPS), roster.demands, OnUnknown.HOLD)
    mind = Mind(roster, learner, lists, volumes)
    mind.plan(0.0, ())
    return mind
