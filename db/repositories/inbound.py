"""Providers' events: stored by the webhook, applied by workers.

Applying never waits for delivery: it takes the queue's row only where nobody holds it, and the email's only after
that. Locks go in the house's order: the events, the queue rows, the jobs, the attempts, the quotas.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid_utils
from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import DataError

from db.mapping import event_row, event_value
from db.repositories.budgets import Budgets
from db.repositories.quotas import Quotas
from db.repositories.suppressions import Suppressions
from db.statements import Prepared
from domain.attempt import Outcome
from domain.errors import Unstorable
from domain.events import DeliveryEvent, InboundEvent
from domain.inbound import Change, Dossier, Match, Note, Waiting
from domain.lifecycle import Status
from domain.message import Lane
from domain.recovery import HELD_BECAUSE, RELEASED_BECAUSE
from domain.suppression import Report

# Of a deleted account too, for as long as providers may still tell of what it sent.
_RECEIVER = text("""
    SELECT id, user_id, name, kind, config, webhook AS sealed, version, mm_now() AS now,
        user_id IS NULL OR EXISTS (SELECT FROM users u WHERE u.id = user_id AND u.role = 'operator') AS trusted
    FROM providers WHERE id = :id AND kind = :kind AND webhook IS NOT NULL
        AND (deleted_at IS NULL OR deleted_at > mm_now() - interval '30 days')
""")

_SET_WEBHOOK = text("""
    UPDATE providers SET webhook = :sealed, version = version + 1, updated_at = mm_now() WHERE id = :id
""")

_SEALED = text("SELECT webhook FROM providers WHERE id = :id")

_KEEP = Prepared(
    "keep_events",
    """
    INSERT INTO inbound_events (id, provider_id, event_key, raw, event, attempt_id, provider_message_id)
    SELECT e.id, e.provider_id, e.event_key, e.raw, CAST(e.event AS jsonb), e.attempt_id, e.message_id
    FROM unnest(:ids, :providers, :keys, :raws, :events, :attempts, :messages)
        AS e(id, provider_id, event_key, raw, event, attempt_id, message_id)
    ORDER BY e.provider_id, e.event_key
    ON CONFLICT (provider_id, event_key) DO NOTHING
    """,
    ids="uuid[]",
    providers="uuid[]",
    keys="text[]",
    raws="text[]",
    events="text[]",
    attempts="uuid[]",
    messages="text[]",
)

_USE_NONCE = Prepared(
    "use_nonce",
    """
    WITH used AS (
        INSERT INTO inbound_nonces (provider_id, nonce, body_hash) VALUES (:provider, :nonce, :hash)
        ON CONFLICT (provider_id, nonce) DO NOTHING RETURNING true
    )
    SELECT EXISTS (SELECT FROM used)
    """,
    provider="uuid",
    nonce="text",
    hash="bytea",
)

_NONCE = text("SELECT body_hash FROM inbound_nonces WHERE provider_id = :provider AND nonce = :nonce")

_TAKE = Prepared(
    "take_events",
    """
    SELECT id, provider_id, event, tries, EXTRACT(epoch FROM mm_now() - received_at) AS age
    FROM inbound_events WHERE state = 'waiting' AND due_at <= mm_now()
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    """,
    limit="int",
)

# By our id, else by the provider's; only among the accounts of the owner whose webhook told it.
_MATCH = Prepared(
    "match_events",
    """
    SELECT e.id, a.id AS attempt_id, a.job_id, a.outcome IS NULL AS open, a.provider_id,
           CAST(EXTRACT(epoch FROM a.settled_at) AS float) AS settled_at,
           CAST(EXTRACT(epoch FROM e.received_at) AS float) AS received_at
    FROM inbound_events e JOIN providers told ON told.id = e.provider_id
    CROSS JOIN LATERAL (
        SELECT c.id, c.job_id, c.outcome, c.provider_id, c.settled_at FROM (
            SELECT 1 AS place, a.* FROM delivery_attempts a WHERE a.id = e.attempt_id
            UNION ALL
            SELECT 2 AS place, a.* FROM delivery_attempts a
            WHERE e.provider_message_id IS NOT NULL AND a.provider_message_id = e.provider_message_id
        ) c JOIN providers sent ON sent.id = c.provider_id
        WHERE sent.kind = told.kind AND sent.user_id IS NOT DISTINCT FROM told.user_id
        ORDER BY sent.id <> told.id, c.place LIMIT 1
    ) a
    WHERE e.id = ANY(:events)
    """,
    events="uuid[]",
)

# Attempts that were made between a backup and its restore, by the time in their ids (UUIDv7; RFC 9562, 5.7): who
# minted them may have had a clock that was wrong. Told by an account of the email's owner, or by one of everybody's.
_ADOPT = Prepared(
    "adopt_attempts",
    """
    INSERT INTO delivery_attempts (id, job_id, provider_id, run, token, round, recipients, estimated_cost, currency,
        decision, opened_at, settled_at, outcome, error, detail)
    SELECT DISTINCT ON (e.attempt_id) e.attempt_id, j.id, told.id, e.attempt_id, 0, 0,
        jsonb_array_length(j.envelope->'recipients'), 0, told.currency,
        '{"explanation": "made before the database was restored; its provider knew of it"}',
        mm_now(), mm_now(), 'unknown', 'worker_lost', 'it was lost when the database was restored'
    FROM inbound_events e JOIN providers told ON told.id = e.provider_id
    JOIN email_jobs j ON j.id = CAST(e.event->>'email_id' AS uuid)
    WHERE e.id = ANY(:events) AND e.attempt_id IS NOT NULL AND (told.user_id IS NULL OR told.user_id = j.user_id)
        AND EXISTS (
            SELECT FROM recoveries r WHERE j.created_at <= r.at
            AND e.attempt_id >= CAST(lpad(to_hex(CAST(EXTRACT(epoch FROM r.since - interval '1 day') * 1000
                AS bigint)), 12, '0') || '70000000000000000000' AS uuid)
            AND e.attempt_id <= CAST(lpad(to_hex(CAST(EXTRACT(epoch FROM r.at + interval '1 day') * 1000
                AS bigint)), 12, '0') || '7fffbfffffffffffffff' AS uuid))
    ON CONFLICT (id) DO NOTHING
    """,
    events="uuid[]",
)

_WITH_ROW = Prepared(
    "inbound_queued", "SELECT job_id FROM email_queue WHERE job_id = ANY(:jobs)", jobs="uuid[]"
)

_HOLD_ROWS = Prepared(
    "inbound_hold_rows",
    """
    SELECT job_id, held FROM email_queue WHERE job_id = ANY(:jobs) AND run IS NULL
    ORDER BY job_id FOR UPDATE SKIP LOCKED
    """,
    jobs="uuid[]",
)

_HOLD_JOBS = Prepared(
    "inbound_hold_jobs",
    """
    SELECT id, status, status_reason, lane, envelope FROM email_jobs WHERE id = ANY(:jobs)
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    """,
    jobs="uuid[]",
)

_LEDGER = Prepared(
    "inbound_ledger",
    "SELECT id, job_id, provider_id, outcome FROM delivery_attempts WHERE job_id = ANY(:jobs)",
    jobs="uuid[]",
)

_APPLIED = Prepared(
    "inbound_applied",
    "SELECT job_id, attempt_id, event FROM inbound_events WHERE job_id = ANY(:jobs)",
    jobs="uuid[]",
)

# Not `a.outcome = 'unknown'`: all that are in doubt would be walked, as in db.repositories.claims.IS_HELD.
_SETTLE = Prepared(
    "inbound_settle",
    """
    WITH settled AS (
        UPDATE delivery_attempts a SET outcome = s.outcome, detail = 'as the provider told later',
            error = CASE WHEN s.outcome = 'accepted' THEN NULL ELSE 'rejected' END, settled_at = mm_now(),
            provider_message_id = COALESCE(a.provider_message_id, s.message_id)
        FROM unnest(:ids, :outcomes, :messages) AS s(id, outcome, message_id)
        WHERE a.id = s.id AND coalesce(a.outcome, '') = 'unknown'
        RETURNING a.id, a.outcome
    ), counted AS (
        INSERT INTO stats_due (measure, change, attempts)
        SELECT outcome, 1, array_agg(id) FROM settled GROUP BY outcome
        UNION ALL SELECT 'unknown', -1, array_agg(id) FROM settled HAVING count(*) > 0
    )
    SELECT id, outcome FROM settled
    """,
    ids="uuid[]",
    outcomes="text[]",
    messages="text[]",
)

_CHANGE = Prepared(
    "inbound_change",
    """
    UPDATE email_jobs j SET status = c.status, status_reason = c.reason,
        provider_used = COALESCE(c.provider_id, j.provider_used),
        sent_at = CASE WHEN c.provider_id IS NOT NULL THEN COALESCE(j.sent_at, mm_now()) ELSE j.sent_at END
    FROM unnest(:jobs, :statuses, :reasons, :providers) AS c(job_id, status, reason, provider_id)
    WHERE j.id = c.job_id AND j.status <> c.status
    """,
    jobs="uuid[]",
    statuses="text[]",
    reasons="text[]",
    providers="uuid[]",
)

_CLOSE = Prepared("inbound_close", "DELETE FROM email_queue WHERE job_id = ANY(:jobs)", jobs="uuid[]")

_RETRY = Prepared(
    "inbound_retry",
    "UPDATE email_queue SET held = false, due_at = mm_now() WHERE job_id = ANY(:jobs)",
    jobs="uuid[]",
)

_NOTE = Prepared(
    "inbound_note",
    """
    INSERT INTO email_status (id, email_job_id, status, reason, attempt_id, detail)
    SELECT n.id, n.job_id, n.status, n.reason, n.attempt_id, CAST(n.detail AS jsonb)
    FROM unnest(:ids, :jobs, :statuses, :reasons, :attempts, :details)
        AS n(id, job_id, status, reason, attempt_id, detail)
    """,
    ids="uuid[]",
    jobs="uuid[]",
    statuses="text[]",
    reasons="text[]",
    attempts="uuid[]",
    details="text[]",
)

_DONE = Prepared(
    "inbound_done",
    """
    WITH counted AS (
        INSERT INTO stats_due (measure, change, attempts)
        SELECT t.measure, t.change, array_agg(t.attempt_id)
        FROM unnest(:counted, :measures, :changes) AS t(attempt_id, measure, change) GROUP BY 1, 2
    )
    UPDATE inbound_events e SET state = 'applied', job_id = d.job_id, attempt_id = d.attempt_id
    FROM unnest(:ids, :jobs, :attempts) AS d(id, job_id, attempt_id) WHERE e.id = d.id
    """,
    ids="uuid[]",
    jobs="uuid[]",
    attempts="uuid[]",
    counted="uuid[]",
    measures="text[]",
    changes="int[]",
)

_POSTPONE = Prepared(
    "inbound_postpone",
    """
    UPDATE inbound_events e SET tries = LEAST(e.tries + 1, 1000), due_at = mm_now() + p.delay * interval '1 second'
    FROM unnest(:ids, :delays) AS p(id, delay) WHERE e.id = p.id
    """,
    ids="uuid[]",
    delays="float[]",
)

_LEAVE = Prepared(
    "inbound_leave", "UPDATE inbound_events SET state = 'unmatched' WHERE id = ANY(:ids)", ids="uuid[]"
)

_NEXT_DUE = Prepared(
    "inbound_next_due",
    "SELECT EXTRACT(epoch FROM min(due_at) - mm_now()) FROM inbound_events WHERE state = 'waiting'",
)


class NonceReused(Exception):
    """A value that a provider uses once came again with another body."""


def keep_events(connection: Connection, events: Sequence[tuple[UUID, InboundEvent]]) -> int:
    """As `Inbound.keep`, in anybody's transaction."""
    if not events:
        return 0
    return _KEEP(
        connection,
        ids=[uuid_utils.uuid7() for _ in events],
        providers=[provider_id for provider_id, _ in events],
        keys=[e.key for _, e in events],
        raws=[e.raw for _, e in events],
        events=[json.dumps(event_row(e.event)) for _, e in events],
        attempts=[e.event.attempt_id for _, e in events],
        messages=[e.event.provider_message_id for _, e in events],
    ).count


class Inbound:
    """domain.ports.InboundStore on PostgreSQL, and what the webhooks themselves need."""

    def __init__(self, connection: Connection, budgets: Budgets) -> None:
        self._connection = connection
        self._quotas, self._budgets = Quotas(connection), budgets

    def receiver(self, kind: str, id: UUID) -> RowMapping | None:
        """The account whose webhook this is, with the time; None: there is none."""
        return self._connection.execute(_RECEIVER, {"id": id, "kind": kind}).mappings().one_or_none()

    def sealed(self, id: UUID) -> str | None:
        """The sealed token and secrets of an account's webhook."""
        found: str | None = self._connection.execute(_SEALED, {"id": id}).scalar()
        return found

    def set_webhook(self, id: UUID, sealed: str | None) -> None:
        self._connection.execute(_SET_WEBHOOK, {"id": id, "sealed": sealed})

    def keep(self, events: Sequence[tuple[UUID, InboundEvent]]) -> int:
        """Store events of provider accounts; what is there already stays as it is. Returns how many are new.

        Raises Unstorable where the events themselves are the cause.
        """
        try:
            return keep_events(self._connection, events)
        except (DataError, ValueError) as error:
            raise Unstorable(type(error).__name__) from error

    def use_nonce(self, provider_id: UUID, nonce: str, body_hash: bytes) -> None:
        """Raises NonceReused where it came before with another body."""
        values = {"provider": provider_id, "nonce": nonce[:200]}
        if _USE_NONCE(
            self._connection, provider=str(provider_id), nonce=nonce[:200], hash=body_hash
        ).scalar():
            return
        if bytes(self._connection.execute(_NONCE, values).scalar() or b"") != body_hash:
            raise NonceReused

    def take(self, limit: int) -> Sequence[Waiting]:
        return [
            Waiting(r.id, r.provider_id, event_value(r.event), float(r.age), r.tries)
            for r in _TAKE(self._connection, limit=limit)
        ]

    def match(self, events: Sequence[UUID]) -> Mapping[UUID, Match]:
        rows = _MATCH(self._connection, events=events)
        return {
            r.id: Match(r.attempt_id, r.job_id, r.open, r.provider_id, r.settled_at, r.received_at)
            for r in rows
        }

    def adopt(self, events: Sequence[UUID]) -> Mapping[UUID, Match]:
        return self.match(events) if _ADOPT(self._connection, events=events).count else {}

    def hold(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Dossier]:
        if not job_ids:
            return {}
        queued = set(_WITH_ROW(self._connection, jobs=job_ids).scalars())
        mine = {r.job_id: r.held for r in _HOLD_ROWS(self._connection, jobs=sorted(queued))} if queued else {}
        free = [j for j in job_ids if j in mine or j not in queued]
        jobs = {r.id: r for r in _HOLD_JOBS(self._connection, jobs=free)}
        attempts: dict[UUID, dict[UUID, Outcome | None]] = defaultdict(dict)
        providers: dict[UUID, dict[UUID, UUID]] = defaultdict(dict)
        for a in _LEDGER(self._connection, jobs=list(jobs)):
            attempts[a.job_id][a.id] = None if a.outcome is None else Outcome(a.outcome)
            providers[a.job_id][a.id] = a.provider_id
        events: dict[UUID, list[tuple[UUID, DeliveryEvent]]] = defaultdict(list)
        for e in _APPLIED(self._connection, jobs=list(jobs)):
            events[e.job_id].append((e.attempt_id, event_value(e.event)))
        return {
            job_id: Dossier(
                job_id=job_id,
                status=Status(row.status),
                lane=Lane(row.lane),
                recipients=[r["email"] for r in row.envelope["recipients"]],
                attempts=attempts[job_id],
                providers=providers[job_id],
                events=events[job_id],
                queued=job_id in mine,
                held=mine.get(job_id, False),
                restored=row.status_reason in (HELD_BECAUSE, RELEASED_BECAUSE),
            )
            for job_id, row in jobs.items()
        }

    def record(self, notes: Sequence[Note], changes: Sequence[Change]) -> None:
        if not notes:
            return
        outcomes = {attempt: o.value for change in changes for attempt, o in change.outcomes.items()}
        if outcomes:
            self._settle(outcomes, notes)
        _CHANGE(
            self._connection,
            jobs=[c.job_id for c in changes],
            statuses=[c.status.value for c in changes],
            reasons=[c.reason for c in changes],
            providers=[c.provider_id for c in changes],
        )
        if closed := [c.job_id for c in changes if c.close]:
            _CLOSE(self._connection, jobs=closed)
        if again := [c.job_id for c in changes if c.retry]:
            _RETRY(self._connection, jobs=again)
        _NOTE(
            self._connection,
            ids=[uuid_utils.uuid7() for _ in notes],
            jobs=[n.job_id for n in notes],
            statuses=[n.status.value for n in notes],
            reasons=[n.event.description or n.event.mta_response for n in notes],
            attempts=[n.attempt_id for n in notes],
            details=[json.dumps(_detail(n.event)) for n in notes],
        )
        counted = [tick for change in changes for tick in change.ticks]
        _DONE(
            self._connection,
            ids=[n.event_id for n in notes],
            jobs=[n.job_id for n in notes],
            attempts=[n.attempt_id for n in notes],
            counted=[tick.attempt_id for tick in counted],
            measures=[tick.measure.value for tick in counted],
            changes=[tick.by for tick in counted],
        )

    def report(self, reports: Sequence[Report]) -> None:
        Suppressions(self._connection).report(reports)

    def _settle(self, outcomes: Mapping[UUID, str], notes: Sequence[Note]) -> None:
        messages = {n.attempt_id: n.event.provider_message_id for n in notes if n.event.provider_message_id}
        settled = _SETTLE(
            self._connection,
            ids=list(outcomes),
            outcomes=list(outcomes.values()),
            messages=[messages.get(attempt) for attempt in outcomes],
        ).all()
        not_sent = sorted(row.id for row in settled if row.outcome == Outcome.NOT_SENT.value)
        self._quotas.refund(not_sent)
        self._budgets.refund(not_sent)

    def postpone(self, delays: Mapping[UUID, float]) -> None:
        if delays:
            _POSTPONE(self._connection, ids=list(delays), delays=list(delays.values()))

    def leave(self, events: Sequence[UUID]) -> None:
        if events:
            _LEAVE(self._connection, ids=events)

    def next_due(self) -> float | None:
        seconds = _NEXT_DUE(self._connection).scalar()
        return None if seconds is None else float(seconds)


def _detail(event: DeliveryEvent) -> dict[str, Any]:
    """What the timeline says of an event, beside the provider's words."""
    row = event_row(event)
    kept = (
        "occurred_at", "recipient", "bounce", "reject_reason", "status_code", "click_url", "user_agent", "machine",
    )  # fmt: skip
    return {"event": event.type.value, **{name: row[name] for name in kept if name in row}}
