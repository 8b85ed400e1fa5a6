"""Emails as their owners see them: listing, reading, cancelling. Every query is bound to one user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from db.repositories.selection import SHOWN_STATUS, EmailQuery, conditions_of, find_few, find_newest
from domain.lifecycle import Event, IllegalTransition, Status, advance

_COLUMNS = f"""
    SELECT j.id, {SHOWN_STATUS} AS status, j.status_reason, j.email_type, j.lane, j.on_unknown, j.subject,
        j.envelope, j.tags, j.metadata, p.name AS provider, j.created_at, j.send_at, j.expires_at, j.sent_at,
        j.campaign_id
    FROM email_jobs j
    LEFT JOIN email_queue q ON q.job_id = j.id
    LEFT JOIN providers p ON p.id = j.provider_used
    WHERE j.user_id = :user_id
"""  # noqa: S608 - of constants only

_GET = text(f"{_COLUMNS} AND j.id = :id")

_FAMILY = text("""
    SELECT (SELECT resend_of FROM resends WHERE job_id = :id) AS resend_of,
        (SELECT job_id FROM resends WHERE resend_of = :id) AS resent_as
""")

# It begins with what the email was when it was accepted, which no line of its own tells.
_TIMELINE = text("""
    SELECT CASE WHEN send_at IS NULL THEN 'queued' ELSE 'scheduled' END AS status, created_at AS at, NULL AS reason,
        CAST(NULL AS uuid) AS attempt_id,
        NULL AS event, CAST(NULL AS uuid) AS id
    FROM email_jobs WHERE user_id = :user_id AND id = :id
    UNION ALL
    SELECT s.status, s.timestamp, s.reason, s.attempt_id, s.detail->>'event', s.id FROM email_status s
    JOIN email_jobs j ON j.id = s.email_job_id
    WHERE j.user_id = :user_id AND j.id = :id
    ORDER BY at, id NULLS FIRST
""")

_ATTEMPTS = text("""
    SELECT a.id, a.provider_id, p.name AS provider, a.outcome, a.error, a.detail, a.provider_message_id,
        a.latency_ms, a.estimated_cost, a.currency, a.recipients, a.opened_at, a.settled_at, a.decision
    FROM delivery_attempts a
    JOIN email_jobs j ON j.id = a.job_id
    JOIN providers p ON p.id = a.provider_id
    WHERE j.user_id = :user_id AND j.id = :id ORDER BY a.opened_at, a.id
""")

_EVENTS = text("""
    SELECT e.id, e.event, e.attempt_id, e.received_at, p.name AS provider
    FROM inbound_events e
    JOIN email_jobs j ON j.id = e.job_id
    JOIN providers p ON p.id = e.provider_id
    WHERE j.user_id = :user_id AND j.id = :id ORDER BY e.received_at, e.id
""")

# "Not sent" would not be true of an email that an earlier try may have brought.
_NO_DOUBT = """NOT EXISTS (
    SELECT FROM delivery_attempts a WHERE a.job_id = q.job_id AND (a.outcome IS NULL OR a.outcome = 'unknown'))"""

_TAKE_BACK = text(f"""
    DELETE FROM email_queue q WHERE job_id = :id AND user_id = :user_id AND run IS NULL AND NOT held AND {_NO_DOUBT}
    RETURNING job_id
""")  # noqa: S608  # of constants only

_LOCK = text("SELECT status FROM email_jobs WHERE id = :id AND user_id = :user_id FOR UPDATE")

_SET_STATUS = text("UPDATE email_jobs SET status = :status, status_reason = :reason WHERE id = :id")

_NOTE = text("""
    INSERT INTO email_status (id, email_job_id, status, reason) VALUES (:note_id, :id, :status, :reason)
""")


_WAITING = f"q.run IS NULL AND NOT q.held AND j.status IN ('scheduled', 'queued', 'deferred') AND {_NO_DOUBT}"

_CANCEL_MANY = text("""
    WITH taken AS (
        SELECT * FROM unnest(CAST(:jobs AS uuid[]), CAST(:notes AS uuid[])) AS t(job, note)
    ), changed AS (
        UPDATE email_jobs SET status = 'cancelled', status_reason = 'cancelled by request'
        FROM taken WHERE id = taken.job
    )
    INSERT INTO email_status (id, email_job_id, status, reason)
    SELECT note, job, 'cancelled', 'cancelled by request' FROM taken
""")

# The queue's row before the job's, as the workers do.
_LOCK_SCHEDULED = text("""
    SELECT CASE
        WHEN :send_at <= mm_now() THEN 'send_at lies in the past'
        WHEN :send_at > mm_now() + interval '366 days' THEN 'send_at is more than a year ahead'
        WHEN :send_at >= j.expires_at THEN 'the email expires before'
        END AS problem
    FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
    WHERE q.job_id = :id AND q.user_id = :user_id AND q.run IS NULL AND NOT q.held AND j.status = 'scheduled'
        AND q.due_at > mm_now()
    FOR UPDATE OF q
""")
_RESCHEDULE = text("""
    WITH changed AS (UPDATE email_jobs SET send_at = :send_at WHERE id = :id RETURNING id, campaign_id),
    moved AS (
        UPDATE email_queue SET due_at = :send_at, placed = campaign_id IS NULL FROM changed WHERE job_id = changed.id)
    INSERT INTO email_status (id, email_job_id, status, reason)
    VALUES (:note_id, :id, 'scheduled', 'rescheduled by request')
""")

_SCHEDULED = "q.run IS NULL AND NOT q.held AND j.status = 'scheduled' AND q.due_at > mm_now()"
_OUT_OF_RANGE = text("""
    SELECT CASE
        WHEN :send_at <= mm_now() THEN 'send_at lies in the past'
        WHEN :send_at > mm_now() + interval '366 days' THEN 'send_at is more than a year ahead'
        END
""")
_RESCHEDULE_MANY = text("""
    WITH moved AS (
        SELECT * FROM unnest(CAST(:jobs AS uuid[]), CAST(:notes AS uuid[])) AS t(job, note)
    ), changed AS (
        UPDATE email_jobs SET send_at = :send_at FROM moved WHERE id = moved.job RETURNING id, campaign_id
    ), unplaced AS (
        UPDATE email_queue SET placed = false FROM changed WHERE job_id = id AND campaign_id IS NOT NULL
    )
    INSERT INTO email_status (id, email_job_id, status, reason)
    SELECT note, job, 'scheduled', 'rescheduled by request' FROM moved
""")


@dataclass(frozen=True, slots=True)
class EmailRecord:
    email: RowMapping
    family: RowMapping
    timeline: Sequence[RowMapping]
    attempts: Sequence[RowMapping]
    events: Sequence[RowMapping]


class NotCancellable(Exception):
    """The email is not waiting any more; `status` is what it is."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.value)
        self.status = status


class OutOfRange(Exception):
    """The email cannot be sent at this time; the words say why."""


class Emails:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, user_id: UUID, query: EmailQuery, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` emails, newest first."""
        conditions, values = conditions_of(query)
        few = find_newest(self._connection, user_id, query, limit)
        if few is None:
            few = find_few(self._connection, user_id, query)
        if few is not None:
            conditions += " AND j.id = ANY(CAST(:few AS uuid[]))"
            values["few"] = few
        statement = text(f"{_COLUMNS} {conditions} ORDER BY j.id DESC LIMIT :limit")
        rows = self._connection.execute(statement, {**values, "user_id": user_id, "limit": limit})
        return rows.mappings().all()

    def get(self, user_id: UUID, id: UUID) -> EmailRecord | None:
        where = {"user_id": user_id, "id": id}
        email = self._connection.execute(_GET, where).mappings().one_or_none()
        if email is None:
            return None
        return EmailRecord(
            email,
            self._connection.execute(_FAMILY, where).mappings().one(),
            self._connection.execute(_TIMELINE, where).mappings().all(),
            self._connection.execute(_ATTEMPTS, where).mappings().all(),
            self._connection.execute(_EVENTS, where).mappings().all(),
        )

    def cancel(self, user_id: UUID, id: UUID, note_id: UUID) -> Status | None:
        """Take an email back that no worker holds and no try may have brought; a repeat changes nothing.

        None: there is no such email.

        Raises NotCancellable. Locks the queue's row before the job's, as the workers do.
        """
        where = {"user_id": user_id, "id": id}
        taken = self._connection.execute(_TAKE_BACK, where).one_or_none() is not None
        stored = self._connection.execute(_LOCK, where).scalar()
        if stored is None:
            return None
        status = Status(stored)
        if status is Status.CANCELLED:
            return status
        if not taken:
            raise NotCancellable(self._shown(where))
        try:
            status = advance(status, Event.CANCELLED)
        except IllegalTransition as error:
            raise NotCancellable(status) from error
        change = {"id": id, "status": status.value, "reason": "cancelled by request", "note_id": note_id}
        self._connection.execute(_SET_STATUS, change)
        self._connection.execute(_NOTE, change)
        return status

    def count_waiting(self, user_id: UUID, query: EmailQuery) -> int:
        """How many of these no worker holds, so that they could be taken back."""
        conditions, values = conditions_of(query)
        counting = text(f"SELECT count(*) FROM ({_COLUMNS} AND {_WAITING} {conditions}) w")  # noqa: S608
        return int(self._connection.execute(counting, {**values, "user_id": user_id}).scalar_one())

    def cancel_many(
        self, user_id: UUID, query: EmailQuery, most: int, ids: Callable[[], UUID]
    ) -> Sequence[UUID]:
        """Take back those of these that no worker holds, at most so many, oldest first; returns them.

        What another transaction is changing at this moment is passed over. They are picked once and for all before:
        a subquery may be asked again for each row, and then picks more each time.
        """
        conditions, values = conditions_of(query)
        taking = text(f"""
            WITH picked AS MATERIALIZED (
                SELECT q.job_id FROM email_jobs j
                JOIN email_queue q ON q.job_id = j.id
                LEFT JOIN providers p ON p.id = j.provider_used
                WHERE j.user_id = :user_id AND {_WAITING} {conditions}
                ORDER BY j.id LIMIT :most FOR UPDATE OF q SKIP LOCKED)
            DELETE FROM email_queue q USING picked WHERE q.job_id = picked.job_id AND q.run IS NULL AND NOT q.held
            RETURNING q.job_id
        """)  # noqa: S608  # of constants only
        rows = self._connection.execute(taking, {**values, "user_id": user_id, "most": most})
        taken = sorted(row.job_id for row in rows)
        if taken:
            notes = [str(ids()) for _ in taken]
            self._connection.execute(_CANCEL_MANY, {"jobs": [str(i) for i in taken], "notes": notes})
        return taken

    def reschedule(self, user_id: UUID, id: UUID, send_at: datetime, note_id: UUID) -> Status | None:
        """Send a scheduled email at another time. None: there is no such email.

        Raises NotCancellable where it is not scheduled any more, OutOfRange for a time that it cannot have.
        """
        where = {"user_id": user_id, "id": id}
        row = self._connection.execute(_LOCK_SCHEDULED, {**where, "send_at": send_at}).one_or_none()
        if row is None:
            if self._connection.execute(_GET, where).one_or_none() is None:
                return None
            raise NotCancellable(self._shown(where))
        if row.problem is not None:
            raise OutOfRange(row.problem)
        self._connection.execute(_RESCHEDULE, {"id": id, "send_at": send_at, "note_id": note_id})
        return Status.SCHEDULED

    def count_scheduled(self, user_id: UUID, query: EmailQuery, send_at: datetime) -> tuple[int, int]:
        """How many of these could be sent at another time, and how many expire before it. Raises OutOfRange."""
        self._check_time(send_at)
        conditions, values = conditions_of(query)
        counting = text(f"""
            SELECT count(*) FILTER (WHERE NOT expires AND send_at <> :send_at) AS movable,
                count(*) FILTER (WHERE expires) AS expiring
            FROM (SELECT j.send_at, coalesce(j.expires_at <= :send_at, false) AS expires FROM email_jobs j
                JOIN email_queue q ON q.job_id = j.id
                LEFT JOIN providers p ON p.id = j.provider_used
                WHERE j.user_id = :user_id AND {_SCHEDULED} {conditions}) s
        """)  # noqa: S608  # of constants only
        row = self._connection.execute(counting, {**values, "user_id": user_id, "send_at": send_at}).one()
        return row.movable, row.expiring

    def reschedule_many(
        self, user_id: UUID, query: EmailQuery, send_at: datetime, most: int, ids: Callable[[], UUID]
    ) -> Sequence[UUID]:
        """Send those of these whose time has not come at another time, at most so many, oldest first; returns them.

        Left as they are: those that expire before, and what another transaction is changing at this moment.
        """
        conditions, values = conditions_of(query)
        moving = text(f"""
            WITH picked AS MATERIALIZED (
                SELECT q.job_id FROM email_jobs j
                JOIN email_queue q ON q.job_id = j.id
                LEFT JOIN providers p ON p.id = j.provider_used
                WHERE j.user_id = :user_id AND {_SCHEDULED} AND j.send_at <> :send_at
                    AND (j.expires_at IS NULL OR j.expires_at > :send_at) {conditions}
                ORDER BY j.id LIMIT :most FOR UPDATE OF q SKIP LOCKED)
            UPDATE email_queue q SET due_at = :send_at FROM picked
            WHERE q.job_id = picked.job_id AND q.run IS NULL AND NOT q.held
            RETURNING q.job_id
        """)  # noqa: S608  # of constants only
        asked = {**values, "user_id": user_id, "send_at": send_at, "most": most}
        moved = sorted(row.job_id for row in self._connection.execute(moving, asked))
        if moved:
            notes = [str(ids()) for _ in moved]
            change = {"jobs": [str(i) for i in moved], "notes": notes, "send_at": send_at}
            self._connection.execute(_RESCHEDULE_MANY, change)
        return moved

    def _check_time(self, send_at: datetime) -> None:
        problem = self._connection.execute(_OUT_OF_RANGE, {"send_at": send_at}).scalar()
        if problem is not None:
            raise OutOfRange(problem)

    def _shown(self, where: dict[str, UUID]) -> Status:
        row = self._connection.execute(_GET, where).one()
        return Status(row.status)
