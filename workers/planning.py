"""Deciding a window of emails together, so that they share quota, rates and probes fairly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.lifecycle import Status
from domain.message import Submission
from domain.ports import Clock
from routing.breaker import CLOSED, Breaker, Sign
from routing.live import LiveState, Signal, Wish
from routing.news import NO_VIEW, View
from routing.policy import (
    Case,
    Finish,
    Patience,
    Postpone,
    before_sending,
    without_route,
)
from routing.router import Candidate, Decision, decide
from routing.snapshot import ProviderSnapshot, Snapshot


@dataclass(frozen=True, slots=True)
class Parcel:
    """An email on its way through one claim."""

    submission: Submission
    case: Case
    status: Status


@dataclass(frozen=True, slots=True)
class Route:
    """A provider for an email, reserved but not yet in the ledger."""

    parcel: Parcel
    candidate: Candidate
    decision: Decision


@dataclass(frozen=True, slots=True)
class Plan:
    """Emails with a provider, and those without one together with what to do instead."""

    routes: Sequence[Route]
    others: Sequence[tuple[Parcel, Postpone | Finish]]


class Board:
    """The snapshot of one claim, kept true while emails are given to providers. `view`: what was learned of them."""

    def __init__(self, snapshot: Snapshot, live: LiveState, view: View = NO_VIEW) -> None:
        self._live = live
        self._rules = snapshot.rules
        self._view = view
        known = live.breakers([p.id for p in snapshot.providers])
        self._providers = {p.id: self._seen(p, breaker=known[p.id]) for p in snapshot.providers}
        self._snapshot: Snapshot | None = None
        self._settled: dict[Any, Any] = {}

    def _seen(self, provider: ProviderSnapshot, breaker: Breaker) -> ProviderSnapshot:
        standing = self._view.standings.get(provider.id)
        taught = self._view.rates.get(provider.id)
        price = self._view.prices.get(provider.id)
        rate = provider.rate_per_second
        if taught is not None:
            rate = taught if rate is None else min(rate, taught)
        return replace(
            provider,
            breaker=breaker,
            standing=standing,
            rate_per_second=rate,
            base_cost=provider.base_cost if price is None else Decimal(str(round(price, 5))) / 1000,
        )

    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = Snapshot(
                tuple(self._providers.values()),
                self._rules,
                self._view.worths,
                self._view.version,
                self._settled,
            )
        return self._snapshot

    def learn(self, signals: Sequence[Signal], now: datetime) -> None:
        """Fold how calls ended into the breakers. Answers from providers whose breaker is at rest tell nothing."""
        if all(s.sign is Sign.ANSWERED and self._providers[s.provider_id].breaker == CLOSED for s in signals):
            return
        self._live.fold(signals, now)
        for provider_id, breaker in self._live.breakers(list(self._providers)).items():
            self._change(provider_id, breaker=breaker, probe_taken=False)

    def refuse_sender(self, provider_id: UUID, domain: str, until: datetime) -> None:
        refused = {**self._providers[provider_id].refused_senders, domain: until}
        self._change(provider_id, refused_senders=refused)

    def give(self, candidate: Candidate, recipients: int, now: datetime) -> bool:
        """Count an email for a provider, but for its rate. False: its probe has just gone to someone else."""
        provider = self._providers[candidate.provider_id]
        if candidate.probe:
            self._change(provider.id, probe_taken=True)
            if not self._live.take_probe(provider.id, now):
                return False
        self._count(provider.id, recipients)
        return True

    def reserve(self, routes: Sequence[Route], now: datetime) -> list[Route]:
        """Take of the providers' rates what these routes need, in one round trip; returns those that got nothing."""
        wanted: dict[UUID, list[Route]] = {}
        for route in routes:
            if self._providers[route.candidate.provider_id].rate_per_second is not None:
                wanted.setdefault(route.candidate.provider_id, []).append(route)
        if not wanted:
            return []
        rates = {p: self._providers[p].rate_per_second or 0.0 for p in wanted}
        grants = self._live.reserve({p: Wish(rates[p], len(own)) for p, own in wanted.items()})
        left: list[Route] = []
        for provider_id, own in wanted.items():
            grant = grants[provider_id]
            self._change(provider_id, room=grant.room)
            if grant.granted < len(own):
                self._change(provider_id, rate_free_at=now + timedelta(seconds=grant.retry_after))
                for route in own[grant.granted :]:
                    self._count(provider_id, -route.parcel.submission.recipient_count)
                    left.append(route)
        return left

    def _count(self, provider_id: UUID, recipients: int) -> None:
        quota = self._providers[provider_id].quota
        if quota.today is None and quota.this_month is None and quota.rolling is None:
            return
        self._change(
            provider_id,
            quota=replace(
                quota,
                today=None if quota.today is None else quota.today - recipients,
                this_month=None if quota.this_month is None else quota.this_month - recipients,
                rolling=None if quota.rolling is None else quota.rolling - recipients,
            ),
        )

    def _change(self, provider_id: UUID, **changes: object) -> None:
        self._providers[provider_id] = replace(self._providers[provider_id], **changes)  # type: ignore[arg-type]
        self._snapshot = None


def plan(parcels: Iterable[Parcel], board: Board, now: datetime, patience: Patience, clock: Clock) -> Plan:
    """Find a provider for each email, in turn; what a rate has no room for is decided again."""
    found: dict[UUID, Route] = {}
    others: list[tuple[Parcel, Postpone | Finish]] = []
    waiting = list(parcels)
    order = [p.submission.id for p in waiting]
    while waiting:
        routes: list[Route] = []
        for parcel in waiting:
            end = before_sending(parcel.case, now, patience)
            if end is not None:
                others.append((parcel, end))
                continue
            decision, candidate = _route(parcel, board, now, clock)
            if candidate is None:
                others.append((parcel, without_route(parcel.case, decision, now, patience, clock.chance)))
            else:
                routes.append(Route(parcel, candidate, decision))
        left = board.reserve(routes, now)
        refused = {r.parcel.submission.id for r in left}
        found.update((r.parcel.submission.id, r) for r in routes if r.parcel.submission.id not in refused)
        waiting = [r.parcel for r in left]
    return Plan([found[i] for i in order if i in found], others)


def _route(parcel: Parcel, board: Board, now: datetime, clock: Clock) -> tuple[Decision, Candidate | None]:
    """Decide until the first choice can really be had; each refusal excludes that provider with its reason."""
    while True:
        decision = decide(parcel.submission, board.snapshot(), parcel.case.tried_now(), now, clock.chance)
        chosen = decision.chosen
        if chosen is None or board.give(chosen, parcel.submission.recipient_count, now):
            return decision, chosen
