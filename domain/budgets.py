"""Budgets: what may be spent in a day or a month, by whom and where, and what is told of it.

Amounts are in a budget's own currency; what providers charge in others is converted by the rates that prices are
compared by (`converted`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

ALERT_AT: Final = Decimal("0.8")
"""The share of a budget at which its owner is told."""

_EIGHT_DIGITS = Decimal("0.00000001")
_ONE = Decimal(1)


class Period(StrEnum):
    DAY = "day"
    MONTH = "month"


class AtBudget(StrEnum):
    """What becomes of an email that no provider may carry because a budget is spent."""

    DEFER = "defer"
    """It waits for the next period."""
    FAIL = "fail"
    IGNORE = "ignore"
    """It is sent all the same, and counted."""


class NoticeType(StrEnum):
    ALERT = "budget.alert"
    STOPPED = "budget.stopped"


def usual(urgent: bool) -> AtBudget:
    """What holds for a type of which nobody says it: one-time passwords go, other emails wait."""
    return AtBudget.IGNORE if urgent else AtBudget.DEFER


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget as it stands. `user_id` None: of everybody's emails; `provider_id` None: by whatever provider.

    `spent` since `begins`, the beginning of the day or month in its time zone; `ends` is when that ends. `alerted` and
    `stopped`: whether this was told in this period.
    """

    id: UUID
    user_id: UUID | None
    provider_id: UUID | None
    period: Period
    amount: Decimal
    currency: str
    spent: Decimal
    begins: datetime
    ends: datetime
    imposed: bool = False
    alerted: bool = False
    stopped: bool = False

    def covers(self, user: UUID, provider: UUID) -> bool:
        return self.user_id in (None, user) and self.provider_id in (None, provider)

    def has_room(self, charge: Decimal) -> bool:
        """Whether so much more may be spent. What costs nothing always may."""
        return not charge or self.spent + charge <= self.amount

    @property
    def due_alert(self) -> bool:
        """Whether its owner is to be told now that it is nearly spent."""
        return not self.alerted and self.amount > 0 and self.spent >= self.amount * ALERT_AT


@dataclass(frozen=True, slots=True)
class BudgetNotice:
    """Something that is told once in a period of a budget."""

    type: NoticeType
    budget: Budget

    def data(self) -> dict[str, Any]:
        """What a webhook is told."""
        b = self.budget
        return {
            "budget_id": str(b.id),
            "provider_id": b.provider_id and str(b.provider_id),
            "period": b.period.value,
            "amount": f"{b.amount.normalize():f}",
            "currency": b.currency,
            "spent": f"{b.spent.normalize():f}",
            "period_begins": b.begins.isoformat(),
            "period_ends": b.ends.isoformat(),
        }


def converted(amount: Decimal, currency: str, into: str, exchange: Mapping[str, Decimal]) -> Decimal:
    """An amount in another currency, to eight digits after the point. Currencies without a rate count as one unit."""
    amount = amount.quantize(_EIGHT_DIGITS, ROUND_HALF_UP)
    if currency == into:
        return amount
    rate = exchange.get(currency, _ONE) / exchange.get(into, _ONE)
    return (amount * rate).quantize(_EIGHT_DIGITS, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Spending:
    """All budgets, and what becomes of emails of each type where one is spent, by the owner of the type (None:
    everybody's) and its name. Where there is no budget nothing of it is read.
    """

    budgets: Sequence[Budget] = ()
    at_budget: Mapping[tuple[UUID | None, str], AtBudget] = field(default_factory=dict)


class Till:
    """The locked budgets of a window, while its emails are charged to them one by one."""

    def __init__(self, budgets: Sequence[Budget], exchange: Mapping[str, Decimal]) -> None:
        self._exchange = exchange
        self._budgets = {b.id: b for b in budgets}
        self._charges: list[tuple[UUID, Sequence[tuple[UUID, Decimal]]]] = []

    def take(
        self, attempt: UUID, user: UUID, provider: UUID, cost: tuple[Decimal, str], *, heeds: bool
    ) -> bool:
        """Charge an attempt to all budgets that it comes under. False: one has no room for it, and it `heeds` that."""
        amount, currency = cost
        charges = [
            (b.id, converted(amount, currency, b.currency, self._exchange))
            for b in self._budgets.values()
            if b.covers(user, provider)
        ]
        if heeds and not all(self._budgets[key].has_room(charge) for key, charge in charges):
            return False
        self._add(charges)
        self._charges.append((attempt, charges))
        return True

    def charged(self, opened: Collection[UUID]) -> Sequence[Budget]:
        """The budgets in which something was spent, by these attempts only."""
        touched: dict[UUID, bool] = defaultdict(bool)
        for attempt_id, charges in self._charges:
            if attempt_id not in opened:
                self._add([(key, -charge) for key, charge in charges])
                continue
            for key, charge in charges:
                touched[key] |= bool(charge)
        return [self._budgets[key] for key, spent in touched.items() if spent]

    def _add(self, charges: Sequence[tuple[UUID, Decimal]]) -> None:
        for key, charge in charges:
            self._budgets[key] = replace(self._budgets[key], spent=self._budgets[key].spent + charge)
