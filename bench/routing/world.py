"""The truth of one simulated day: traffic, providers, and what happens to them. Nobody who chooses sees it.

Money is in $ per 1,000 emails, time in seconds. The truth is constant within a bucket of `step` seconds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from routing.allocation import Floats, Ints
from routing.pricing import PriceList

GROUPS = ("gmail", "outlook", "yahoo", "corp", "other")
GROUP_SHARES = (0.45, 0.20, 0.10, 0.20, 0.05)

TIMEOUT = 10.0  # the client waits so long for an answer
CONNECT_TIMEOUT = 2.0
REFUSAL_TIME = 0.08  # of a 429 or a spent quota
HUNG_ACCEPTED = 0.3  # share of hung attempts that the provider has accepted all the same
KAPPA = 0.01  # $ per 1,000 attempts: our own work
DUPLICATE = 2.0  # $ per 1,000 emails that arrive twice
EVENT_LOSS = 0.03  # share of events that never arrive
LONGEST_WAIT = 60.0  # more waiting than this costs no more
UNACKNOWLEDGED_WAIT = 30.0  # booked for an email that was accepted and is not known to be
DELIVERED_SPREAD, BOUNCED_SPREAD = 0.8, 0.6


@dataclass(frozen=True, slots=True)
class EmailType:
    """`value`: what losing one is worth; `wait`: what a second is; `forbidden`: providers that may not carry it."""

    name: str
    share: float
    value: float
    wait: float
    forbidden: tuple[str, ...] = ()


TYPES = (
    EmailType("otp", 0.2, 60.0, 0.5, ("echo",)),
    EmailType("receipt", 0.5, 20.0, 0.05),
    EmailType("bulk", 0.3, 5.0, 0.0, ("delta",)),
)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider on a good day. `latency`: median in s, lognormal with `spread`; `delivery` per group."""

    name: str
    prices: PriceList
    accept: float
    latency: float
    spread: float
    delivery: tuple[float, ...]
    rate: float = 200.0
    quota: int | None = None


Value = float | Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Change:
    """From `start` to `end` a property of the truth has another value, or one that moves (a function of 0..1).

    `what` is a name of Truth's. `group` None: all of them.
    """

    what: str
    providers: tuple[str, ...]
    start: float
    end: float
    value: Value
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """`rate`: emails per second as a function of the time. `incidents` are what should be noticed, for the figures."""

    name: str
    providers: tuple[ProviderSpec, ...]
    changes: tuple[Change, ...] = ()
    duration: float = 7200.0
    step: float = 60.0
    rate: Callable[[float], float] = field(default=lambda _: 10.0)
    types: tuple[EmailType, ...] = TYPES


class Truth:
    """[bucket, provider] unless said otherwise."""

    def __init__(self, scenario: Scenario) -> None:
        specs, buckets = scenario.providers, round(scenario.duration / scenario.step)

        def constant(values: Sequence[float]) -> Floats:
            return np.tile(np.array(values, dtype=float), (buckets, 1))

        everywhere = np.ones(len(specs))
        self.accept = constant([p.accept for p in specs])
        self.latency = constant([p.latency for p in specs])
        self.spread = constant([p.spread for p in specs])
        self.rate = constant([p.rate for p in specs])
        self.errors = constant(list(0.7 * everywhere))  # of the failures: answered at once
        self.connects = constant(list(0.2 * everywhere))  # of the failures: no connection; the rest hangs
        self.delivered_after = constant(list(20.0 * everywhere))  # median delay of the event
        self.bounced_after = constant(list(60.0 * everywhere))
        self.silent = constant(list(0.0 * everywhere))  # 1: what is not delivered makes no event
        self.feed_stopped = constant(list(0.0 * everywhere))  # 1: no event arrives
        self.delivery = np.tile(np.array([p.delivery for p in specs]), (buckets, 1, 1))  # [.., group]
        names = [p.name for p in specs]
        for change in scenario.changes:
            self._apply(change, names, scenario.step)

    def _apply(self, change: Change, names: Sequence[str], step: float) -> None:
        values = getattr(self, change.what)
        first, last = int(change.start // step), min(len(values), math.ceil(change.end / step))
        for b in range(first, last):
            value = change.value
            if not isinstance(value, float | int):
                value = value((b - first) / max(1, last - first - 1))
            for name in change.providers:
                if change.group is None:
                    values[b, names.index(name)] = value
                else:
                    values[b, names.index(name), GROUPS.index(change.group)] = value


class World:
    """A scenario under one seed: the truth, and all chance drawn beforehand, so that every policy meets the same.

    A class of emails is a type and a recipient group: `type * len(GROUPS) + group`.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario, self.seed = scenario, seed
        self.truth = Truth(scenario)
        self.buckets = len(self.truth.accept)
        self.providers = len(scenario.providers)
        middles = (np.arange(self.buckets) + 0.5) * scenario.step
        self.profile = np.array([scenario.rate(t) for t in middles])
        chance = np.random.default_rng(seed)
        counts = chance.poisson(self.profile * scenario.step)
        starts = np.repeat(np.arange(self.buckets), counts)
        self.arrivals: Floats = np.sort((starts + chance.random(len(starts))) * scenario.step)
        self.emails = len(self.arrivals)
        shares = np.outer([t.share for t in scenario.types], GROUP_SHARES).ravel()
        self.kinds: Ints = chance.choice(len(shares), size=self.emails, p=shares / shares.sum())
        size = (self.emails, self.providers)
        self.draw_accept, self.draw_failure, self.draw_hang, self.draw_delivery, self.draw_loss = (
            chance.random(size) for _ in range(5)
        )
        self.draw_latency, self.draw_event = (chance.standard_normal(size) for _ in range(2))
        self.demand = np.zeros((self.buckets, len(shares)))
        np.add.at(self.demand, ((self.arrivals // scenario.step).astype(int), self.kinds), 1)

    @property
    def names(self) -> list[str]:
        return [p.name for p in self.scenario.providers]

    def value(self) -> Floats:
        return np.repeat([t.value for t in self.scenario.types], len(GROUPS))

    def wait(self) -> Floats:
        return np.repeat([t.wait for t in self.scenario.types], len(GROUPS))

    def allowed(self) -> list[list[bool]]:
        """[class][provider]"""
        return [[n not in t.forbidden for n in self.names] for t in self.scenario.types for _ in GROUPS]

    def forecast(self) -> Floats:
        """Emails per second and bucket as somebody may have foreseen them: each hour off by some 20%."""
        chance = random.Random(self.seed + 77)
        per_hour = max(1, round(3600 / self.scenario.step))
        errors = [math.exp(0.2 * chance.gauss(0, 1)) for _ in range(0, self.buckets, per_hour)]
        foreseen: Floats = self.profile * np.repeat(errors, per_hour)[: self.buckets]
        return foreseen
