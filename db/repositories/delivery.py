"""The queue and the ledger: claiming, opening attempts, recording how they ended.

Every statement works on a set; arrays travel through `unnest`. Locks are taken in one order everywhere:
the run, the queue rows, the quotas, the budgets, the jobs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import uuid_utils
from sqlalchemy import Connection, text

from db.repositories import calls, claims
from db.repositories.budgets import Budgets
from db.repositories.campaigns import Campaigns
from db.repositories.inbound import keep_events
from db.repositories.quotas import LIMITED, Quotas
from db.repositories.routes import Routes
from db.repositories.suppressions import Suppressions
from db.repositories.warm_ups import WarmUps
from db.statements import Prepared
from domain.budgets import BudgetNotice, Till
from domain.delivery import (
    MOST_BYTES,
    CallLine,
    Claim,
    Close,
    DoubtfulCall,
    Ending,
    HomeMove,
    LeaseLost,
    LoadedEmail,
    Move,
    Opened,
    Opening,
    Release,
)
from domain.message import Lane
from domain.suppression import LeftOut

# With it comes whether anything is limited at all: most houses have nothing to lock.
_FENCE = Prepared(
    "fence",
    f"""
    SELECT EXISTS (SELECT FROM provider_quota WHERE {LIMITED}) AS quotas, EXISTS (SELECT FROM budgets) AS budgeted
    FROM worker_runs WHERE id = :run AND lease_until > mm_now() FOR KEY SHARE
    """,  # noqa: S608  # a constant of the quotas' module
    run="uuid",
)

_SETTLE = Prepared(
    "settle",
    """
    WITH settled AS (
        UPDATE delivery_attempts a SET
            outcome = e.outcome, error = e.error, detail = e.detail, provider_message_id = e.message_id,
            latency_ms = e.latency_ms, settled_at = mm_now()
        FROM unnest(:ids, :outcomes, :errors, :details, :message_ids, :latencies)
             AS e(id, outcome, error, detail, message_id, latency_ms)
        WHERE a.id = e.id AND a.run IS NOT DISTINCT FROM :run AND coalesce(a.outcome, '') = ''
        RETURNING a.id, a.outcome
    ), counted AS (
        INSERT INTO stats_due (measure, change, attempts)
        SELECT outcome, 1, array_agg(id) FROM settled GROUP BY outcome
    )
    SELECT id FROM settled WHERE outcome = 'not_sent'
    """,
    run="uuid",
    ids="uuid[]",
    outcomes="text[]",
    errors="text[]",
    details="text[]",
    message_ids="text[]",
    latencies="float[]",
)


def release_statement(name: str, held_by: str, **more: str) -> Prepared:
    """Puts claimed rows down, and shows what changed. `held_by` is SQL that says whose claims `q` may be.

    An email that waits on and on is deferred once in its timeline, not at every look at it.
    """
    return Prepared(
        name,
        f"""
    WITH m AS (
        SELECT * FROM unnest(:ids, :jobs, :delays, :rounds, :helds, :statuses, :reasons, :attempts)
            AS m(id, job_id, delay, round, held, status, reason, attempt_id)
    ), kept AS (
        UPDATE email_queue q SET run = NULL, token = NULL, claims = 0, round = m.round, held = m.held,
            due_at = mm_now() + m.delay * interval '1 second'
        FROM m WHERE q.job_id = m.job_id AND {held_by}
        RETURNING m.*
    ), shown AS (
        UPDATE email_jobs j SET status = kept.status, status_reason = kept.reason
        FROM kept WHERE j.id = kept.job_id AND kept.status IS NOT NULL
            AND (j.status, j.status_reason) IS DISTINCT FROM (kept.status, kept.reason)
    )
    INSERT INTO email_status (id, email_job_id, status, reason, attempt_id)
    SELECT kept.id, kept.job_id, kept.status, kept.reason, kept.attempt_id
    FROM kept JOIN email_jobs j ON j.id = kept.job_id
    WHERE kept.status IS NOT NULL AND (kept.status <> j.status OR kept.attempt_id IS NOT NULL)
    """,  # noqa: S608  # constants of these modules only
        **more,
        ids="uuid[]",
        jobs="uuid[]",
        delays="float[]",
        rounds="int[]",
        helds="bool[]",
        statuses="text[]",
        reasons="text[]",
        attempts="uuid[]",
    )


_RELEASE = release_statement("release", claims.IS_HELD, **claims.HELD)

_CLOSE = Prepared(
    "close",
    f"""
    WITH m AS (
        SELECT * FROM unnest(:ids, :jobs, :statuses, :reasons, :attempts, :providers)
            AS m(id, job_id, status, reason, attempt_id, provider_id)
    ), gone AS (
        DELETE FROM email_queue q USING m WHERE q.job_id = m.job_id AND {claims.IS_HELD}
        RETURNING m.*
    ), shown AS (
        UPDATE email_jobs j SET status = gone.status, status_reason = gone.reason,
            provider_used = COALESCE(gone.provider_id, j.provider_used),
            sent_at = CASE WHEN gone.status = 'sent' THEN mm_now() ELSE j.sent_at END
        FROM gone WHERE j.id = gone.job_id
    )
    INSERT INTO email_status (id, email_job_id, status, reason, attempt_id)
    SELECT id, job_id, status, reason, attempt_id FROM gone
    """,  # noqa: S608  # constants of these modules only
    **claims.HELD,
    ids="uuid[]",
    jobs="uuid[]",
    statuses="text[]",
    reasons="text[]",
    attempts="uuid[]",
    providers="uuid[]",
)

_OPEN = Prepared(
    "open",
    f"""
    INSERT INTO delivery_attempts
        (id, job_id, provider_id, run, token, round, recipients, estimated_cost, currency, decision)
    SELECT o.id, o.job_id, o.provider_id, :run, :token, o.round, o.recipients, o.cost, o.currency,
           CAST(o.decision AS jsonb)
    FROM unnest(:ids, :jobs, :providers, :rounds, :recipients, :costs, :currencies, :decisions)
         AS o(id, job_id, provider_id, round, recipients, cost, currency, decision)
    JOIN email_queue q ON q.job_id = o.job_id AND {claims.IS_HELD}
    """,  # noqa: S608  # as above
    **claims.HELD,
    ids="uuid[]",
    jobs="uuid[]",
    providers="uuid[]",
    rounds="int[]",
    recipients="int[]",
    costs="numeric[]",
    currencies="text[]",
    decisions="text[]",
)

_IN_LEDGER = Prepared("in_ledger", "SELECT id FROM delivery_attempts WHERE id = ANY(:ids)", ids="uuid[]")

_REFUSED_SENDER = text("""
    INSERT INTO sender_domains (provider_id, domain, verified, detail, retry_at)
    SELECT DISTINCT CAST(d.provider_id AS uuid), d.domain, false, 'refused at a send',
           mm_now() + :minutes * interval '1 minute'
    FROM unnest(CAST(:providers AS uuid[]), CAST(:domains AS text[])) AS d(provider_id, domain)
    ORDER BY 1, 2
    ON CONFLICT (provider_id, domain) DO UPDATE
        SET verified = false, detail = excluded.detail, checked_at = mm_now(), retry_at = excluded.retry_at
""")
_SENDER_RETRY_MINUTES = 15

_NEXT_DUE = Prepared(
    "next_due",
    "SELECT EXTRACT(epoch FROM min(due_at) - mm_now()) FROM email_queue WHERE lane = :lane AND run IS NULL",
    lane="text",
)


class Delivery:
    """domain.ports.DeliveryStore on PostgreSQL."""

    def __init__(self, connection: Connection, budgets: Budgets) -> None:
        self._connection = connection
        self._quotas, self._warm_ups, self._budgets = Quotas(connection), WarmUps(connection), budgets
        self._has_quotas = self._budgeted = True  # until the fence has looked whether there are any

    def claim(self, lane: Lane, run: UUID, limit: int, shuffle: Callable[[list[UUID]], None]) -> Claim:
        return claims.claim(self._connection, lane, run, limit, shuffle)

    def load(self, job_ids: Sequence[UUID], most_bytes: int = MOST_BYTES) -> Mapping[UUID, LoadedEmail]:
        return claims.load(self._connection, job_ids, most_bytes)

    def fence(self, run: UUID) -> None:
        row = _FENCE(self._connection, run=str(run)).first()
        if row is None:
            raise LeaseLost(f"the lease of run {run} has passed")
        self._has_quotas, self._budgeted = row.quotas, row.budgeted

    def settle(self, run: UUID, token: int, endings: Sequence[Ending], moves: Sequence[Move]) -> None:
        claim = {"run": str(run), "token": token}
        if endings:
            self._settle(str(run), endings)
        if releases := [m for m in moves if isinstance(m, Release)]:
            _RELEASE(self._connection, **claim, **release_arrays(releases))
        if closes := [m for m in moves if isinstance(m, Close)]:
            _CLOSE(self._connection, **claim, **_close_arrays(closes))

    def _settle(self, run: str, endings: Sequence[Ending]) -> None:
        not_sent = _SETTLE(
            self._connection,
            run=run,
            ids=[e.attempt_id for e in endings],
            outcomes=[e.outcome.value for e in endings],
            errors=[e.error for e in endings],
            details=[e.detail for e in endings],
            message_ids=[e.provider_message_id for e in endings],
            latencies=[e.latency_ms for e in endings],
        ).scalars()
        refunded = sorted(not_sent)
        if refunded:
            self._hold_limits()
        self._quotas.refund(refunded)
        self._warm_ups.refund(refunded)
        if self._budgeted:
            self._budgets.refund(refunded)
        Suppressions(self._connection).report([report for e in endings for report in e.reports])
        keep_events(self._connection, [event for e in endings for event in e.events])
        if refused := {e.refused_sender for e in endings if e.refused_sender is not None}:
            providers, domains = zip(*sorted(refused), strict=True)
            self._connection.execute(
                _REFUSED_SENDER,
                {
                    "providers": [str(p) for p in providers],
                    "domains": list(domains),
                    "minutes": _SENDER_RETRY_MINUTES,
                },
            )

    def _hold_limits(self) -> None:
        """Lock whatever limits emails. Who gives back here and opens attempts after that would else take locks in
        another order than those who only open some.
        """
        if self._has_quotas:
            self._quotas.hold_all()
        self._warm_ups.hold_all()
        if self._budgeted:
            self._budgets.hold_all()

    def open(self, run: UUID, token: int, openings: Sequence[Opening]) -> Opened:
        if not openings:
            return Opened(frozenset(), frozenset())
        room = self._quotas.lock({o.provider_id for o in openings}) if self._has_quotas else {}
        warming = self._warm_ups.lock({(o.provider_id, o.warming) for o in openings if o.warming is not None})
        till = self._budgets.lock(openings) if self._budgeted else None
        if not room and not warming and till is None:
            return Opened(self._insert(run, token, openings), frozenset())
        fitting: list[Opening] = []
        spent: set[UUID] = set()
        for opening in openings:
            pair = opening.provider_id, opening.warming or ""
            limits = (room.get(opening.provider_id), warming.get(pair))
            if any(left is not None and left < opening.recipients for left in limits):
                spent.add(opening.provider_id)
                continue
            if till is not None and not _charge(till, opening):
                spent.add(opening.provider_id)
                continue
            if opening.provider_id in room:
                room[opening.provider_id] -= opening.recipients
            if pair in warming:
                warming[pair] -= opening.recipients
            fitting.append(opening)
        opened = self._insert(run, token, fitting)
        used: dict[UUID, int] = defaultdict(int)
        warmed: dict[tuple[UUID, str], int] = defaultdict(int)
        for opening in fitting:
            if opening.attempt_id in opened:
                used[opening.provider_id] += opening.recipients
                warmed[opening.provider_id, opening.warming or ""] += opening.recipients
        self._quotas.add({p: n for p, n in used.items() if p in room})
        self._warm_ups.add({pair: n for pair, n in warmed.items() if pair in warming})
        notices = () if till is None else self._budgets.count(till, opened)
        return Opened(opened, frozenset(spent), notices)

    def stop(self, budgets: Collection[UUID]) -> Sequence[BudgetNotice]:
        return self._budgets.stop(budgets)

    def _insert(self, run: UUID, token: int, openings: Sequence[Opening]) -> frozenset[UUID]:
        """Write those whose email is held by this claim. Returns their ids."""
        ids = [o.attempt_id for o in openings]
        if not ids:
            return frozenset()
        written = _OPEN(
            self._connection,
            run=str(run),
            token=token,
            ids=ids,
            jobs=[o.job_id for o in openings],
            providers=[o.provider_id for o in openings],
            rounds=[o.round for o in openings],
            recipients=[o.recipients for o in openings],
            costs=[o.cost for o in openings],
            currencies=[o.currency for o in openings],
            decisions=[o.decision for o in openings],
        ).count
        if written == len(ids):
            return frozenset(ids)
        return frozenset(_IN_LEDGER(self._connection, ids=ids).scalars())

    def halt(self, run: UUID, token: int, job_ids: Collection[UUID]) -> Collection[UUID]:
        return Campaigns(self._connection).halt_claimed(run, token, job_ids)

    def place(self, run: UUID, token: int, job_ids: Collection[UUID]) -> Mapping[UUID, float]:
        return Campaigns(self._connection).place(run, token, job_ids)

    def doubted(self, job_ids: Sequence[UUID]) -> Collection[UUID]:
        return claims.doubted(self._connection, job_ids)

    def leave_out(self, job_id: UUID, left_out: Sequence[LeftOut]) -> None:
        claims.leave_out(self._connection, job_id, left_out)

    def note_calls(self, lines: Sequence[CallLine]) -> None:
        calls.note(self._connection, lines)

    def move_homes(self, moves: Sequence[HomeMove]) -> None:
        Routes(self._connection).move(moves)

    def doubtful_call(self, but: Collection[UUID]) -> DoubtfulCall | None:
        return calls.take_doubtful(self._connection, but)

    def next_due(self, lane: Lane) -> float | None:
        seconds = _NEXT_DUE(self._connection, lane=lane.value).scalar()
        return None if seconds is None else float(seconds)


def _charge(till: Till, opening: Opening) -> bool:
    """Whether the budgets that an attempt comes under have room for it; then it is counted in them."""
    if opening.user_id is None:
        return True
    cost = opening.cost, opening.currency
    return till.take(
        opening.attempt_id, opening.user_id, opening.provider_id, cost, heeds=opening.heeds_budgets
    )


def release_arrays(releases: Sequence[Release]) -> dict[str, Any]:
    """The parameters of a set of releases, one array per column."""
    return {
        "ids": [uuid_utils.uuid7().hex for _ in releases],
        "jobs": [m.job_id for m in releases],
        "delays": [m.delay for m in releases],
        "rounds": [m.round for m in releases],
        "helds": [m.held for m in releases],
        "statuses": [m.status and m.status.value for m in releases],
        "reasons": [m.reason for m in releases],
        "attempts": [m.attempt_id for m in releases],
    }


def _close_arrays(closes: Sequence[Close]) -> dict[str, Any]:
    return {
        "ids": [uuid_utils.uuid7().hex for _ in closes],
        "jobs": [m.job_id for m in closes],
        "statuses": [m.status.value for m in closes],
        "reasons": [m.reason for m in closes],
        "attempts": [m.attempt_id for m in closes],
        "providers": [m.provider_id for m in closes],
    }
