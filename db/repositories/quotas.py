"""Quotas of a day, a month and any 24 hours: in recipients, reserved and refunded in the ledger's own transaction.

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

# Any 24 hours are counted by quarters of an hour; one counts until it is wholly past, so never too little.
_SLOT = "interval '15 minutes'"
_ROLL_SLOTS = text(f"""
    WITH held AS (
        SELECT provider_id FROM provider_quota q WHERE EXISTS (
            SELECT 1 FROM quota_slots s
            WHERE s.provider_id = q.provider_id AND s.slot <= mm_now() - interval '1 day' - {_SLOT})
        ORDER BY provider_id FOR UPDATE
    ), gone AS (
        DELETE FROM quota_slots s USING held
        WHERE s.provider_id = held.provider_id AND s.slot <= mm_now() - interval '1 day' - {_SLOT}
        RETURNING s.provider_id, s.recipients
    )
    UPDATE provider_quota q SET used_rolling = GREATEST(0, q.used_rolling - g.recipients)
    FROM (SELECT provider_id, sum(recipients) AS recipients FROM gone GROUP BY 1) g
    WHERE q.provider_id = g.provider_id
""")  # noqa: S608  # a constant of this module only

LIMITED = "(daily_quota IS NOT NULL OR monthly_quota IS NOT NULL OR rolling_quota IS NOT NULL)"
_LOCK = Prepared(
    "lock_quotas",
    f"""
    SELECT provider_id,
           LEAST(daily_quota - used_today, monthly_quota - used_this_month, rolling_quota - used_rolling) AS room
    FROM provider_quota
    WHERE provider_id = ANY(:providers) AND {LIMITED}
    ORDER BY provider_id
    FOR UPDATE
    """,  # noqa: S608  # a constant of this module only
    providers="uuid[]",
)

_HOLD = Prepared(
    "hold_quotas",
    f"SELECT 1 FROM provider_quota WHERE {LIMITED} ORDER BY provider_id FOR UPDATE",  # noqa: S608  # as above
)

_ADD = text(f"""
    WITH counted AS (
        UPDATE provider_quota q SET
            used_today = q.used_today + a.recipients, used_this_month = q.used_this_month + a.recipients,
            used_rolling = CASE WHEN q.rolling_quota IS NULL THEN 0 ELSE q.used_rolling + a.recipients END
        FROM unnest(CAST(:providers AS uuid[]), CAST(:recipients AS int[])) AS a(provider_id, recipients)
        WHERE q.provider_id = a.provider_id
        RETURNING q.provider_id, a.recipients, q.rolling_quota
    )
    INSERT INTO quota_slots (provider_id, slot, recipients)
    SELECT provider_id, date_bin({_SLOT}, mm_now(), timestamptz 'epoch'), recipients
    FROM counted WHERE rolling_quota IS NOT NULL
    ON CONFLICT (provider_id, slot) DO UPDATE SET recipients = quota_slots.recipients + excluded.recipients
""")  # noqa: S608  # a constant of this module only

# Refunds only what was counted in the window that is still open.
_REFUND = text(f"""
    WITH returned AS (
        SELECT a.provider_id, date_bin({_SLOT}, a.opened_at, timestamptz 'epoch') AS slot,
               sum(a.recipients) AS recipients
        FROM delivery_attempts a JOIN provider_quota z ON z.provider_id = a.provider_id AND z.rolling_quota IS NOT NULL
        WHERE a.id = ANY(CAST(:attempts AS uuid[])) GROUP BY 1, 2
    ), held AS (
        SELECT provider_id FROM provider_quota WHERE provider_id IN (SELECT provider_id FROM returned)
        ORDER BY provider_id FOR UPDATE
    ), slots AS (
        UPDATE quota_slots s SET recipients = s.recipients - LEAST(s.recipients, r.recipients)
        FROM returned r JOIN held ON held.provider_id = r.provider_id
        WHERE s.provider_id = r.provider_id AND s.slot = r.slot
        RETURNING s.provider_id, r.recipients
    )
    UPDATE provider_quota q SET
        used_rolling = GREATEST(0, q.used_rolling - COALESCE(
            (SELECT sum(s.recipients) FROM slots s WHERE s.provider_id = q.provider_id), 0)),
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
""")  # noqa: S608  # a constant of this module only

# Where a limit of any 24 hours is new, what the ledger knows of the last ones counts.
_SEED_SLOTS = text(f"""
    WITH known AS (
        INSERT INTO quota_slots (provider_id, slot, recipients)
        SELECT a.provider_id, date_bin({_SLOT}, a.opened_at, timestamptz 'epoch'), sum(a.recipients)
        FROM delivery_attempts a JOIN provider_quota q ON q.provider_id = a.provider_id
        WHERE a.provider_id = :provider AND a.opened_at > mm_now() - interval '1 day' - {_SLOT}
            AND a.outcome IS DISTINCT FROM 'not_sent' AND q.rolling_quota IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM quota_slots s WHERE s.provider_id = :provider)
        GROUP BY 1, 2
        ON CONFLICT DO NOTHING
        RETURNING recipients
    )
    UPDATE provider_quota SET used_rolling = used_rolling + (SELECT COALESCE(sum(recipients), 0) FROM known)
    WHERE provider_id = :provider
""")  # noqa: S608  # a constant of this module only
_DROP_SLOTS = text("""
    WITH unlimited AS (
        UPDATE provider_quota SET used_rolling = 0 WHERE provider_id = :provider AND rolling_quota IS NULL
        RETURNING provider_id
    )
    DELETE FROM quota_slots s USING unlimited u WHERE s.provider_id = u.provider_id
""")


class Quotas:
    """Only providers with a limit are locked; for the others nothing is written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def roll(self) -> int:
        """Open the next window where one has ended, and let what is a day old go; returns how many were opened.
        Repeating it changes nothing.
        """
        self._connection.execute(_ROLL_SLOTS)
        return self._connection.execute(_ROLL).rowcount

    def lock(self, providers: Collection[UUID]) -> dict[UUID, int]:
        """The recipients that each limited provider has room for, locked to the end of the transaction."""
        return {row.provider_id: row.room for row in _LOCK(self._connection, providers=providers)}

    def begin_rolling(self, provider: UUID) -> None:
        """Bring the count of any 24 hours in step with whether there is such a limit."""
        for statement in (_SEED_SLOTS, _DROP_SLOTS):
            self._connection.execute(statement, {"provider": provider})

    def add(self, recipients: Mapping[UUID, int]) -> None:
        if recipients:
            values = {"providers": [str(p) for p in recipients], "recipients": list(recipients.values())}
            self._connection.execute(_ADD, values)

    def hold_all(self) -> None:
        """Lock all of them to the end of the transaction."""
        _HOLD(self._connection)

    def refund(self, attempts: Sequence[UUID]) -> None:
        """Give back what these attempts had reserved."""
        if attempts:
            self._connection.execute(_REFUND, {"attempts": [str(a) for a in attempts]})
