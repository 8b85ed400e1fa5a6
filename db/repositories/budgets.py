"""Budgets: counted in the ledger's own transaction, as quotas are (ADR 2), and given back where nothing was sent.

The rows of the budgets that a window's emails come under are locked while it is opened: what is granted is counted, and
a lost Redis, a dead worker or many workers at once lift no limit. A period that has ended needs no duty: what was spent
counts only as long as `began_at` is where the current one begins.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from db.statements import Prepared, json_text
from domain.budgets import AtBudget, Budget, BudgetNotice, NoticeType, Period, Spending, Till, converted
from domain.delivery import Opening
from domain.stats import SLOT_MINUTES, Dimension
from domain.webhooks import payload

_MOST = Decimal(10**11)  # that is ever noted as spent: no sum may be too large for its column

# The period goes by the budget's own calendar: a day has 23 to 25 hours there. It never goes back, so that a worker
# whose transaction began before midnight counts in the new day, once another has.
_NOW = "greatest(b.began_at, mm_now()) AT TIME ZONE b.time_zone"
_BEGINS = f"greatest(b.began_at, date_trunc(b.period, {_NOW}) AT TIME ZONE b.time_zone)"
# Of `budgets b`, what is spent in the period that goes on.
STATE = f"""
    b.id, b.user_id, b.provider_id, b.imposed, b.period, b.amount, b.currency, {_BEGINS} AS begins,
    CASE WHEN b.began_at = {_BEGINS} THEN b.spent ELSE 0 END AS spent,
    (date_trunc(b.period, {_NOW}) + CAST('1 ' || b.period AS interval)) AT TIME ZONE b.time_zone AS ends,
    coalesce(b.alerted_at >= {_BEGINS}, false) AS alerted, coalesce(b.stopped_at >= {_BEGINS}, false) AS stopped
"""
_ALL = text(f"SELECT {STATE} FROM budgets b ORDER BY b.id")  # noqa: S608  # constants of this module only
_LOCK = Prepared(
    "lock_budgets",
    f"""
    SELECT {STATE} FROM budgets b
    WHERE (b.user_id IS NULL OR b.user_id = ANY(:users))
        AND (b.provider_id IS NULL OR b.provider_id = ANY(:providers))
    ORDER BY b.id FOR UPDATE
    """,  # noqa: S608  # as above
    users="uuid[]",
    providers="uuid[]",
)
_HOLD_ALL = text("SELECT 1 FROM budgets ORDER BY id FOR UPDATE")
_COUNT = Prepared(
    "count_budgets",
    """
    UPDATE budgets b SET spent = least(c.spent, :most), began_at = c.begins,
        alerted_at = CASE WHEN c.alert THEN mm_now() ELSE b.alerted_at END
    FROM unnest(:ids, :spent, :begins, :alerts) AS c(id, spent, begins, alert) WHERE b.id = c.id
    """,
    ids="uuid[]",
    spent="numeric[]",
    begins="timestamptz[]",
    alerts="bool[]",
    most="numeric",
)
_STOP = text(f"""
    WITH held AS (
        SELECT id FROM budgets WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE
    )
    UPDATE budgets b SET stopped_at = mm_now() FROM held
    WHERE held.id = b.id AND coalesce(b.stopped_at < {_BEGINS}, true)
    RETURNING {STATE}
""")  # noqa: S608  # as above

# Only what was counted in the period that goes on. Sums are rounded as they were counted, one by one.
_REFUND = text("""
    WITH returned AS (
        SELECT b.id, b.began_at, sum(round(round(a.estimated_cost, 8)
            * CASE WHEN a.currency = b.currency THEN 1 ELSE coalesce(f.rate, 1) / coalesce(t.rate, 1) END, 8)) AS amount
        FROM delivery_attempts a JOIN email_jobs j ON j.id = a.job_id
        JOIN budgets b ON (b.user_id IS NULL OR b.user_id = j.user_id)
            AND (b.provider_id IS NULL OR b.provider_id = a.provider_id) AND a.opened_at >= b.began_at
        LEFT JOIN unnest(CAST(:currencies AS text[]), CAST(:rates AS numeric[])) AS f(currency, rate)
            ON f.currency = a.currency
        LEFT JOIN unnest(CAST(:currencies AS text[]), CAST(:rates AS numeric[])) AS t(currency, rate)
            ON t.currency = b.currency
        WHERE a.id = ANY(CAST(:attempts AS uuid[]))
        GROUP BY b.id
    ), held AS (
        SELECT id FROM budgets WHERE id IN (SELECT id FROM returned) ORDER BY id FOR UPDATE
    )
    UPDATE budgets b SET spent = greatest(0, b.spent - r.amount)
    FROM returned r JOIN held USING (id) WHERE b.id = r.id AND b.began_at = r.began_at
""")

# What the statistics have, what is still to be added to them, and what is on its way: of whole slots, so rather more.
_SLOT = f"date_bin('{SLOT_MINUTES} minutes', CAST(:begins AS timestamptz), timestamptz 'epoch')"
_MINE = """
    (CAST(:user_id AS uuid) IS NULL OR {user} = :user_id)
    AND (CAST(:provider_id AS uuid) IS NULL OR {provider} = :provider_id)
"""
_SPENT = text(f"""
    SELECT currency, sum(amount) AS amount FROM (
        SELECT s.currency, s.spend AS amount FROM email_stats s
        WHERE s.dimension = '{Dimension.ALL}' AND s.grain = {SLOT_MINUTES} AND s.slot >= {_SLOT}
            AND {_MINE.format(user="s.user_id", provider="s.provider_id")}
        UNION ALL
        SELECT a.currency, d.change * a.estimated_cost
        FROM stats_due d CROSS JOIN LATERAL unnest(d.attempts) AS u(id)
        JOIN delivery_attempts a ON a.id = u.id JOIN email_jobs j ON j.id = a.job_id
        WHERE d.measure IN ('accepted', 'unknown') AND a.opened_at >= {_SLOT}
            AND {_MINE.format(user="j.user_id", provider="a.provider_id")}
        UNION ALL
        SELECT a.currency, a.estimated_cost FROM delivery_attempts a JOIN email_jobs j ON j.id = a.job_id
        WHERE a.outcome IS NULL AND a.opened_at >= {_SLOT}
            AND {_MINE.format(user="j.user_id", provider="a.provider_id")}
    ) AS parts GROUP BY currency
""")  # noqa: S608  # as above
_SET_SPENT = text("UPDATE budgets SET spent = :spent, began_at = :begins WHERE id = :id")

_TYPES = text("SELECT user_id, name, at_budget FROM email_types")
_TELL = text("""
    INSERT INTO webhook_messages (id, endpoint_id, type, payload)
    SELECT mm_uuid7(), e.id, :type, CAST(:payload AS jsonb)
    FROM webhook_endpoints e JOIN users u ON u.id = e.user_id
    WHERE e.enabled AND (e.types = '{}' OR :type = ANY(e.types))
        AND CASE WHEN CAST(:user_id AS uuid) IS NULL THEN u.role = 'operator' ELSE e.user_id = :user_id END
""")
_WRITE_DOWN = text("""
    INSERT INTO audit_log (id, user_id, by, action, target) VALUES (mm_uuid7(), :user_id, 'worker', :action, :target)
""")

_SHOWN = f"""
    SELECT {STATE}, b.time_zone, b.created_at, b.updated_at, p.name AS provider,
        CASE WHEN b.alerted_at >= {_BEGINS} THEN b.alerted_at END AS alerted_at,
        CASE WHEN b.stopped_at >= {_BEGINS} THEN b.stopped_at END AS stopped_at
    FROM budgets b LEFT JOIN providers p ON p.id = b.provider_id
    WHERE (b.user_id = :user_id OR (:operator AND (b.user_id IS NULL OR b.imposed)))
"""  # noqa: S608  # as above
_LIST = text(
    f"{_SHOWN} AND (CAST(:before AS uuid) IS NULL OR b.id < :before) ORDER BY b.id DESC LIMIT :limit"
)
_GET = text(f"{_SHOWN} AND b.id = :id")
_HOLD = text(f"{_SHOWN} AND b.id = :id FOR UPDATE OF b")
_OWNED = text("SELECT count(*) FROM budgets WHERE user_id IS NOT DISTINCT FROM CAST(:user_id AS uuid)")
_ADD = text("""
    INSERT INTO budgets (id, user_id, provider_id, imposed, period, amount, currency, time_zone, began_at)
    VALUES (:id, :user_id, :provider_id, :imposed, :period, :amount, :currency, :time_zone,
        date_trunc(:period, mm_now() AT TIME ZONE :time_zone) AT TIME ZONE :time_zone)
""")
_CHANGE = text("""
    UPDATE budgets SET amount = :amount, updated_at = mm_now(), stopped_at = NULL,
        alerted_at = CASE WHEN spent < :amount * 0.8 THEN NULL ELSE alerted_at END
    WHERE id = :id
""")
_DELETE = text("DELETE FROM budgets WHERE id = :id")


@dataclass(frozen=True, slots=True)
class Plan:
    """What somebody says of a budget. `user_id` None: of everybody's emails."""

    user_id: UUID | None
    provider_id: UUID | None
    period: Period
    amount: Decimal
    currency: str
    time_zone: str
    imposed: bool = False


class Budgets:
    """`exchange`: what one unit of a currency is worth in the one that prices are compared in."""

    def __init__(self, connection: Connection, exchange: Mapping[str, Decimal]) -> None:
        self._connection = connection
        self._exchange = exchange

    def spending(self) -> Spending:
        """What routing needs to know."""
        budgets = [_budget(row) for row in self._connection.execute(_ALL).mappings()]
        if not budgets:
            return Spending()
        types = self._connection.execute(_TYPES)
        return Spending(budgets, {(t.user_id, t.name): AtBudget(t.at_budget) for t in types})

    def lock(self, openings: Sequence[Opening]) -> Till:
        """The budgets that these come under, locked to the end of the transaction."""
        rows = _LOCK(
            self._connection,
            users=sorted({o.user_id for o in openings if o.user_id is not None}),
            providers=sorted({o.provider_id for o in openings}),
        )
        return Till([_budget(row._asdict()) for row in rows], self._exchange)

    def count(self, till: Till, opened: Collection[UUID]) -> Sequence[BudgetNotice]:
        """Note what these attempts have spent; who is to be told is told."""
        charged = till.charged(opened)
        if not charged:
            return ()
        _COUNT(
            self._connection,
            ids=[b.id for b in charged],
            spent=[b.spent for b in charged],
            begins=[b.begins.isoformat() for b in charged],
            alerts=[b.due_alert for b in charged],
            most=_MOST,
        )
        return self._tell([BudgetNotice(NoticeType.ALERT, b) for b in charged if b.due_alert])

    def stop(self, ids: Collection[UUID]) -> Sequence[BudgetNotice]:
        """These budgets keep emails back: that is told, once in a period."""
        rows = self._connection.execute(_STOP, {"ids": sorted(str(i) for i in ids)}).mappings()
        return self._tell([BudgetNotice(NoticeType.STOPPED, _budget(row)) for row in rows])

    def hold_all(self) -> None:
        """Lock all of them to the end of the transaction."""
        self._connection.execute(_HOLD_ALL)

    def refund(self, attempts: Sequence[UUID]) -> None:
        """Give back what these attempts had spent."""
        if attempts:
            values = {
                "attempts": [str(a) for a in attempts],
                "currencies": list(self._exchange),
                "rates": list(self._exchange.values()),
            }
            self._connection.execute(_REFUND, values)

    def list(self, user_id: UUID, operator: bool, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of the user's, newest first, below the id `before`; of operators also what is shared, and what
        operators have set for others.
        """
        values = {"user_id": user_id, "operator": operator, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def get(self, user_id: UUID, operator: bool, id: UUID) -> RowMapping | None:
        values = {"user_id": user_id, "operator": operator, "id": id}
        return self._connection.execute(_GET, values).mappings().one_or_none()

    def hold(self, user_id: UUID, operator: bool, id: UUID) -> RowMapping | None:
        """As `get`; others wait to change it until this transaction ends."""
        values = {"user_id": user_id, "operator": operator, "id": id}
        return self._connection.execute(_HOLD, values).mappings().one_or_none()

    def owned(self, user_id: UUID | None) -> int:
        """How many there are of a user; None: of everybody together."""
        return int(self._connection.execute(_OWNED, {"user_id": user_id}).scalar_one())

    def add(self, id: UUID, plan: Plan) -> None:
        """Set a budget. What was spent before in its period is not in it yet: `recount` it once this is committed."""
        values = {
            "id": id, "user_id": plan.user_id, "provider_id": plan.provider_id, "imposed": plan.imposed,
            "period": plan.period.value, "amount": plan.amount, "currency": plan.currency,
            "time_zone": plan.time_zone,
        }  # fmt: skip
        self._connection.execute(_ADD, values)

    def recount(self, id: UUID) -> None:
        """Have a budget hold what was spent in its period, by the ledger and the statistics.

        Workers that count in it wait meanwhile, and have been counted or will be: none twice, and none not at all.
        """
        held = self._connection.execute(
            text(f"SELECT {STATE} FROM budgets b WHERE id = :id FOR UPDATE"),  # noqa: S608  # constants
            {"id": id},
        )
        budget = _budget(held.mappings().one())
        own = {"user_id": budget.user_id, "provider_id": budget.provider_id, "begins": budget.begins}
        parts = self._connection.execute(_SPENT, own)
        spent = sum(
            (converted(p.amount, p.currency, budget.currency, self._exchange) for p in parts), Decimal(0)
        )
        values = {"id": id, "spent": min(max(spent, Decimal(0)), _MOST), "begins": budget.begins}
        self._connection.execute(_SET_SPENT, values)

    def change(self, id: UUID, amount: Decimal) -> None:
        """What is told once in a period is told anew, where the new amount makes it so."""
        self._connection.execute(_CHANGE, {"id": id, "amount": amount})

    def delete(self, id: UUID) -> None:
        self._connection.execute(_DELETE, {"id": id})

    def _tell(self, notices: Sequence[BudgetNotice]) -> Sequence[BudgetNotice]:
        """Webhooks of the budget's owner, or of operators where it is everybody's, and the audit log."""
        for notice in notices:
            budget = notice.budget
            now = self._connection.execute(text("SELECT mm_now()")).scalar_one()
            said = json_text(payload(notice.type.value, now, notice.data()))
            self._connection.execute(
                _TELL, {"type": notice.type.value, "payload": said, "user_id": budget.user_id}
            )
            line = {"user_id": budget.user_id, "action": notice.type.value, "target": budget.id}
            self._connection.execute(_WRITE_DOWN, line)
        return notices


def _budget(row: Mapping[str, Any] | RowMapping) -> Budget:
    return Budget(
        id=row["id"],
        user_id=row["user_id"],
        provider_id=row["provider_id"],
        period=Period(row["period"]),
        amount=row["amount"],
        currency=row["currency"],
        spent=row["spent"],
        begins=row["begins"],
        ends=row["ends"],
        imposed=row["imposed"],
        alerted=row["alerted"],
        stopped=row["stopped"],
    )
