"""Reading the statistics: sums of one user, over days of a time zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, TextClause, text

from db.models.stats import COUNTS, LATENCIES
from domain.stats import BLOCK_MINUTES, DAY_MINUTES, SLOT_MINUTES, Dimension
from domain.upkeep import Duty

# From the first day's beginning in the zone to the last one's end, and the whole days of UTC between.
_BOUNDS = """
    SELECT *, GREATEST(first, date_trunc('day', ends, 'UTC')) AS last FROM (
        SELECT *, date_trunc('day', begins + interval '1 day' - interval '1 microsecond', 'UTC') AS first FROM (
            SELECT CAST(:since AS date)::timestamp AT TIME ZONE :zone AS begins,
                (CAST(:until AS date) + 1)::timestamp AT TIME ZONE :zone AS ends) b) f
"""
# What those leave over at both ends.
_ENDS = """
    SELECT begins AS starts, LEAST(first, ends) AS ends FROM bounds
    UNION ALL SELECT GREATEST(last, begins), ends FROM bounds
"""
# Each day of UTC counts as the day that the zone has at its noon; what of it lies before or after that is moved.
_DAYS = """
    SELECT *, day::timestamp AT TIME ZONE :zone AS begins, (day + 1)::timestamp AT TIME ZONE :zone AS ends FROM (
        SELECT start, start + interval '1 day' AS next,
            CAST((start + interval '12 hours') AT TIME ZONE :zone AS date) AS day
        FROM bounds CROSS JOIN LATERAL generate_series(first, last - interval '1 day', interval '1 day') AS start) d
"""
_MOVED = """
    SELECT start AS starts, LEAST(begins, next) AS ends, day AS out_of FROM days WHERE begins > start
    UNION ALL SELECT GREATEST(ends, start), next, day FROM days WHERE ends < next
"""


def _pieces(starts: str, ends: str) -> str:
    """A time as blocks, and as slots before and after them."""
    block = f"interval '{BLOCK_MINUTES} minutes'"
    first = f"date_bin({block}, {starts} + {block} - interval '1 microsecond', timestamptz 'epoch')"
    last = f"date_bin({block}, {ends}, timestamptz 'epoch')"
    return f"""
        (VALUES ({SLOT_MINUTES}, {starts}, LEAST({first}, {ends})), ({BLOCK_MINUTES}, {first}, {last}),
            ({SLOT_MINUTES}, GREATEST({last}, {first}), {ends})) AS x(grain, starts, ends)
    """


# The rows that a question reads: of which grain, from when until when; the day that they count as, and the one that
# they are taken out of.
_SPANS = f"""
    bounds AS ({_BOUNDS}),
    spans AS (
        SELECT {DAY_MINUTES} AS grain, first AS starts, last AS ends FROM bounds
        UNION ALL SELECT x.* FROM ({_ENDS}) e CROSS JOIN LATERAL {_pieces("e.starts", "e.ends")}
    )
"""  # noqa: S608  # constants of this module only
_SPANS_BY_DAY = f"""
    bounds AS ({_BOUNDS}),
    days AS ({_DAYS}),
    spans AS (
        SELECT {DAY_MINUTES} AS grain, start AS starts, next AS ends, day, CAST(NULL AS date) AS out_of FROM days
        UNION ALL SELECT x.*, CAST(p.starts AT TIME ZONE :zone AS date), p.out_of
        FROM (SELECT e.*, CAST(NULL AS date) AS out_of FROM ({_ENDS}) e UNION ALL {_MOVED}) p
        CROSS JOIN LATERAL {_pieces("p.starts", "p.ends")}
    )
"""  # noqa: S608  # as above
_SEEN = """
    (user_id = :user OR user_id IS NULL)
        AND test = EXISTS (SELECT FROM users u WHERE u.id = :user AND u.test_of IS NOT NULL)
"""
_PROVIDER = f"AND s.provider_id = ANY(ARRAY(SELECT id FROM providers WHERE name = :provider AND {_SEEN}))"  # noqa: S608


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


@dataclass(frozen=True, slots=True)
class Part:
    """Sums of one month (of UTC) and currency; `group`: the day, the provider's id and the value, those asked for.

    `counts` in the order of db.models.stats.COUNTS, `latencies` in that of LATENCIES.
    """

    month: date
    currency: str
    group: tuple[Any, ...]
    counts: Sequence[int]
    latencies: Sequence[int]
    spend: Decimal


def _summed(of: str = "") -> str:
    counts = [f"coalesce(CAST(sum({of}{name}) AS bigint), 0) AS {name}" for name in (*COUNTS, *LATENCIES)]
    return ", ".join([*counts, f"sum({of}spend) AS spend"])


def _asking(query: StatsQuery) -> tuple[int, TextClause]:
    """The statement, and how many of its columns are keys; sums follow."""
    keys = {
        "month": "CAST(date_trunc('month', s.slot AT TIME ZONE 'UTC') AS date)",
        "currency": "s.currency",
        **({"day": "p.day"} if query.by_day else {}),
        **({"provider_id": "s.provider_id"} if query.by_provider else {}),
        **({"value": "s.value"} if query.by_value else {}),
    }
    moved = {"out_of": "p.out_of"} if query.by_day else {}
    narrowed = (
        f"{_PROVIDER if query.provider is not None else ''} {'AND s.value = :value' if query.value else ''}"
    )
    # OFFSET 0: each span is looked up by the table's key, whatever the planner takes their number for.
    found = f"""
        SELECT {", ".join(f"{key} AS {name}" for name, key in (keys | moved).items())}, {_summed("s.")}
        FROM spans p CROSS JOIN LATERAL (
            SELECT * FROM email_stats s
            WHERE s.user_id = :user AND s.dimension = :dimension AND s.grain = p.grain
                AND s.slot >= p.starts AND s.slot < p.ends {narrowed} OFFSET 0) s
        GROUP BY {_places(len(keys | moved))}
    """  # noqa: S608  # constants of this module only
    if not query.by_day:
        return len(keys), text(f"WITH {_SPANS} {found}")
    names = (*COUNTS, *LATENCIES, "spend")
    taken = ", ".join("out_of" if name == "day" else name for name in keys)
    statement = f"""
        WITH {_SPANS_BY_DAY}, found AS ({found})
        SELECT {", ".join(keys)}, {_summed()} FROM (
            SELECT {", ".join((*keys, *names))} FROM found
            UNION ALL
            SELECT {taken}, {", ".join(f"-{name}" for name in names)} FROM found WHERE out_of IS NOT NULL) f
        GROUP BY {_places(len(keys))} HAVING {" OR ".join(f"sum({name}) <> 0" for name in COUNTS)}
    """  # noqa: S608  # as above
    return len(keys), text(statement)


def _places(number: int) -> str:
    return ", ".join(str(place) for place in range(1, number + 1))


class Stats:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def splits_slots(self, since: date, until: date, zone: str) -> bool:
        """Whether days of the zone begin within a slot."""
        values = {"since": since, "until": until, "zone": zone}
        return bool(self._connection.scalar(_GRAIN, values))

    def sums(self, user_id: UUID, query: StatsQuery) -> list[Part]:
        """Of each month (of UTC) and currency, and of each day, provider and value where they are asked for."""
        keys, statement = _asking(query)
        values = {
            "user": user_id,
            "dimension": query.dimension.value,
            "since": query.since,
            "until": query.until,
            "zone": query.zone,
            "value": query.value,
            "provider": query.provider,
        }
        rows = self._connection.execute(statement, values)
        first, last = keys, keys + len(COUNTS)
        return [Part(row[0], row[1], row[2:first], row[first:last], row[last:-1], row[-1]) for row in rows]

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
