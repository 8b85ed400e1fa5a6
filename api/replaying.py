"""From a request for a replay to what is replayed, and from its findings to an answer."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from sqlalchemy import RowMapping

from api.errors import FieldError, invalid, pointer
from api.requests import dependencies
from api.schemas.prices import exact
from api.schemas.replay import (
    CellOut,
    ComparisonOut,
    IntervalOut,
    LogEntry,
    ReplayOut,
    ReplayRequest,
    ShareOut,
    TrafficOut,
)
from db import mapping
from db.repositories.learning import TypeRow
from db.repositories.past import PastPeriod
from db.uow import SqlUnitOfWork
from domain.attempt import Outcome
from domain.errors import Misconfigured, ProviderUnavailable
from domain.message import Address, Envelope, Lane, Message, Recipient, Submission
from domain.suppression import is_of_nobody
from routing.breaker import CLOSED
from routing.evidence import Record
from routing.mailbox_groups import HOSTS, group_number
from routing.pricing import PriceList, flat
from routing.reckoning import Comparison, Findings, Interval, reckon
from routing.replay import Happened, PastEmail, Replay
from routing.seats import Account
from routing.snapshot import ProviderSnapshot, QuotaLeft, RuleSnapshot, Worths
from routing.worths import worths_of

SLICE, BREATH = 50, 0.001  # after so many emails others have their turn for so many seconds
_EVIDENCE = timedelta(days=30)  # of our own emails, beside a log
_FAILED = (ProviderUnavailable.code, Misconfigured.code)
_AFTER = timedelta(days=4)  # for which emails may still wait behind the last one


class Replaying:
    """One replay: drawn up from the database at once, then carried out step by step. Raises Problem."""

    def __init__(self, user_id: UUID, asked: ReplayRequest, *, test: bool = False) -> None:
        self.asked = asked
        deps = dependencies()
        self._clock = deps.clock
        board = deps.board()
        visible = [p for p in board.providers if p.owner in (None, user_id) and p.test is test]
        with deps.units() as unit:
            now = unit.now()
            types = [t for t in unit.learning.types() if t.owner in (None, user_id)]
            _object(asked, visible, types)
            period = self._read(unit, user_id, now)
            domains = {r["email"].rpartition("@")[2] for e in period.emails for r in e.envelope["recipients"]}
            HOSTS.learn(unit.mailbox_hosts.known(domains | {entry.domain for entry in asked.log or ()}))
            lists = unit.prices.in_force()
            rows = {row["id"]: row for row in unit.providers.list(user_id, None, 1000)}
        records: dict[UUID, Record] = defaultdict(Record)
        past = _past(period, records, deps.exchange)
        self.found, weight = period.found, float(period.parts)
        if asked.log is not None:
            past = _logged(user_id, asked, visible, types, records)
            self.found = asked.sample_of or len(past)
            weight = self.found / len(past)
        taking_part = [p for p in visible if asked.providers is None or p.name in asked.providers]
        self.since, self.until = _span(asked, past)
        past = [_under(email, asked) for email in past]
        accounts = [
            _account(p, rows.get(p.id), lists, records[p.id], asked, self.since, self.until)
            for p in taking_part
        ]
        self.fees = {a.provider.name: lists[a.provider.id] for a in accounts if a.provider.id in lists}
        self._exchange = {p.name: p.exchange for p in visible}
        rules = [_ruled(r, asked) for r in board.rules if r.owner in (None, user_id)] if asked.rules else []
        self.replay = Replay(
            past, accounts, rules, _worths(asked, types, accounts), random.Random(asked.seed), weight
        )

    def _read(self, unit: SqlUnitOfWork, user_id: UUID, now: datetime) -> PastPeriod:
        """The period; beside a log, what our own emails of late tell of the providers."""
        asked = self.asked
        since, until = asked.since or now - _EVIDENCE, asked.until or now
        return unit.past.read(user_id, since, until, asked.email_types, asked.limit)

    def steps(self) -> Iterator[int]:
        """How many emails are decided, now and then. Others have their turn between."""
        for done in self.replay.steps():
            if done % SLICE == 0:
                yield done
                self._clock.sleep(BREATH)

    def answer(self) -> ReplayOut:
        """When all steps are done."""
        replay, findings = self.replay, reckon(self.replay, np.random.default_rng(self.asked.seed))
        replayed = len(replay.emails)
        fees = [
            self.fees[s.provider].monthly_fee * float(self._exchange[s.provider])
            for s in findings.providers
            if s.would_emails >= 1 and s.provider in self.fees
        ]
        return ReplayOut(
            traffic=TrafficOut(
                since=self.since,
                until=self.until,
                found=self.found,
                replayed=replayed,
                sampled=replayed < self.found,
            ),
            monthly_fees=exact(sum(fees)),
            **_figures(findings, replay.weight),
        )


def _object(asked: ReplayRequest, visible: Sequence[ProviderSnapshot], types: Sequence[TypeRow]) -> None:
    """Refuse names that nobody knows, all at once."""
    names, known_types = {p.name for p in visible}, {t.name for t in types}
    wrong: list[FieldError] = []

    def expect(path: Sequence[str | int], name: str, known: set[str], what: str) -> None:
        if name not in known:
            code = "unknown_provider" if known is names else "undeclared_type"
            wrong.append(FieldError("pointer", pointer(path), code, f"there is no {what} {name!r}"))

    for n, name in enumerate(asked.providers or ()):
        expect(("providers", n), name, names, "provider")
    for n, one in enumerate(asked.prices):
        expect(("prices", n, "provider"), one.provider, names, "provider")
    for theirs, ours in asked.known_as.items():
        expect(("known_as", theirs), ours, names, "provider")
    for name in asked.policies:
        expect(("policies", name), name, known_types, "email type")
    for n, name in enumerate(asked.email_types or ()):
        expect(("email_types", n), name, known_types, "email type")
    for n, entry in enumerate(asked.log or ()):
        expect(("log", n, "email_type"), entry.email_type, known_types, "email type")
    if wrong:
        raise invalid(wrong[:100])


def _worths(asked: ReplayRequest, types: Sequence[TypeRow], accounts: Sequence[Account]) -> Worths:
    shared = [a.prices for a in accounts if a.provider.owner is None]
    own = [a.prices for a in accounts]
    return worths_of(types, shared or own, asked.policies, asked.policy)


def _account(
    provider: ProviderSnapshot,
    row: RowMapping | None,
    lists: Mapping[UUID, PriceList],
    record: Record,
    asked: ReplayRequest,
    since: datetime,
    until: datetime,
) -> Account:
    """What is configured of a provider, without anything of the present moment."""
    exchange = float(provider.exchange)
    prices = lists.get(provider.id) or flat(float(provider.base_cost) * 1000)
    given = next((one for one in asked.prices if one.provider == provider.name), None)
    if given is not None:
        prices = given.value(provider.currency)
    days = _midnights(since, until, _zone("UTC" if row is None else row["time_zone"]))
    return Account(
        provider=replace(
            provider, quota=QuotaLeft(), breaker=CLOSED, refused_senders={}, warming={}, standing=None,
            room=1.0, rate_free_at=None, probe_taken=False,
            rate_per_second=None if row is None else row["rate_per_second"],
        ),
        prices=prices.times(exchange),
        record=record,
        daily=None if row is None else row["daily_quota"],
        monthly=None if row is None else row["monthly_quota"],
        rolling=None if row is None else row["rolling_quota"],
        day_ends=[at.timestamp() for at in days],
        month_ends=[at.timestamp() for at in days if at.day == 1],
        volume=0.0 if given is None else float(given.recipients_before),
    )  # fmt: skip


def _zone(name: str) -> ZoneInfo:
    """PostgreSQL knows some names that Python does not."""
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return ZoneInfo("UTC")


def _midnights(since: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    """The ends of days in a zone, beyond the period until a month has ended."""
    day, found = since.astimezone(zone).date(), []
    while True:
        day += timedelta(days=1)
        found.append(datetime.combine(day, time(), zone))
        if found[-1] > until + _AFTER and day.day == 1:
            return found


def _span(asked: ReplayRequest, past: Sequence[PastEmail]) -> tuple[datetime, datetime]:
    if asked.since is not None and asked.until is not None:
        return asked.since, asked.until
    times = [email.at for email in past]
    return datetime.fromtimestamp(min(times), UTC), datetime.fromtimestamp(max(times), UTC)


def _under(email: PastEmail, asked: ReplayRequest) -> PastEmail:
    """Where another policy is asked about, an email's own one does not hold."""
    submission = email.submission
    if (
        submission.wishes.policy is None
        or (asked.policy or asked.policies.get(submission.email_type)) is None
    ):
        return email
    wishes = replace(submission.wishes, policy=None)
    return replace(email, submission=replace(submission, wishes=wishes))


def _ruled(rule: RuleSnapshot, asked: ReplayRequest) -> RuleSnapshot:
    """Where another policy is asked about, a rule's own one does not hold."""
    policy = asked.policies.get(rule.email_type or "") or asked.policy
    return rule if rule.policy is None or policy is None else replace(rule, policy=policy.value)


def _past(
    period: PastPeriod, records: dict[UUID, Record], exchange: Mapping[str, Decimal]
) -> list[PastEmail]:
    """Our own emails; what their attempts tell of the providers goes into `records`."""
    fates = _fates(period)
    attempts: dict[UUID, list[Any]] = defaultdict(list)
    for attempt in period.attempts:
        attempts[attempt.job_id].append(attempt)
    past = []
    for row in period.emails:
        submission = mapping.submission(row, "", None)
        group = group_number(submission.envelope.recipients[0].address.domain)
        happened = Happened()
        for attempt in attempts[row.id]:
            happened = _beside(happened, attempt, fates.get(attempt.id), exchange)
            _note(records[attempt.provider_id], attempt, fates.get(attempt.id), group)
        at = max(row.created_at, row.send_at or row.created_at)
        past.append(PastEmail(at.timestamp(), submission, happened))
    return past


def _fates(period: PastPeriod) -> Mapping[UUID, bool | None]:
    """By attempt: whether it was delivered. None: told, and nobody's fault but the address's. A bounce holds."""
    found: dict[UUID, bool | None] = {}
    for fate in period.fates:
        if fate.event != "bounced":
            found.setdefault(fate.attempt_id, True)
        elif is_of_nobody(fate.reject_reason, fate.status_code):
            found[fate.attempt_id] = None
        else:
            found[fate.attempt_id] = False
    return found


def _note(record: Record, attempt: Any, delivered: bool | None, group: int) -> None:
    outcome = Outcome(attempt.outcome)
    if outcome is Outcome.NOT_SENT and attempt.error not in _FAILED:
        return  # the email's fault, or a rate's
    if outcome is Outcome.UNKNOWN and attempt.error == "worker_lost":
        return
    record.tried(outcome, None if attempt.latency_ms is None else attempt.latency_ms / 1000)
    if delivered is not None:
        record.heard(group, delivered=delivered)


def _beside(
    before: Happened, attempt: Any, delivered: bool | None, exchange: Mapping[str, Decimal]
) -> Happened:
    """What happened, one attempt later."""
    if attempt.outcome == Outcome.UNKNOWN:
        return replace(before, held=True, cost=before.cost or 0.0)
    if attempt.outcome != Outcome.ACCEPTED:
        return replace(before, cost=before.cost or 0.0)
    cost = float(attempt.estimated_cost * exchange.get(attempt.currency, Decimal(1)))
    seconds = None if attempt.latency_ms is None else attempt.latency_ms / 1000
    return Happened(attempt.provider, (before.cost or 0.0) + cost, seconds, delivered, before.held)


def _logged(
    user_id: UUID,
    asked: ReplayRequest,
    visible: Sequence[ProviderSnapshot],
    types: Sequence[TypeRow],
    records: dict[UUID, Record],
) -> list[PastEmail]:
    """Another service's emails; those of providers that we have too tell of them."""
    marketing = {t.name for t in types if t.marketing}
    ids = {p.name: p.id for p in visible}
    past = []
    for n, entry in enumerate(asked.log or ()):
        submission = _submission(n, user_id, entry, bulk=entry.email_type in marketing)
        group = group_number(entry.domain)
        outcome = Outcome(entry.outcome)
        ours = ids.get(asked.known_as.get(entry.provider or "", entry.provider or ""))
        if ours is not None:
            records[ours].tried(outcome, entry.seconds)
            if entry.delivered is not None and outcome is Outcome.ACCEPTED:
                records[ours].heard(group, delivered=entry.delivered)
        cost = None if entry.cost is None else float(entry.cost)
        took = entry.seconds if outcome is Outcome.ACCEPTED else None
        happened = Happened(entry.provider, cost, took, entry.delivered, outcome is Outcome.UNKNOWN)
        past.append(PastEmail(entry.at.timestamp(), submission, happened))
    return past


def _submission(n: int, user_id: UUID, entry: LogEntry, *, bulk: bool) -> Submission:
    recipients = tuple(Recipient(Address(f"r{i}@{entry.domain}")) for i in range(entry.recipients))
    return Submission(
        id=UUID(int=n + 1),
        user_id=user_id,
        message=Message("", ""),
        envelope=Envelope(Address("sender@log.invalid"), recipients),
        email_type=entry.email_type,
        lane=Lane.BULK if bulk else Lane.TRANSACTIONAL,
    )


def _figures(findings: Findings, weight: float) -> dict[str, Any]:
    f = findings
    return {
        "cost_per_1000": _compared(f.cost, 1000 / max(1, f.cost.emails)),
        "cost": _compared(f.cost, weight),
        "delivered": _compared(f.delivered),
        "held": _compared(f.held),
        "seconds": _compared(f.seconds),
        "seconds_p95": _compared(f.seconds_p95),
        "waited": round(f.waited, 3),
        "not_carried": f.not_carried,
        "providers": [
            ShareOut(
                provider=s.provider, emails=s.emails, cost=exact(s.cost),
                would_emails=round(s.would_emails, 1), would_cost=exact(s.would_cost),
            )
            for s in f.providers
        ],
        "cells": [
            CellOut(
                provider=c.provider, mailbox_group=c.mailbox_group, emails=c.emails, observations=c.observations,
                delivered=_interval(c.delivered), unknown=c.unknown,
            )
            for c in f.cells
        ],
        "reasons": dict(Counter(f.reasons).most_common()),
    }  # fmt: skip


def _compared(c: Comparison, factor: float = 1.0) -> ComparisonOut:
    return ComparisonOut(
        happened=None if c.happened is None else round(c.happened * factor, 6),
        would=_interval(c.would, factor),
        difference=_interval(c.difference, factor),
        emails=c.emails,
        unknown=c.unknown,
    )


def _interval(i: Interval | None, factor: float = 1.0) -> IntervalOut | None:
    if i is None:
        return None
    mean, low, high = (round(value * factor, 6) for value in (i.mean, i.low, i.high))
    return IntervalOut(mean=mean, low=low, high=high)
