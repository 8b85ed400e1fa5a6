"""What keeps the house in order: dead runs, orphaned claims, and when each duty was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from db.repositories import performance, rollups
from db.repositories.delivery import release_arrays, release_statement
from db.repositories.intake import FORGOTTEN
from db.repositories.retention import is_all, purge
from domain.delivery import Doubt, Release
from domain.lifecycle import Status
from domain.message import Lane, OnUnknown
from domain.upkeep import Duty, Retention

_LEAD = text("SELECT pg_try_advisory_xact_lock(hashtextextended('mailmux:' || :duty, 0))")

_BURY = text("DELETE FROM worker_runs WHERE lease_until <= mm_now()")

_DOUBTS = text("""
    WITH lost AS (
        UPDATE delivery_attempts a SET outcome = 'unknown', settled_at = mm_now(), error = 'worker_lost',
            detail = 'the worker died between opening this attempt and recording its end'
        WHERE a.outcome IS NULL AND NOT EXISTS (SELECT 1 FROM worker_runs r WHERE r.id = a.run)
        RETURNING a.id, a.job_id
    ), counted AS (
        INSERT INTO stats_due (measure, change, attempts)
        SELECT 'unknown', 1, array_agg(id) FROM lost HAVING count(*) > 0
    )
    SELECT lost.id, lost.job_id, j.status, j.on_unknown, q.round,
           1 + (SELECT count(*) FROM delivery_attempts e WHERE e.job_id = lost.job_id AND e.outcome = 'unknown')
               AS doubts
    FROM lost
    JOIN email_jobs j ON j.id = lost.job_id
    JOIN email_queue q ON q.job_id = lost.job_id
""")

_HOLD = release_statement("hold", "NOT EXISTS (SELECT 1 FROM worker_runs r WHERE r.id = q.run)")

# A run may have ended since the doubts were looked for: what it left open is not free.
_FREE = text("""
    UPDATE email_queue q SET run = NULL, token = NULL
    WHERE q.run IS NOT NULL AND NOT EXISTS (SELECT 1 FROM worker_runs r WHERE r.id = q.run)
      AND NOT EXISTS (SELECT 1 FROM delivery_attempts a WHERE a.job_id = q.job_id AND a.outcome IS NULL)
""")

_LANES = text("""
    SELECT lane FROM unnest(CAST(:lanes AS text[])) AS l(lane)
    WHERE EXISTS (SELECT 1 FROM email_queue q WHERE q.lane = l.lane AND q.run IS NULL AND q.due_at <= mm_now())
""")

# Due by the database's clock alone. What seems to have been done in the future was done before that was set back.
_OVERDUE = text("""
    SELECT d.name FROM unnest(CAST(:names AS text[]), CAST(:every AS float[])) AS d(name, every)
    LEFT JOIN upkeep_duties u ON u.name = d.name
    WHERE u.name IS NULL OR u.done_at <= mm_now() - d.every * interval '1 second' OR u.done_at > mm_now()
""")

_NOTE_DONE = text("""
    INSERT INTO upkeep_duties (name, done_at) VALUES (:duty, mm_now())
    ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at
""")

_FORGET_KEYS = text(f"DELETE FROM idempotency_keys WHERE {FORGOTTEN}")  # noqa: S608  # a constant of ours


class Upkeep:
    """domain.ports.UpkeepStore on PostgreSQL. Every method may be repeated without harm."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lead(self, duty: Duty) -> bool:
        return bool(self._connection.scalar(_LEAD, {"duty": duty.value}))

    def overdue(self, every: Mapping[Duty, float]) -> Sequence[Duty]:
        values = {"names": [d.value for d in every], "every": list(every.values())}
        return [Duty(name) for name in self._connection.scalars(_OVERDUE, values)]

    def note_done(self, duty: Duty) -> None:
        self._connection.execute(_NOTE_DONE, {"duty": duty.value})

    def bury_runs(self) -> int:
        return self._connection.execute(_BURY).rowcount

    def doubts(self) -> Sequence[Doubt]:
        return [
            Doubt(r.id, r.job_id, Status(r.status), OnUnknown(r.on_unknown), r.round, r.doubts)
            for r in self._connection.execute(_DOUBTS)
        ]

    def hold(self, moves: Sequence[Release]) -> None:
        if moves:
            _HOLD(self._connection, **release_arrays(moves))

    def free_orphans(self) -> int:
        return self._connection.execute(_FREE).rowcount

    def due_lanes(self) -> Sequence[Lane]:
        return [
            Lane(lane) for lane in self._connection.scalars(_LANES, {"lanes": [lane.value for lane in Lane]})
        ]

    def measure_providers(self) -> None:
        performance.measure_providers(self._connection)

    def add_up_stats(self) -> bool:
        return rollups.add_up(self._connection)

    def purge(self, retention: Retention) -> bool:
        """Take a part away; returns whether that was all."""
        return is_all(purge(self._connection, retention))

    def forget_idempotency_keys(self) -> int:
        """Delete the keys whose time has passed, and whose emails do not wait any more; returns how many."""
        return self._connection.execute(_FORGET_KEYS).rowcount


class Runs:
    """domain.ports.RunStore on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, run: UUID, host: str, pid: int, lease: float) -> None:
        self._connection.execute(
            text("""INSERT INTO worker_runs (id, host, pid, lease_until)
                    VALUES (:run, :host, :pid, mm_now() + :lease * interval '1 second')"""),
            {"run": str(run), "host": host, "pid": pid, "lease": lease},
        )

    def renew(self, run: UUID, lease: float) -> bool:
        renewed = self._connection.execute(
            text("""UPDATE worker_runs SET lease_until = mm_now() + :lease * interval '1 second'
                    WHERE id = :run AND lease_until > mm_now()"""),
            {"run": str(run), "lease": lease},
        )
        return renewed.rowcount == 1

    def end(self, run: UUID) -> None:
        """Its claims and open attempts, if it left any, are the sweeper's: to it the run is dead at once."""
        self._connection.execute(text("DELETE FROM worker_runs WHERE id = :run"), {"run": str(run)})
