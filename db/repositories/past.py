"""Past emails with what became of them, to be decided once more. Every query is bound to one user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

_SLICE = 2000  # emails of which attempts and events are read at a time
_APART = timedelta(days=1)  # that an id's time may lie from its email's: ids are made by other clocks

# By id, for there is an index; ids are in time order (RFC 9562, 5.7). What was never to be sent is left out.
_PERIOD = """
    FROM email_jobs j
    WHERE j.user_id = :user_id AND j.id >= :first AND j.id < :last
        AND j.created_at >= :since AND j.created_at < :until
        AND j.status NOT IN ('suppressed', 'cancelled', 'scheduled')
        AND (CAST(:types AS text[]) IS NULL OR j.email_type = ANY(CAST(:types AS text[])))
"""
_COUNT = text(f"SELECT count(*) {_PERIOD}")
_EMAILS = text(f"""
    SELECT j.id, j.user_id, j.subject, j.envelope, j.email_type, j.lane, j.on_unknown,
        CAST(j.options AS text) AS options, j.tags, j.metadata,
        j.send_at, j.expires_at, j.status, j.created_at
    {_PERIOD} AND (uuid_hash(j.id) & 2147483647) % :parts = 0
    ORDER BY j.id LIMIT :most
""")  # of constants only
_ATTEMPTS = text("""
    SELECT a.id, a.job_id, a.provider_id, p.name AS provider, a.outcome, a.error, a.latency_ms, a.estimated_cost,
        a.currency
    FROM delivery_attempts a JOIN providers p ON p.id = a.provider_id
    WHERE a.job_id = ANY(CAST(:jobs AS uuid[])) AND a.outcome IS NOT NULL
    ORDER BY a.opened_at, a.id
""")
_FATES = text("""
    SELECT s.attempt_id, s.detail->>'event' AS event, s.detail->>'reject_reason' AS reject_reason,
        s.detail->>'status_code' AS status_code
    FROM email_status s
    WHERE s.email_job_id = ANY(CAST(:jobs AS uuid[])) AND s.attempt_id IS NOT NULL
        AND s.detail->>'event' IN ('delivered', 'opened', 'clicked', 'complained', 'bounced')
    ORDER BY s.timestamp, s.id
""")


@dataclass(frozen=True, slots=True)
class PastPeriod:
    """`found` emails there were; `emails` are a sample of them, one in `parts`. Rows as the tables have them."""

    found: int
    parts: int
    emails: Sequence[Any]
    attempts: Sequence[Any]
    fates: Sequence[Any]


class Past:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(
        self, user_id: UUID, since: datetime, until: datetime, types: Sequence[str] | None, most: int
    ) -> PastPeriod:
        """A user's emails that were accepted from `since` until before `until`, in order; of more than `most`, one in
        so many, chosen by a hash of their ids.
        """
        for plan in ("enable_seqscan", "enable_hashjoin"):  # it reads many rows, and not by key
            self._connection.exec_driver_sql(f"SET LOCAL {plan} = on")
        where: dict[str, Any] = {
            "user_id": user_id,
            "since": since,
            "until": until,
            "first": _floor(since - _APART),
            "last": _floor(until + _APART),
            "types": None if types is None else list(types),
        }
        found = int(self._connection.execute(_COUNT, where).scalar_one())
        parts = max(1, -(-found // most))
        emails = self._connection.execute(_EMAILS, {**where, "parts": parts, "most": 2 * most}).all()
        attempts: list[Any] = []
        fates: list[Any] = []
        ids = [email.id for email in emails]
        for at in range(0, len(ids), _SLICE):
            jobs = {"jobs": ids[at : at + _SLICE]}
            attempts += self._connection.execute(_ATTEMPTS, jobs).all()
            fates += self._connection.execute(_FATES, jobs).all()
        return PastPeriod(found, parts, emails, attempts, fates)


def _floor(at: datetime) -> UUID:
    """The lowest id of a moment."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << 80)
