"""What fits into budgets, in whatever money, and when somebody is told."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.budgets import AtBudget, Budget, BudgetNotice, NoticeType, Period, Till, converted, usual
from tests.builders import NOW, USER, new_id

OTHER, HERE, THERE = new_id(), new_id(), new_id()


def a_budget(amount: str = "1", **more: Any) -> Budget:
    said: dict[str, Any] = {
        "id": new_id(), "user_id": USER, "provider_id": None, "period": Period.DAY, "amount": Decimal(amount),
        "currency": "USD", "spent": Decimal(0), "begins": NOW, "ends": NOW + timedelta(days=1),
    } | more  # fmt: skip
    return Budget(**said)


def charge(till: Till, cost: str, attempt: UUID | None = None, **more: Any) -> bool:
    said: dict[str, Any] = {"user": USER, "provider": HERE, "heeds": True, "currency": "USD"} | more
    return till.take(
        attempt or new_id(),
        said["user"],
        said["provider"],
        (Decimal(cost), said["currency"]),
        heeds=said["heeds"],
    )


@pytest.mark.parametrize(
    ("user", "provider", "covered"),
    [(USER, None, True), (OTHER, None, False), (None, None, True), (USER, HERE, True), (USER, THERE, False)],
)
def test_a_budget_covers_emails_of_its_user_by_its_provider(
    user: UUID | None, provider: UUID | None, covered: bool
) -> None:
    assert a_budget(user_id=user, provider_id=provider).covers(USER, HERE) is covered


def test_an_email_comes_under_all_budgets_that_cover_it_and_the_tightest_holds() -> None:
    wide, tight, foreign = a_budget("10"), a_budget("0.02", provider_id=HERE), a_budget("0", user_id=OTHER)
    till = Till([wide, tight, foreign], {})
    attempts = [new_id() for _ in range(3)]
    assert [charge(till, "0.01", a) for a in attempts] == [True, True, False]
    assert charge(till, "0.01", provider=THERE)
    assert {b.id: b.spent for b in till.charged(attempts)} == {
        wide.id: Decimal("0.02"), tight.id: Decimal("0.02"),
    }  # fmt: skip


def test_what_was_not_opened_is_not_spent() -> None:
    till = Till([a_budget("1")], {})
    first, second = new_id(), new_id()
    charge(till, "0.3", first)
    charge(till, "0.4", second)
    (budget,) = till.charged({second})
    assert budget.spent == Decimal("0.4")
    assert Till([a_budget("1")], {}).charged(()) == []


def test_who_ignores_budgets_is_counted_beyond_them_and_free_emails_always_fit() -> None:
    till = Till([a_budget("0.01", spent=Decimal("0.05"))], {})
    assert not charge(till, "0.01")
    attempt = new_id()
    assert charge(till, "0.01", attempt, heeds=False)
    assert charge(till, "0")
    (budget,) = till.charged({attempt})
    assert budget.spent == Decimal("0.06")


@pytest.mark.parametrize(
    ("amount", "currency", "into", "expected"),
    [
        ("1", "USD", "USD", "1"), ("1", "EUR", "USD", "1.1"), ("1", "USD", "EUR", "0.90909091"),
        ("1", "GBP", "EUR", "1.2"), ("2", "XXX", "USD", "2"), ("0.000000005", "USD", "USD", "0.00000001"),
    ],
)  # fmt: skip
def test_money_is_converted_by_the_rates(amount: str, currency: str, into: str, expected: str) -> None:
    rates = {"USD": Decimal(1), "EUR": Decimal("1.1"), "GBP": Decimal("1.32")}
    assert converted(Decimal(amount), currency, into, rates) == Decimal(expected)


@pytest.mark.parametrize(
    ("spent", "alerted", "due"), [("0.79999999", False, False), ("0.8", False, True), ("2", True, False)]
)
def test_the_alert_is_due_at_four_fifths_and_once(spent: str, alerted: bool, due: bool) -> None:
    assert a_budget("1", spent=Decimal(spent), alerted=alerted).due_alert is due


def test_a_budget_of_nothing_alerts_nobody() -> None:
    assert not a_budget("0").due_alert


def test_a_notice_says_amounts_without_needless_digits() -> None:
    budget = a_budget("100.00000000", spent=Decimal("80.50000000"), provider_id=HERE)
    said = BudgetNotice(NoticeType.ALERT, budget).data()
    assert (said["amount"], said["spent"], said["provider_id"]) == ("100", "80.5", str(HERE))


def test_what_seconds_count_for_ignores_budgets() -> None:
    assert (usual(True), usual(False)) == (AtBudget.IGNORE, AtBudget.DEFER)


@given(
    st.lists(st.decimals("0", "0.5", places=4), max_size=40), st.decimals("0", "3", places=4),
    st.sampled_from(["USD", "EUR"]),
)  # fmt: skip
def test_no_order_of_emails_overruns_a_budget(costs: list[Decimal], amount: Decimal, currency: str) -> None:
    till = Till([a_budget(str(amount), currency=currency)], {"USD": Decimal(1), "EUR": Decimal("1.1")})
    attempts = {new_id(): cost for cost in costs}
    taken = {a for a, cost in attempts.items() if charge(till, str(cost), a)}
    assert sum((b.spent for b in till.charged(taken)), Decimal(0)) <= amount
