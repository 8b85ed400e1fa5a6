"""Finding what a restored database believes to be unsent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from db.repositories.delivery import release_arrays, release_statement
from domain.delivery import Release
from domain.lifecycle import Status
from domain.recovery import Outlook, Suspect

_SUSPECT = "NOT q.held AND j.created_at <= :since AND (q.run IS NOT NULL OR q.due_at <= mm_now())"

_OUTLOOK = text(f"""
    SELECT mm_now() AS now,
        count(*) FILTER (WHERE {_SUSPECT}) AS suspects,
        count(*) FILTER (WHERE q.held AND j.status_reason = :reason) AS held,
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

_HELD = text("""
    SELECT q.job_id, j.status, q.round FROM email_queue q JOIN email_jobs j ON j.id = q.job_id
    WHERE q.held AND j.status_reason = :reason ORDER BY q.job_id LIMIT :limit FOR UPDATE OF q
""")

_PUT = release_statement("recover", "NOT EXISTS (SELECT 1 FROM worker_runs r WHERE r.id = q.run)")


class Recovery:
    """domain.recovery.RecoveryStore on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def outlook(self, since: datetime, reason: str) -> Outlook:
        self._read_much()
        row = self._connection.execute(_OUTLOOK, {"since": since, "reason": reason}).one()
        return Outlook(**row._mapping)

    def suspects(self, since: datetime, limit: int) -> Sequence[Suspect]:
        return self._found(_SUSPECTS, {"since": since, "limit": limit})

    def held(self, reason: str, limit: int) -> Sequence[Suspect]:
        return self._found(_HELD, {"reason": reason, "limit": limit})

    def put(self, moves: Sequence[Release]) -> None:
        if moves:
            _PUT(self._connection, **release_arrays(moves))

    def _found(self, statement: object, values: dict[str, object]) -> Sequence[Suspect]:
        self._read_much()
        rows = self._connection.execute(statement, values)  # type: ignore[call-overload]
        return [Suspect(r.job_id, Status(r.status), r.round) for r in rows]

    def _read_much(self) -> None:
        """Once after a restore it may read whole tables, and take its time."""
        for setting in ("enable_seqscan = on", "enable_hashjoin = on", "statement_timeout = '600s'"):
            self._connection.exec_driver_sql(f"SET LOCAL {setting}")
