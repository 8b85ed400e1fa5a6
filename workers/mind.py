"""What the learner holds in mind: the models of all providers, fed by news, and the plan that prices what is scarce."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np

from db.repositories.learning import TypeRow
from domain.message import OnUnknown
from routing.forecasting import horizon
from routing.kinds import Roster
from routing.learner import Learner
from routing.mailbox_groups import GROUPS
from routing.news import EVERYBODY, Began, Ended, Healed, Heard, News, View
from routing.pacing import Pace
from routing.planner import Prices, Supply, plan
from routing.pricing import PriceList, flat
from routing.signs import End
from routing.snapshot import ProviderSnapshot, Snapshot
from routing.supplies import DAY, cuts, supply
from routing.worths import worths_of
from workers.promises import Promises

FIRST_STRIDE, STRIDE_WEIGHT, SLACK = 0.02, 0.2, 3.0
NEXT_MISSED = 0.25  # of the patience, until the next attempt of a silent window counts as missed
LEAST_TRAFFIC = 1e-4  # emails per second, below which nothing is planned
FORGOTTEN = 120.0  # seconds after which an attempt without an end is no longer waited for
HOUR = 3600.0


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
    promises: Promises = field(default_factory=Promises)

    def shape(self) -> tuple[object, ...]:
        """What a change of asks for a new mind; quotas and volumes do not."""
        providers = tuple((p.id, p.owner, p.active, p.fault, p.price) for p in self.roster.providers)
        return providers, self.roster.worths, self.roster.rules, self.lists

    def adopt(self, other: Mind) -> None:
        """Go on with what another mind knows of the providers that are still there."""
        self.promises.adopt(other.promises)
        self.learner.adopt_traffic(other.learner, self.roster.as_in(other.roster))
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
                self.promises.told(attempt, delivered)
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
        place = self.roster.type_of(kind)
        if end not in (End.THROTTLED, End.QUOTA_SPENT):
            self.promises.ended(place, seconds if end is End.ACCEPTED else math.inf)
        if end is End.ACCEPTED:
            self.promises.accepted(attempt, place, self.learner.chance(k, kind % len(GROUPS)))

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
            self.promises.priced(self.roster.worths),
        )

    def price(self, provider: UUID) -> float:
        """What the next recipient costs now, $ per 1,000."""
        return self.lists[provider].price_at(self.volumes.get(provider, 0.0))

    def plan(self, now: float, by_hour: Sequence[tuple[float, float]]) -> None:
        """Price what is scarce over the day ahead; without traffic nothing is. Raises Unsolved: the old prices stay."""
        self.learner.priced([self._price(p) for p in self.roster.providers], self._scarcity(now, by_hour))

    def _scarcity(self, now: float, by_hour: Sequence[tuple[float, float]]) -> Prices:
        learner, roster = self.learner, self.roster
        nothing = Prices((0.0,) * len(roster.providers), (0.0,) * len(roster.providers))
        traffic = np.array(learner.traffic(now))
        if traffic.sum() < LEAST_TRAFFIC or not roster.providers:
            return nothing
        ahead = np.array(forecast(by_hour, now, float(traffic.sum())))
        begin = now % HOUR
        days = [begin + cut for cut in cuts(roster.providers, now)]
        emails, seconds = horizon(ahead, HOUR, begin, begin + DAY, cuts=days)
        shares = traffic / traffic.sum()
        busy = np.flatnonzero(shares > 0)
        supplies = [self.supply_of(p, now, seconds.tolist()) for p in roster.providers]
        demands = [roster.demands[int(i)] for i in busy]
        return plan(demands, emails[:, None] * shares[busy], seconds, supplies, OnUnknown.HOLD)

    def supply_of(self, p: ProviderSnapshot, now: float, seconds: Sequence[float] = (DAY,)) -> Supply:
        """What a provider has to offer for the day ahead, in buckets of so many seconds."""
        taught = self.paces[p.id].rate if p.id in self.paces else math.inf
        prices = self.lists.get(p.id) or flat(float(p.price) * 1000)
        belief = self.learner.belief(self.roster.number[p.id], now)
        return supply(p, prices, self.volumes.get(p.id, 0.0), *belief, now, taught, seconds)

    def _price(self, p: ProviderSnapshot) -> float:
        return self.price(p.id) if p.id in self.lists else float(p.price) * 1000


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


def mind_of(
    fleet: Snapshot, types: Sequence[TypeRow], lists: Mapping[UUID, PriceList], volumes: Mapping[UUID, float]
) -> Mind:
    """A fresh mind for what is configured now. `lists`: in the providers' own currencies. Of test emails nothing is
    learned.
    """
    fleet = replace(fleet, providers=tuple(p for p in fleet.providers if not p.test))
    lists = {p.id: lists[p.id].times(float(p.exchange)) for p in fleet.providers if p.id in lists}
    shared = [lists.get(p.id) or flat(float(p.price) * 1000) for p in fleet.providers if p.owner is None]
    roster = Roster(fleet.providers, worths_of(types, shared), fleet.rules)
    learner = Learner([0.0] * len(fleet.providers), len(GROUPS), roster.demands, OnUnknown.HOLD)
    mind = Mind(roster, learner, lists, volumes)
    mind.promises.aim(types, roster.worths)
    mind.plan(0.0, ())
    return mind
