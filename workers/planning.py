"""Deciding a window of emails together, so that they share quota, rates and probes fairly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from domain.lifecycle import Status
from domain.message import Submission
from domain.ports import Clock
from routing.breaker import CLOSED, Sign
from routing.live import LiveState, Signal
from routing.policy import (
    Case,
    Finish,
    Patience,
    Postpone,
    before_sending,
    without_route,
)
from routing.router import Candidate, Decision, decide
from routing.snapshot import Snapshot


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
    """The snapshot of one claim, kept true while emails are given to providers."""

    def __init__(self, snapshot: Snapshot, live: LiveState) -> None:
        self._live = live
        self._rules = snapshot.rules
        known = live.breakers([p.id for p in snapshot.providers])
        self._providers = {p.id: replace(p, breaker=known[p.id]) for p in snapshot.providers}
        self._snapshot: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = Snapshot(tuple(self._providers.values()), self._rules)
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
        """Count an email for a provider. False: its probe or its rate has just gone to someone else."""
        provider = self._providers[candidate.provider_id]
        if candidate.probe:
            self._change(provider.id, probe_taken=True)
            if not self._live.take_probe(provider.id, now):
                return False
        if provider.rate_per_second is not None:
            grant = self._live.reserve_rate(provider.id, provider.rate_per_second, 1)
            if not grant.granted:
                self._change(provider.id, rate_free_at=now + timedelta(seconds=grant.retry_after))
                return False
        quota = provider.quota
        if quota.today is None and quota.this_month is None and quota.rolling is None:
            return True
        self._change(
            provider.id,
            quota=replace(
                quota,
                today=None if quota.today is None else quota.today - recipients,
                this_month=None if quota.this_month is None else quota.this_month - recipients,
                rolling=None if quota.rolling is None else quota.rolling - recipients,
            ),
        )
        return True

    def _change(self, provider_id: UUID, **changes: object) -> None:
        self._providers[provider_id] = replace(self._providers[provider_id], **changes)  # type: ignore[arg-type]
        self._snapshot = None


def plan(parcels: Iterable[Parcel], board: Board, now: datetime, patience: Patience, clock: Clock) -> Plan:
    """Find a provider for each email, in turn."""
    routes: list[Route] = []
    others: list[tuple[Parcel, Postpone | Finish]] = []
    for parcel in parcels:
        end = before_sending(parcel.case, now, patience)
        if end is not None:
            others.append((parcel, end))
            continue
        decision, candidate = _route(parcel, board, now, clock)
        if candidate is None:
            others.append((parcel, without_route(parcel.case, decision, now, patience, clock.chance)))
        else:
            routes.append(Route(parcel, candidate, decision))
    return Plan(routes, others)


def _route(parcel: Parcel, board: Board, now: datetime, clock: Clock) -> tuple[Decision, Candidate | None]:
    """Decide until the first choice can really be had; each refusal excludes that provider with its reason."""
    while True:
        decision = decide(parcel.submission, board.snapshot(), parcel.case.tried_now(), now, clock.chance)
        chosen = decision.chosen
        if chosen is None or board.give(chosen, parcel.submission.recipient_count, now):
            return decision, chosen
