"""Daily and monthly quotas, counted in recipients, reserved and refunded in the ledger's own transaction.

Being in that transaction they are exact: no counter can drift from the ledger, whatever dies (ADR 2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from db.statements import Prepared

# A window ends at `reset_at`; the month it belongs to is that of its last instant.
_ROLL = text("""
    UPDATE provider_quota SET
        used_today = 0,
        used_this_month = CASE
            WHEN date_trunc('month', (reset_at - interval '1 second') AT TIME ZONE time_zone)
               < date_trunc('month', mm_now() AT TIME ZONE time_zone) THEN 0
            ELSE used_this_month END,
        reset_at = (date_trunc('day', mm_now() AT TIME ZONE time_zone) + interval '1 day') AT TIME ZONE time_zone
    WHERE reset_at <= mm_now()
""")

_LOCK = Prepared(
    "lock_quotas",
    """
    SELECT provider_id,
           LEAST(daily_quota - used_today, monthly_quota - used_this_month) AS room
    FROM provider_quota
    WHERE provider_id = ANY(:providers) AND (daily_quota IS NOT NULL OR monthly_quota IS NOT NULL)
    ORDER BY provider_id
    FOR UPDATE
    """,
    providers="uuid[]",
)

_ADD = text("""
    UPDATE provider_quota q SET
        used_today = q.used_today + a.recipients, used_this_month = q.used_this_month + a.recipients
    FROM unnest(CAST(:providers AS uuid[]), CAST(:recipients AS int[])) AS a(provider_id, recipients)
    WHERE q.provider_id = a.provider_id
""")

# Refunds only what was counted in the window that is still open.
_REFUND = text("""
    UPDATE provider_quota q SET
        used_today = GREATEST(0, q.used_today - COALESCE(r.today, 0)),
        used_this_month = GREATEST(0, q.used_this_month - COALESCE(r.this_month, 0))
    FROM (
        SELECT a.provider_id,
               sum(a.recipients) FILTER (WHERE date_trunc('day', a.opened_at AT TIME ZONE z.time_zone)
                                             = date_trunc('day', mm_now() AT TIME ZONE z.time_zone)) AS today,
               sum(a.recipients) FILTER (WHERE date_trunc('month', a.opened_at AT TIME ZONE z.time_zone)
                                             = date_trunc('month', mm_now() AT TIME ZONE z.time_zone)) AS this_month
        FROM delivery_attempts a JOIN provider_quota z ON z.provider_id = a.provider_id
        WHERE a.id = ANY(CAST(:attempts AS uuid[]))
        GROUP BY a.provider_id
    ) r
    WHERE q.provider_id = r.provider_id
""")


class Quotas:
    """Only providers with a daily or monthly limit are locked; for the others nothing is written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def roll(self) -> int:
        """Open the next window where one has ended; returns how many. Repeating it changes nothing."""
        return self._connection.execute(_ROLL).rowcount

    def lock(self, providers: Collection[UUID]) -> dict[UUID, int]:
        """The recipients that each limited provider has room for, locked to the end of the transaction."""
        return {row.provider_id: row.room for row in _LOCK(self._connection, providers=providers)}

    def add(self, recipients: Mapping[UUID, int]) -> None:
        if recipients:
            values = {"providers": [str(p) for p in recipients], "recipients": list(recipients.values())}
            self._connection.execute(_ADD, values)

    def refund(self, attempts: Sequence[UUID]) -> None:
        """Give back what these attempts had reserved."""
        if attempts:
            self._connection.execute(_REFUND, {"attempts": [str(a) for a in attempts]})
