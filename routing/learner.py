"""Folds what happens into an outlook: the models of all providers together. Time comes in as an argument.

One process learns for all: it is told of starts, ends and events, and publishes an outlook a few times a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.message import OnUnknown
from routing.acceptance import Acceptance, Ends
from routing.delay import DelayCurve
from routing.delivery_model import DeliveryModel
from routing.fading import Fading
from routing.health import Health
from routing.index import KAPPA, Coefficients, coefficients
from routing.outlook import Outlook, Standing
from routing.planner import Demand, Prices
from routing.signs import End
from routing.suspicion import probe_wait
from routing.vigil import Vigil

FRESH, STALE = 1.0, 5.0  # seconds for which an outlook serves in any case, and without much news
MUCH = 8  # ends and events that are much news
PROBE_WAIT = (2.0, 30.0)  # seconds between probes of a provider that is down
HOPE = 2.0  # standard deviations that exploring gives a provider the benefit of
TRAFFIC_HALF_LIFE = 300.0
ANY = 1e6  # $ per 1,000: a value that no email has


@dataclass(slots=True)
class _Provider:
    acceptance: Acceptance
    health: Health
    vigil: Vigil
    price: float
    least: float
    limited: bool = True


class Learner:
    """`demands`: the classes of emails, numbered. Providers and groups are numbered as well."""

    def __init__(
        self, prices: Sequence[float], groups: int, demands: Sequence[Demand], on_unknown: OnUnknown
    ) -> None:
        self._demands, self._on_unknown = demands, on_unknown
        self._groups = groups
        self.delivery = DeliveryModel(len(prices), groups)
        self.delay = DelayCurve()
        self._providers = [
            _Provider(
                Acceptance(),
                Health(),
                Vigil(groups),
                price,
                min((d.worth.value for d in demands if d.allowed[k]), default=0.0),
            )
            for k, price in enumerate(prices)
        ]
        self._traffic = Fading(TRAFFIC_HALF_LIFE, *([0.0] * len(demands)))
        self._seen = [0.0] * len(demands)  # since the traffic was last added up
        self._plan = Prices((0.0,) * len(prices), (0.0,) * len(prices))
        self._outlook = Outlook(0, ())
        self._made_at = -math.inf
        self._dirty = True
        self._news = 0
        self._weighed_at = -math.inf

    # What happens.

    def started(self, attempt: int, provider: int, kind: int, now: float, *, probe: bool = False) -> None:
        self._seen[kind] += 1.0
        if probe:
            p = self._providers[provider]
            if p.health.open:
                p.health.probing(attempt, now)
            else:
                group = self._demands[kind].group
                p.vigil.probed(group, now, p.least, self._gain(provider, now, group))
            self._dirty = True

    def overdue(self, attempt: int, provider: int, now: float) -> None:
        health = self._providers[provider].health
        was = health.open
        health.overdue(attempt, now)
        self._noticed(provider, was, now)

    def ended(self, attempt: int, provider: int, kind: int, end: End, seconds: float, now: float) -> None:
        p = self._providers[provider]
        self._news += 1
        was = p.health.open
        p.health.ended(attempt, end, now)
        if end not in (End.THROTTLED, End.QUOTA_SPENT):
            p.acceptance.ended(attempt, end, seconds, now, counts=not was)
        if end is End.ACCEPTED:
            p.vigil.accepted(self._demands[kind].group, now)
        self._noticed(provider, was, now)

    def event(
        self, attempt: int, provider: int, group: int, delivered: bool, accepted_at: float, now: float
    ) -> None:
        """The provider tells what became of what it accepted at `accepted_at` (or timed out then)."""
        p = self._providers[provider]
        self._news += 1
        doubtful = p.acceptance.confirmed(attempt)
        if p.vigil.event(group, accepted_at, delivered, now, followed=not doubtful):
            self.delivery.event(provider, group, delivered, now)
            if delivered:
                self.delay.event(accepted_at, now)

    def _noticed(self, provider: int, was_open: bool, now: float) -> None:
        p = self._providers[provider]
        if p.health.open and not was_open:
            p.acceptance.forgive(now)
        if p.health.open or was_open:
            self._dirty = True

    def priced(self, prices: Sequence[float], plan: Prices) -> None:
        """The list prices as they are at the volumes reached, and the planner's latest."""
        for p, price in zip(self._providers, prices, strict=True):
            p.price = price
        self._plan = plan
        self._dirty = True

    # What outlives it.

    def adopt(self, provider: int, other: Learner, there: int) -> None:
        """Take over all that another learner of the same groups knows of a provider."""
        own, known = self._providers[provider], other._providers[there]
        own.acceptance, own.health, own.vigil = known.acceptance, known.health, known.vigil
        self.delivery.adopt(provider, other.delivery, there)
        self.delay = other.delay
        self._outlook = Outlook(max(self._outlook.version, other._outlook.version), ())
        self._dirty = True

    def adopt_traffic(self, other: Learner, kinds: Sequence[int | None]) -> None:
        """Go on with the traffic that another learner has seen. `kinds`: per kind of ours its number there."""
        kept = other._traffic.kept()
        if kept:
            self._traffic.recall([kept[0], *(0.0 if k is None else kept[k + 1] for k in kinds)])
        self._seen = [0.0 if k is None else other._seen[k] for k in kinds]
        self._weighed_at = other._weighed_at

    def kept(self, provider: int) -> dict[str, Any]:
        """What is worth remembering of a provider, as JSON: counts and sums, no state of alarm."""
        p = self._providers[provider]
        return {
            "acceptance": p.acceptance.kept(),
            "delivery": self.delivery.kept(provider),
            "usual": p.vigil.kept(),
        }

    def recall(self, provider: int, kept: Mapping[str, Any]) -> None:
        p = self._providers[provider]
        p.acceptance.recall(kept.get("acceptance", {}))
        self.delivery.recall(provider, kept.get("delivery", ()))
        p.vigil.recall(kept.get("usual", ()))
        self._made_at, self._dirty = -math.inf, True

    def forget_trouble(self, provider: int) -> None:
        """An operator says that it is well: what was held against it goes."""
        p = self._providers[provider]
        p.acceptance, p.health, p.vigil = Acceptance(), Health(), Vigil(self._groups)
        self._dirty = True

    # What follows from it.

    def patience(self, provider: int, now: float) -> float:
        return self._providers[provider].acceptance.patience(now)

    def well_since(self, provider: int) -> float:
        """When a provider was last found well again after trouble."""
        return self._providers[provider].health.reopened_at

    def traffic(self, now: float) -> list[float]:
        """Emails per second of late, by kind."""
        return [n * math.log(2) / TRAFFIC_HALF_LIFE for n in self._traffic.fade(now)]

    def belief(self, provider: int, now: float) -> tuple[Ends, tuple[float, ...]]:
        """What the planner is told of a provider."""
        return self._providers[provider].acceptance.ends(now), self._delivered(provider)

    def outlook(self, now: float) -> Outlook:
        if self._dirty or self._due(now):
            self._refresh(now)
        return self._outlook

    def _due(self, now: float) -> bool:
        age = now - self._made_at
        return age >= STALE or (age >= FRESH and self._news >= MUCH)

    def _refresh(self, now: float) -> None:
        if self._due(now):
            self.delivery.refresh(now)
            self.delay.refresh(now)
            for k, p in enumerate(self._providers):
                self._doubt(k, p, now)
                p.vigil.watch(now, self.delay)
            self._made_at, self._news = now, 0
        standings = [self._standing(k, p, now) for k, p in enumerate(self._providers)]
        self._outlook = Outlook(self._outlook.version + 1, standings)
        self._dirty = False
        if now >= self._weighed_at + 1.0:
            self._weighed_at = now
            self._traffic.add(now, *self._seen)
            self._seen = [0.0] * len(self._demands)
            self._find_least()
            self._weigh_probes(now)

    def _doubt(self, k: int, p: _Provider, now: float) -> None:
        """A loss that was there before it could be told from quality is looked at again, once nobody has used its
        provider for long: else nobody would ever learn that it is over.
        """
        poor = set(self.delivery.poor(k)) - p.vigil.alarmed() if self.delay.known else set()
        if poor and p.vigil.unused(now):
            groups = sorted(poor)
            left = sum(self.delivery.of(k, g).chance for g in groups) / len(groups)
            self.delivery.forget(k, groups, now)
            p.vigil.doubt(groups, left, now)

    def chance(self, provider: int, group: int) -> float:
        """That what a provider accepts is delivered, as it is now: an alarm counts."""
        return self.delivery.of(provider, group).chance * self._providers[provider].vigil.left(group)

    def _delivered(self, provider: int) -> tuple[float, ...]:
        """The same, per group."""
        return tuple(self.chance(provider, group) for group in range(self._groups))

    def _standing(self, k: int, p: _Provider, now: float) -> Standing:
        ends = p.acceptance.ends(now)
        shadow, price = self._plan.shadow[k], p.price
        beliefs = [self.delivery.of(k, g) for g in range(self._groups)]
        delivered = self._delivered(k)
        usual = tuple(b.chance for b in beliefs)
        alarmed = p.vigil.alarmed()
        troubled = p.health.open or bool(alarmed)
        found = self._coefficients(ends, price, shadow, delivered)
        hope = self._coefficients(
            ends, price, shadow, [min(0.9999, b.chance + HOPE * b.spread) for b in beliefs]
        )
        return Standing(
            coefficients=found,
            accepted=ends.accepted,
            delivered=delivered,
            sample=tuple(b.sample for b in beliefs),
            hopeful=hope.loss,
            rate_price=self._plan.rate[k],
            share=p.health.share(now),
            probe_due=p.health.probe_due(now),
            healthy=self._coefficients(ends, price, shadow, usual) if troubled else None,
            alarmed=alarmed,
            probe_groups=p.vigil.probe_groups(now),
            least=p.least,
            limited=p.limited,
            feed_down=p.vigil.feed.down,
        )

    def _coefficients(
        self, ends: Ends, price: float, shadow: float, delivered: Sequence[float]
    ) -> Coefficients:
        return coefficients(ends, price, shadow, delivered, self._on_unknown)

    def _find_least(self) -> None:
        """The least valuable emails that each provider may carry, of those that there have been lately: only such
        can be its probes. Where there have been none, any will do.
        """
        lately = [(d, n) for d, n in zip(self._demands, self._traffic.sums, strict=True) if n >= 0.5]
        for k, p in enumerate(self._providers):
            least = min((d.worth.value for d, _ in lately if d.allowed[k]), default=ANY)
            self._dirty |= least != p.least
            p.least = least

    def _weigh_probes(self, now: float) -> None:
        """How rarely a provider that is down may be probed, by what a probe costs and a recovery gains."""
        for k, p in enumerate(self._providers):
            if p.health.opened_at is None:
                continue
            hung, taken = p.acceptance.hung_share(now)
            cost = KAPPA + hung * (1 - taken) * p.least
            age = now - p.health.opened_at
            p.health.backoff_cap = probe_wait(age, cost, self._gain(k, now), *PROBE_WAIT)

    def _gain(self, provider: int, now: float, group: int | None = None) -> float:
        """$ per 1,000 and second that the provider would save if it were well again (in the group's trouble)."""
        healthy = self._outlook.standings[provider].healthy
        if healthy is None:
            return 0.0
        groups = range(self._groups) if group is None else self._providers[provider].vigil.together(group)
        per_second = math.log(2) / TRAFFIC_HALF_LIFE
        gain = 0.0
        for count, demand in zip(self._traffic.fade(now), self._demands, strict=True):
            if count <= 0 or not demand.allowed[provider] or demand.group not in groups:
                continue
            value, wait, g = demand.worth.value, demand.worth.wait, demand.group
            own = healthy.fixed + value * healthy.loss[g] + wait * healthy.time
            best = min(
                (
                    s.fixed + value * s.loss[g] + wait * s.time
                    for k, s in enumerate(self._outlook.standings)
                    if s.share > 0 and demand.allowed[k]
                ),
                default=value,
            )
            gain += count * per_second * max(0.0, best - own)
        return gain
