"""Reading the statistics: sums of half hours, of one user, over days of a time zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from db.models.stats import COUNTS, LATENCIES
from domain.stats import DAY_MINUTES, SLOT_MINUTES, Dimension
from domain.upkeep import Duty

# From the first day's beginning in the zone to the last one's end. Whole days of UTC between come as such, unless days
# of another zone are asked for; also where a zone's offset changes its day is made of whole slots.
_BEGIN = "CAST(:since AS date)::timestamp AT TIME ZONE :zone"
_END = "(CAST(:until AS date) + 1)::timestamp AT TIME ZONE :zone"
_SLOTS = f"s.grain = {SLOT_MINUTES} AND s.slot >= {_BEGIN} AND s.slot < {_END}"
_FIRST = f"date_trunc('day', {_BEGIN} + interval '1 day' - interval '1 microsecond', 'UTC')"
_LAST = f"GREATEST({_FIRST}, date_trunc('day', {_END}, 'UTC'))"
_WHOLE_DAYS = f"s.grain = {DAY_MINUTES} AND s.slot >= {_FIRST} AND s.slot < {_LAST}"
_EDGES = f"""
    s.grain = {SLOT_MINUTES} AND (s.slot >= {_BEGIN} AND s.slot < LEAST({_FIRST}, {_END})
        OR s.slot >= GREATEST({_LAST}, {_BEGIN}) AND s.slot < {_END})
"""
_SEEN = """
    (user_id = :user OR user_id IS NULL)
        AND test = EXISTS (SELECT FROM users u WHERE u.id = :user AND u.test_of IS NOT NULL)
"""
_PROVIDER = f"AND s.provider_id IN (SELECT id FROM providers WHERE name = :provider AND {_SEEN})"  # noqa: S608


_GRAIN = text(f"""
    SELECT bool_or(CAST(EXTRACT(epoch FROM (at AT TIME ZONE :zone) - (at AT TIME ZONE 'UTC')) AS int)
        % {SLOT_MINUTES * 60} <> 0)
    FROM generate_series(CAST(:since AS date)::timestamptz, CAST(:until AS date)::timestamptz, interval '1 week') AS at
""")  # noqa: S608  # a constant

# What the accounts' tiers have come to: of all emails of the user.
_VOLUMES = text(f"""
    SELECT CAST(s.slot AT TIME ZONE 'UTC' AS date) AS day, sum(s.recipients) AS recipients FROM email_stats s
    WHERE s.user_id = :user AND s.dimension = '{Dimension.ALL}' AND s.grain = {DAY_MINUTES}
        AND s.slot >= CAST(:since AS date) AND s.slot < CAST(:until AS date) + 1
    GROUP BY 1
""")  # noqa: S608  # as above

_OFFERS = text(f"""
    SELECT p.id, p.name, p.currency, p.base_cost, q.daily_quota, q.monthly_quota, q.rolling_quota
    FROM providers p LEFT JOIN provider_quota q ON q.provider_id = p.id
    WHERE p.deleted_at IS NULL AND {_SEEN}
    ORDER BY p.id
""")  # noqa: S608  # as above

_NAMES = text(f"""
    SELECT id, name FROM providers WHERE id = ANY(CAST(:ids AS uuid[])) AND {_SEEN}
""")  # noqa: S608  # as above
_CAMPAIGNS = text("SELECT id, name FROM campaigns WHERE user_id = :user AND id = ANY(CAST(:ids AS uuid[]))")
_ADDED_UP = text("SELECT done_at FROM upkeep_duties WHERE name = :duty")


@dataclass(frozen=True, slots=True)
class StatsQuery:
    """Which sums. `since` and `until`: days of the zone, both included. `value` None: every value of the dimension."""

    since: date
    until: date
    zone: str
    dimension: Dimension = Dimension.ALL
    value: str | None = None
    provider: str | None = None
    by_day: bool = False
    by_provider: bool = False
    by_value: bool = False


class Stats:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def splits_slots(self, since: date, until: date, zone: str) -> bool:
        """Whether days of the zone begin within a slot."""
        values = {"since": since, "until": until, "zone": zone}
        return bool(self._connection.scalar(_GRAIN, values))

    def sums(self, user_id: UUID, query: StatsQuery) -> Sequence[RowMapping]:
        """Of each month (of UTC) and currency, and of each day, provider and value where they are asked for."""
        keys = {
            "month": "CAST(date_trunc('month', s.slot AT TIME ZONE 'UTC') AS date)",
            "currency": "s.currency",
            **({"day": "CAST(s.slot AT TIME ZONE :zone AS date)"} if query.by_day else {}),
            **({"provider_id": "s.provider_id"} if query.by_provider else {}),
            **({"value": "s.value"} if query.by_value else {}),
        }
        shown = ", ".join(f"{expression} AS {name}" for name, expression in keys.items())
        sums = ", ".join(f"sum(s.{name}) AS {name}" for name in (*COUNTS, "spend", *LATENCIES))
        asked = f"{_PROVIDER if query.provider is not None else ''} {'AND s.value = :value' if query.value else ''}"
        mine = f"FROM email_stats s WHERE s.user_id = :user AND s.dimension = :dimension {asked}"
        parts = (_SLOTS,) if query.by_day and query.zone != "UTC" else (_WHOLE_DAYS, _EDGES)
        statement = text(f"""
            SELECT {shown}, {sums} FROM ({" UNION ALL ".join(f"SELECT * {mine} AND ({part})" for part in parts)}) s
            GROUP BY {", ".join(str(place + 1) for place in range(len(keys)))}
        """)  # noqa: S608  # of constants only
        values = {
            "user": user_id,
            "dimension": query.dimension.value,
            "since": query.since,
            "until": query.until,
            "zone": query.zone,
            "value": query.value,
            "provider": query.provider,
        }
        return self._connection.execute(statement, values).mappings().all()

    def volumes(self, user_id: UUID, since: date, until: date) -> dict[date, int]:
        """Recipients of all the user's emails, by days of UTC."""
        values = {"user": user_id, "since": since, "until": until}
        return {row.day: int(row.recipients) for row in self._connection.execute(_VOLUMES, values)}

    def offers(self, user_id: UUID) -> Sequence[RowMapping]:
        """The accounts that the user has, what they cost without price lists, and their quotas."""
        return self._connection.execute(_OFFERS, {"user": user_id}).mappings().all()

    def provider_names(self, user_id: UUID, ids: Sequence[UUID]) -> dict[UUID, str]:
        rows = self._connection.execute(_NAMES, {"user": user_id, "ids": [str(i) for i in ids]})
        return {row.id: row.name for row in rows}

    def campaign_names(self, user_id: UUID, ids: Sequence[str]) -> dict[str, str]:
        rows = self._connection.execute(_CAMPAIGNS, {"user": user_id, "ids": list(ids)})
        return {str(row.id): row.name for row in rows}

    def added_up_at(self) -> datetime | None:
        """When that was done last; None: never."""
        found: datetime | None = self._connection.scalar(_ADDED_UP, {"duty": Duty.ADD_UP_STATS.value})
        return found
