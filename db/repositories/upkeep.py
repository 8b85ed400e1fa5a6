"""What keeps the house in order: dead runs, orphaned claims, and what the ledger says of the providers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from db.repositories.delivery import release_arrays, release_statement
from domain.delivery import Doubt, Release
from domain.lifecycle import Status
from domain.message import Lane, OnUnknown

_LEAD = text("SELECT pg_try_advisory_xact_lock(hashtextextended('mailmux:' || :duty, 0))")

_BURY = text("DELETE FROM worker_runs WHERE lease_until <= mm_now()")

_DOUBTS = text("""
    WITH lost AS (
        UPDATE delivery_attempts a SET outcome = 'unknown', settled_at = mm_now(), error = 'worker_lost',
            detail = 'the worker died between opening this attempt and recording its end'
        WHERE a.outcome IS NULL AND NOT EXISTS (SELECT 1 FROM worker_runs r WHERE r.id = a.run)
        RETURNING a.id, a.job_id
    )
    SELECT lost.id, lost.job_id, j.status, j.on_unknown, q.round,
           1 + (SELECT count(*) FROM delivery_attempts e WHERE e.job_id = lost.job_id AND e.outcome = 'unknown')
               AS doubts
    FROM lost
    JOIN email_jobs j ON j.id = lost.job_id
    JOIN email_queue q ON q.job_id = lost.job_id
""")

_HOLD = release_statement("hold", "NOT EXISTS (SELECT 1 FROM worker_runs r WHERE r.id = q.run)")

_FREE = text("""
    UPDATE email_queue q SET run = NULL, token = NULL
    WHERE q.run IS NOT NULL AND NOT EXISTS (SELECT 1 FROM worker_runs r WHERE r.id = q.run)
""")

_LANES = text("""
    SELECT lane FROM unnest(CAST(:lanes AS text[])) AS l(lane)
    WHERE EXISTS (SELECT 1 FROM email_queue q WHERE q.lane = l.lane AND q.run IS NULL AND q.due_at <= mm_now())
""")

# Rejections are the email's fault and say nothing of the provider.
_PERFORMANCE = text("""
    INSERT INTO provider_performance (id, provider_id, emails_sent, emails_failed, average_latency)
    SELECT gen_random_uuid(), p.id,
           count(*) FILTER (WHERE a.outcome = 'accepted'),
           count(*) FILTER (WHERE a.outcome = 'unknown'
                               OR a.outcome = 'not_sent' AND a.error IN ('provider_unavailable', 'misconfigured')),
           COALESCE(avg(a.latency_ms) FILTER (WHERE a.outcome = 'accepted'), 0)
    FROM providers p
    LEFT JOIN delivery_attempts a ON a.provider_id = p.id AND a.opened_at > mm_now() - interval '1 day'
    WHERE p.deleted_at IS NULL
    GROUP BY p.id
    ORDER BY p.id
    ON CONFLICT (provider_id) DO UPDATE SET
        emails_sent = excluded.emails_sent, emails_failed = excluded.emails_failed,
        average_latency = excluded.average_latency, last_updated = mm_now()
""")

# The mean of a Beta posterior with a prior of 0.99 worth 100 tries: few emails move it little.
_RELIABILITY = text("""
    UPDATE providers p SET reliability_score = (99.0 + f.emails_sent) / (100.0 + f.emails_sent + f.emails_failed)
    FROM provider_performance f WHERE f.provider_id = p.id
""")

_FORGET_KEYS = text("DELETE FROM idempotency_keys WHERE expires_at <= mm_now()")


class Upkeep:
    """domain.ports.UpkeepStore on PostgreSQL. Every method may be repeated without harm."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lead(self, duty: str) -> bool:
        return bool(self._connection.scalar(_LEAD, {"duty": duty}))

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

    def recompute_reliability(self) -> None:
        """Fold the last day's ledger into `provider_performance` and `providers.reliability_score`."""
        for plan in ("enable_seqscan", "enable_hashjoin"):  # it reads a whole day, and not by key
            self._connection.exec_driver_sql(f"SET LOCAL {plan} = on")
        self._connection.execute(_PERFORMANCE)
        self._connection.execute(_RELIABILITY)

    def forget_idempotency_keys(self) -> int:
        """Delete the keys whose time has passed; returns how many."""
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
