"""Deciding a window of emails together, so that they share quota, rates and probes fairly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.budgets import AtBudget
from domain.delivery import HomeMove
from domain.lifecycle import Status
from domain.message import Submission
from domain.ports import Clock
from domain.value import value
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
from routing.steady import waits_until


@value
class Parcel:
    """An email on its way through one claim."""

    submission: Submission
    case: Case
    status: Status


@value
class Route:
    """A provider for an email, reserved but not yet in the ledger. `warming`: its sender domain warms up there;
    `heeds_budgets`: it does not go where one is spent.
    """

    parcel: Parcel
    candidate: Candidate
    decision: Decision
    warming: bool = False
    heeds_budgets: bool = True


@value
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
        self._homes = dict(snapshot.homes)
        self._budgets, self._at_budget = snapshot.budgets, snapshot.at_budget
        self.moves: list[HomeMove] = []  # since they were last noted
        self.stopping: set[UUID] = set()  # budgets that keep emails back, and nobody was told

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
            base_cost=provider.base_cost
            if price is None
            else Decimal(str(round(price, 5))) / 1000 / provider.exchange,
        )

    @property
    def has_budgets(self) -> bool:
        return bool(self._budgets)

    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = Snapshot(
                tuple(self._providers.values()),
                self._rules,
                self._view.worths,
                self._view.version,
                self._homes,
                self._budgets,
                self._at_budget,
                self._settled,
            )
        return self._snapshot

    @property
    def at_ease(self) -> bool:
        """Whether no provider's breaker has anything to learn of an answer."""
        return all(p.test or p.breaker == CLOSED for p in self._providers.values())

    def learn(self, signals: Sequence[Signal], now: datetime) -> None:
        """Fold how calls ended into the breakers. Answers from providers whose breaker is at rest tell nothing, and
        test providers have no health.
        """
        signals = [s for s in signals if not self._providers[s.provider_id].test]
        if all(s.sign is Sign.ANSWERED and self._providers[s.provider_id].breaker == CLOSED for s in signals):
            return
        self._live.fold(signals, now)
        for provider_id, breaker in self._live.breakers(list(self._providers)).items():
            self._change(provider_id, breaker=breaker, probe_taken=False)

    def refuse_sender(self, provider_id: UUID, domain: str, until: datetime) -> None:
        refused = {**self._providers[provider_id].refused_senders, domain: until}
        self._change(provider_id, refused_senders=refused)

    def warms(self, candidate: Candidate, submission: Submission) -> bool:
        """Whether the email's sender domain warms up at the provider."""
        warming = self._providers[candidate.provider_id].warming
        return bool(warming) and submission.envelope.sender.domain in warming

    def heeds_budgets(self, submission: Submission) -> bool:
        known = self.snapshot().at_budget_of(submission.user_id, submission.email_type)
        return known is not AtBudget.IGNORE

    def give(self, candidate: Candidate, submission: Submission, now: datetime) -> bool:
        """Count an email for a provider, but for its rate. False: its probe has just gone to someone else."""
        provider = self._providers[candidate.provider_id]
        if candidate.probe:
            self._change(provider.id, probe_taken=True)
            if not self._live.take_probe(provider.id, now):
                return False
        self._count(provider.id, submission)
        return True

    def note_stops(self, decision: Decision) -> None:
        """Remember which spent budgets stood in the way of an email."""
        spent = (e.budget for e in decision.exclusions if e.budget is not None)
        self.stopping.update(b.id for b in spent if not b.told)

    def move(self, move: HomeMove) -> None:
        """What is decided after it keeps to it."""
        self._homes[move.place] = move.home
        self.moves.append(move)

    def reserve(self, routes: Sequence[Route], now: datetime) -> list[Route]:
        """Take of the providers' rates what these routes need, in one round trip; returns those that got nothing."""
        if all(provider.rate_per_second is None for provider in self._providers.values()):
            return []
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
                    self._count(provider_id, route.parcel.submission, back=True)
                    left.append(route)
        return left

    def _count(self, provider_id: UUID, submission: Submission, *, back: bool = False) -> None:
        provider = self._providers[provider_id]
        warming, quota = provider.warming, provider.quota
        endless = quota.today is None and quota.this_month is None and quota.rolling is None
        if endless and not warming and not self._budgets:
            return
        recipients = -submission.recipient_count if back else submission.recipient_count
        domain = submission.envelope.sender.domain
        if domain in warming:
            left = replace(warming[domain], left=warming[domain].left - recipients)
            self._change(provider_id, warming={**warming, domain: left})
        if self._budgets:
            self._spend(provider_id, submission, recipients)
        if endless:
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

    def _spend(self, provider_id: UUID, submission: Submission, recipients: int) -> None:
        cost = self._providers[provider_id].price * recipients
        self._budgets = tuple(
            replace(b, left=b.left - cost) if b.covers(submission.user_id, provider_id) else b
            for b in self._budgets
        )
        self._snapshot = None

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
            if board.has_budgets:
                board.note_stops(decision)
            if candidate is None:
                others.append((parcel, without_route(parcel.case, decision, now, patience, clock.chance)))
            else:
                warming = board.warms(candidate, parcel.submission)
                heeds = not board.has_budgets or board.heeds_budgets(parcel.submission)
                routes.append(Route(parcel, candidate, decision, warming, heeds))
        left = board.reserve(routes, now)
        if not left and not found:
            return Plan(routes, others)
        refused = {r.parcel.submission.id for r in left}
        found.update((r.parcel.submission.id, r) for r in routes if r.parcel.submission.id not in refused)
        waiting = [r.parcel for r in left]
    return Plan([found[i] for i in order if i in found], others)


def patient_until(parcel: Parcel) -> datetime:
    """How long an email that nobody waits for may wait for a cheaper provider."""
    begin = max(parcel.case.accepted_at, parcel.submission.send_at or parcel.case.accepted_at)
    return waits_until(begin, parcel.case.expires_at)


def _route(parcel: Parcel, board: Board, now: datetime, clock: Clock) -> tuple[Decision, Candidate | None]:
    """Decide until the first choice can really be had; each refusal excludes that provider with its reason."""
    while True:
        until = patient_until(parcel)
        decision = decide(
            parcel.submission,
            board.snapshot(),
            parcel.case.tried_now(),
            now,
            clock.chance,
            until if now < until else None,
        )
        chosen = decision.chosen
        if chosen is None or board.give(chosen, parcel.submission, now):
            if decision.move is not None:
                board.move(decision.move)
            return decision, chosen
