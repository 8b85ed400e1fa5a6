"""A spent budget in a decision: the next provider first, then what the email's type says; never for what is free."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from domain.budgets import AtBudget
from domain.lifecycle import Event
from domain.message import RoutingWishes
from routing.breaker import Breaker
from routing.eligibility import Because
from routing.policy import Finish, Patience, Postpone, without_route
from routing.router import Decision, decide
from routing.snapshot import BudgetLeft, ProviderSnapshot, Snapshot
from tests.builders import (
    NOW,
    USER,
    a_case,
    a_provider,
    a_snapshot,
    a_submission,
    an_attempt,
    chance,
    new_id,
)

CHEAP, DEAR = a_provider("cheap", "0.001"), a_provider("dear", "0.002")
ENDS = NOW + timedelta(hours=5)
DOWN = Breaker(failures=9, retry_at=NOW + timedelta(seconds=7))


def left(amount: str, provider: ProviderSnapshot | None = None, **more: Any) -> BudgetLeft:
    said: dict[str, Any] = {
        "id": new_id(),
        "owner": USER,
        "ends": ENDS,
        "said": "it would exceed the budget",
    } | more
    return BudgetLeft(provider_id=None if provider is None else provider.id, left=Decimal(amount), **said)


def chosen(
    *budgets: BudgetLeft,
    fleet: tuple[ProviderSnapshot, ...] = (CHEAP, DEAR),
    at_budget: AtBudget | None = None,
    history: tuple[Any, ...] = (),
    **email: Any,
) -> Decision:
    types: dict[tuple[UUID | None, str], AtBudget] = (
        {} if at_budget is None else {(None, "transactional"): at_budget}
    )
    snapshot: Snapshot = replace(a_snapshot(*fleet), budgets=budgets, at_budget=types)
    return decide(a_submission(**email), snapshot, history, NOW, chance())


def test_the_next_provider_goes_and_the_reason_and_its_end_are_told() -> None:
    decision = chosen(left("0", CHEAP))
    assert decision.chosen is not None
    assert decision.chosen.provider == "dear"
    (out,) = decision.exclusions
    assert (out.because, out.retry_at, out.detail) == (Because.BUDGET, ENDS, "it would exceed the budget")


@pytest.mark.parametrize(
    ("budget", "fits"),
    [
        (left("0.002"), True), (left("0.00199999"), False), (left("0", DEAR), True), (left("0", owner=None), False),
        (left("0", owner=new_id()), True),
    ],
)  # fmt: skip
def test_whose_budget_it_is_and_how_much_of_it_an_email_takes(budget: BudgetLeft, fits: bool) -> None:
    decision = chosen(budget, fleet=(CHEAP,), to=("a@x.example", "b@x.example"))
    assert (decision.chosen is not None) is fits


def test_prices_are_compared_in_one_money() -> None:
    euro = a_provider("euro", "0.001", exchange=Decimal("1.1"))
    assert chosen(left("0.0011"), fleet=(euro,)).chosen is not None
    assert chosen(left("0.00109"), fleet=(euro,)).chosen is None


def test_what_is_free_always_goes_and_so_does_what_ignores_budgets() -> None:
    assert chosen(left("-1"), fleet=(a_provider("free", "0"),)).chosen is not None
    assert chosen(left("-1"), at_budget=AtBudget.IGNORE).chosen is not None


def test_a_users_own_type_says_what_becomes_of_its_emails() -> None:
    snapshot = replace(
        a_snapshot(CHEAP),
        budgets=(left("0"),),
        at_budget={(None, "transactional"): AtBudget.IGNORE, (USER, "transactional"): AtBudget.DEFER},
    )
    assert decide(a_submission(), snapshot, (), NOW, chance()).chosen is None


def step_after(decision: Decision) -> Any:
    return without_route(a_case(), decision, NOW, Patience(), chance())


@pytest.mark.parametrize(("minutes", "waits"), [(10, 600), (60, 900)])
def test_an_email_waits_until_the_first_budget_is_whole_again_or_may_have_been_raised(
    minutes: int, waits: float
) -> None:
    sooner = left("0", CHEAP, ends=NOW + timedelta(minutes=minutes))
    step = step_after(chosen(left("0", DEAR), sooner))
    assert isinstance(step, Postpone)
    assert step.delay == pytest.approx(waits, rel=0.11)
    assert step.reason.startswith("BUDGET: ")


def test_a_budget_whose_period_is_over_stands_in_nobodys_way() -> None:
    over = left("0", ends=NOW - timedelta(seconds=1))
    assert chosen(over, at_budget=AtBudget.FAIL).chosen is not None


def test_an_email_fails_where_only_money_is_in_its_way() -> None:
    step = step_after(chosen(left("0"), at_budget=AtBudget.FAIL))
    assert isinstance(step, Finish)
    assert step.event is Event.GAVE_UP
    paused = replace(DEAR, active=False)
    assert isinstance(step_after(chosen(left("0"), fleet=(CHEAP, paused), at_budget=AtBudget.FAIL)), Finish)


@pytest.mark.parametrize(
    ("other", "history"), [(replace(DEAR, breaker=DOWN), ()), (DEAR, (an_attempt(DEAR),))]
)
def test_an_email_does_not_fail_while_another_provider_is_only_down(
    other: ProviderSnapshot, history: tuple[Any, ...]
) -> None:
    decision = chosen(left("0", CHEAP), fleet=(CHEAP, other), history=history, at_budget=AtBudget.FAIL)
    assert isinstance(step_after(decision), Postpone)


def test_an_email_that_waits_names_what_it_waits_for_and_not_whom_it_rules_out_itself() -> None:
    others = [a_provider(f"other-{n}") for n in range(3)]
    pinned = RoutingWishes(pinned=frozenset({"cheap"}))
    assert chosen(left("0"), fleet=(CHEAP, *others), wishes=pinned).reason == "BUDGET"
