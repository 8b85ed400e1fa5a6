"""Finding what a restored database believes to be unsent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from db.repositories.delivery import release_arrays, release_statement
from domain.delivery import Release
from domain.lifecycle import Status
from domain.recovery import HELD_BECAUSE, Outlook, Suspect, WorkersAlive

_HELD_BY_IT = "q.held AND j.status_reason IS NOT DISTINCT FROM :reason"
_SUSPECT = f"""j.created_at <= :since AND (q.held OR q.run IS NOT NULL OR q.due_at <= mm_now())
    AND NOT ({_HELD_BY_IT})"""

_OUTLOOK = text(f"""
    SELECT mm_now() AS now,
        count(*) FILTER (WHERE {_SUSPECT}) AS suspects,
        count(*) FILTER (WHERE {_HELD_BY_IT}) AS held,
        count(*) FILTER (WHERE NOT q.held AND q.run IS NULL AND q.due_at > mm_now() AND j.created_at <= :since)
            AS later,
        count(*) FILTER (WHERE j.created_at > :since) AS accepted_since,
        (SELECT max(at) FROM (SELECT max(created_at) AS at FROM email_jobs
            UNION ALL SELECT max(opened_at) FROM delivery_attempts) traces) AS newest,
        (SELECT count(*) FROM worker_runs WHERE lease_until > mm_now()) AS alive
    FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
""")  # noqa: S608  # constants of this module only

_SUSPECTS = text(f"""
    SELECT q.job_id, j.status, q.round FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
    WHERE {_SUSPECT} ORDER BY q.job_id LIMIT :limit FOR UPDATE OF q
""")  # noqa: S608  # as above

_HELD = text(f"""
    SELECT q.job_id, j.status, q.round FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
    WHERE {_HELD_BY_IT} ORDER BY q.job_id LIMIT :limit FOR UPDATE OF q
""")  # noqa: S608  # as above

_ALIVE = text("SELECT count(*) FROM worker_runs WHERE lease_until > mm_now()")

_NEVER_RESEND = text("""
    UPDATE email_jobs SET on_unknown = 'hold' WHERE id = ANY(CAST(:jobs AS uuid[])) AND on_unknown <> 'hold'
""")

_NOTE = text("INSERT INTO recoveries (since, at) VALUES (:since, mm_now()) ON CONFLICT (at) DO NOTHING")

_LOOK_AGAIN = text("""
    UPDATE inbound_events SET state = 'waiting', due_at = mm_now(), tries = 0
    WHERE state = 'unmatched' AND attempt_id IS NOT NULL AND received_at >= :since
""")

_PUT = release_statement("recover", "NOT EXISTS (SELECT 1 FROM worker_runs r WHERE r.id = q.run)")


class Recovery:
    """domain.recovery.RecoveryStore on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def outlook(self, since: datetime) -> Outlook:
        self._read_much()
        row = self._connection.execute(_OUTLOOK, {"since": since, "reason": HELD_BECAUSE}).one()
        return Outlook(**row._mapping)

    def suspects(self, since: datetime, limit: int) -> Sequence[Suspect]:
        return self._found(_SUSPECTS, {"since": since, "reason": HELD_BECAUSE, "limit": limit})

    def held(self, limit: int) -> Sequence[Suspect]:
        return self._found(_HELD, {"reason": HELD_BECAUSE, "limit": limit})

    def put(self, moves: Sequence[Release]) -> None:
        if self._connection.execute(_ALIVE).scalar_one():
            raise WorkersAlive
        if moves:
            _PUT(self._connection, **release_arrays(moves))

    def never_resend(self, emails: Sequence[UUID]) -> None:
        self._connection.execute(_NEVER_RESEND, {"jobs": [str(email) for email in emails]})

    def note(self, since: datetime) -> None:
        self._read_much()
        self._connection.execute(_NOTE, {"since": since})
        self._connection.execute(_LOOK_AGAIN, {"since": since})

    def _found(self, statement: object, values: dict[str, object]) -> Sequence[Suspect]:
        self._read_much()
        rows = self._connection.execute(statement, values)  # type: ignore[call-overload]
        return [Suspect(r.job_id, Status(r.status), r.round) for r in rows]

    def _read_much(self) -> None:
        """Once after a restore it may read whole tables, and take its time."""
        for setting in ("enable_seqscan = on", "enable_hashjoin = on", "statement_timeout = '600s'"):
            self._connection.exec_driver_sql(f"SET LOCAL {setting}")
