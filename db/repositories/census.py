"""What operators watch, counted in the database at the moment of asking. Cheap, also where a million emails wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from db.repositories.budgets import STATE
from domain.message import Lane

COUNTED_UP_TO: Final = 100_000  # emails in one state: counting more would only cost

_STATES: Final = {
    "due": "run IS NULL AND NOT held AND due_at <= mm_now()",
    "waiting": "run IS NULL AND NOT held AND due_at > mm_now()",
    "sending": "run IS NOT NULL",
    "unknown": "held",
}

_QUEUE = text(
    " UNION ALL ".join(
        f"""SELECT l.lane, '{state}' AS state,
            (SELECT count(*) FROM (SELECT 1 FROM email_queue q WHERE q.lane = l.lane AND {condition}
                                   LIMIT {COUNTED_UP_TO}) counted) AS emails
            FROM unnest(CAST(:lanes AS text[])) AS l(lane)"""  # noqa: S608  # constants only
        for state, condition in _STATES.items()
    )
)

_AGES = text("""
    SELECT l.lane, COALESCE(EXTRACT(epoch FROM mm_now() - (
        SELECT q.due_at FROM email_queue q
        WHERE q.lane = l.lane AND q.run IS NULL AND NOT q.held AND q.due_at <= mm_now()
        ORDER BY q.due_at LIMIT 1)), 0) AS seconds
    FROM unnest(CAST(:lanes AS text[])) AS l(lane)
""")

_RUNS = text("""
    SELECT count(*) FILTER (WHERE lease_until > mm_now()) AS alive,
           count(*) FILTER (WHERE lease_until <= mm_now()) AS dead FROM worker_runs
""")

_OPEN = text("SELECT count(*) FROM delivery_attempts WHERE outcome IS NULL")

_EVENTS = text(f"""
    SELECT (SELECT count(*) FROM (
            SELECT 1 FROM inbound_events WHERE state = 'waiting' LIMIT {COUNTED_UP_TO}) counted) AS waiting,
        COALESCE((SELECT EXTRACT(epoch FROM mm_now() - min(due_at)) FROM inbound_events
            WHERE state = 'waiting' AND due_at <= mm_now()), 0) AS late
""")  # noqa: S608  # constants only

_DUTIES = text(
    "SELECT name, EXTRACT(epoch FROM mm_now() - done_at) AS seconds FROM upkeep_duties ORDER BY name"
)

_PROVIDERS = text("""
    SELECT p.id, p.name, p.status AS active, p.reliability_score AS reliability,
        f.latency_p50, f.latency_p95, f.latency_p99, q.daily_quota, q.monthly_quota,
        CASE WHEN q.reset_at > mm_now() THEN q.used_today ELSE 0 END AS used_today,
        CASE WHEN date_trunc('month', (q.reset_at - interval '1 second') AT TIME ZONE q.time_zone)
                >= date_trunc('month', mm_now() AT TIME ZONE q.time_zone) THEN q.used_this_month
            ELSE 0 END AS used_this_month,
        q.rolling_quota, q.used_rolling
    FROM providers p
    LEFT JOIN provider_quota q ON q.provider_id = p.id
    LEFT JOIN provider_performance f ON f.provider_id = p.id
    WHERE p.deleted_at IS NULL AND NOT p.test ORDER BY p.id LIMIT 1000
""")

_WEBHOOKS = text(
    "SELECT count(*) FROM webhook_endpoints WHERE disabled_reason <> 'by its owner' AND NOT enabled"
)

_BUDGETS = text(f"""
    SELECT s.id, s.user_id, p.name AS provider, s.period, s.currency, s.amount, s.spent
    FROM (SELECT {STATE} FROM budgets b ORDER BY b.id LIMIT 1000) s LEFT JOIN providers p ON p.id = s.provider_id
    ORDER BY s.id
""")  # noqa: S608  # constants only


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget in the period that goes on. `user_id` None: of everybody's emails; `provider` None: by whatever
    provider. `spent_share`: what is spent of it, 1 is all; of a budget of nothing all is spent.
    """

    id: UUID
    user_id: UUID | None
    provider: str | None
    period: str
    currency: str
    spent_share: float


@dataclass(frozen=True, slots=True)
class ProviderState:
    """One account. Quotas by window (day, month, 24h): limit and what is used of it. Latencies in ms, of a day."""

    id: UUID
    name: str
    active: bool
    reliability: float
    latencies: Mapping[float, float]
    quotas: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Census:
    """`queue` by (lane, state), each counted up to `COUNTED_UP_TO`; ages and times since duties in seconds.

    `events`: of providers, stored and not applied yet, counted likewise; the longest is due for `events_late` seconds.
    `webhooks_disabled`: of users, because they failed.
    """

    queue: Mapping[tuple[str, str], int]
    ages: Mapping[str, float]
    runs: Mapping[str, int]
    open_attempts: int
    events: int
    events_late: float
    webhooks_disabled: int
    duties: Mapping[str, float]
    providers: Sequence[ProviderState]
    budgets: Sequence[BudgetState]


def take_census(connection: Connection) -> Census:
    """Ask for all of it; at most two seconds for each question."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = '2s'")
    lanes = {"lanes": [lane.value for lane in Lane]}
    runs, events = connection.execute(_RUNS).one(), connection.execute(_EVENTS).one()
    return Census(
        queue={(r.lane, r.state): r.emails for r in connection.execute(_QUEUE, lanes)},
        ages={r.lane: float(r.seconds) for r in connection.execute(_AGES, lanes)},
        runs={"alive": runs.alive, "dead": runs.dead},
        open_attempts=connection.execute(_OPEN).scalar_one(),
        events=events.waiting,
        events_late=float(events.late),
        webhooks_disabled=connection.execute(_WEBHOOKS).scalar_one(),
        duties={r.name: float(r.seconds) for r in connection.execute(_DUTIES)},
        providers=[_provider(r) for r in connection.execute(_PROVIDERS)],
        budgets=[_budget(r) for r in connection.execute(_BUDGETS)],
    )


def _budget(row: Any) -> BudgetState:
    share = float(row.spent / row.amount) if row.amount else 1.0
    return BudgetState(row.id, row.user_id, row.provider, row.period, row.currency, share)


def _provider(row: Any) -> ProviderState:
    latencies = {0.5: row.latency_p50, 0.95: row.latency_p95, 0.99: row.latency_p99}
    quotas = {
        "day": (row.daily_quota, row.used_today),
        "month": (row.monthly_quota, row.used_this_month),
        "24h": (row.rolling_quota, row.used_rolling),
    }
    return ProviderState(
        row.id,
        row.name,
        row.active,
        row.reliability,
        {quantile: ms for quantile, ms in latencies.items() if ms is not None},
        {window: (limit, used) for window, (limit, used) in quotas.items() if limit is not None},
    )
