"""Budgets over the API: who sets and sees them, what is wrong, and what a decision says of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.integration.api.world import EMAIL, Caller, World, fields


def set_budget(owner: Caller, amount: str = "10", **said: Any) -> dict[str, Any]:
    answer = owner.post("/v1/budgets", {"amount": amount, **said})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_a_budget_is_set_shown_changed_and_deleted(member: Caller) -> None:
    provider = member.provider("one")
    made = set_budget(member, "10.50", provider="one", period="day", time_zone="Europe/Berlin")
    assert {n: made[n] for n in ("amount", "currency", "period", "provider", "provider_id", "spent", "left")} == {
        "amount": "10.5", "currency": "USD", "period": "day", "provider": "one", "provider_id": str(provider),
        "spent": "0", "left": "10.5",
    }  # fmt: skip
    assert (made["shared"], made["imposed"], made["user_id"]) == (False, False, str(member.user_id))
    path = f"/v1/budgets/{made['id']}"
    assert member.get(path).get_json() == made
    assert member.patch(path, {"amount": "0"}).get_json()["amount"] == "0"
    (listed,) = member.get("/v1/budgets").get_json()["data"]
    assert (listed["id"], listed["left"]) == (made["id"], "0")
    assert member.delete(path).status_code == 204
    assert member.get(path).status_code == 404


def test_all_that_is_wrong_is_named(member: Caller) -> None:
    wrong = {"amount": "-1", "currency": "usd", "period": "year", "time_zone": "Nowhere/City", "more": 1}
    assert fields(member.post("/v1/budgets", wrong)) == {
        "/amount", "/currency", "/period", "/time_zone", "/more",
    }  # fmt: skip
    assert fields(member.post("/v1/budgets", {"amount": "1", "provider": "none"})) == {"/provider"}
    for amount in (1, "1e9", "1.123456789", "1234567890", "", "NaN", "1\n"):
        assert fields(member.post("/v1/budgets", {"amount": amount})) == {"/amount"}
    assert set_budget(member, "999999999.99999999")["amount"] == "999999999.99999999"


def test_a_currency_without_a_rate_is_refused_where_there_are_rates(world: World, member: Caller) -> None:
    world.deps.exchange.update({"USD": Decimal(1), "EUR": Decimal("1.1")})  # type: ignore[attr-defined]
    try:
        assert fields(member.post("/v1/budgets", {"amount": "1", "currency": "CHF"})) == {"/currency"}
        assert set_budget(member, "1", currency="EUR")["currency"] == "EUR"
    finally:
        world.deps.exchange.clear()  # type: ignore[attr-defined]


def test_operators_set_budgets_for_users_and_for_everybody(world: World, member: Caller) -> None:
    operator = world.user("operator")
    for refused in ({"shared": True}, {"user_id": str(operator.user_id)}):
        assert member.post("/v1/budgets", {"amount": "1", **refused}).status_code == 403
    shared = set_budget(operator, shared=True)
    imposed = set_budget(operator, user_id=str(member.user_id))
    assert (shared["user_id"], shared["shared"], imposed["imposed"]) == (None, True, True)
    assert [b["id"] for b in member.get("/v1/budgets").get_json()["data"]] == [imposed["id"]]
    path = f"/v1/budgets/{imposed['id']}"
    assert member.patch(path, {"amount": "99"}).status_code == 403
    assert member.delete(path).status_code == 403
    seen = {b["id"] for b in operator.get("/v1/budgets", query_string={"limit": 100}).get_json()["data"]}
    assert {shared["id"], imposed["id"]} <= seen
    assert operator.patch(path, {"amount": "99"}).status_code == 200
    nobody = {"amount": "1", "user_id": "01900000-0000-7000-8000-000000000000"}
    assert fields(operator.post("/v1/budgets", nobody)) == {"/user_id"}
    assert fields(operator.post("/v1/budgets", {**nobody, "shared": True})) == {"/user_id"}
    for one in (shared, imposed):
        assert operator.delete(f"/v1/budgets/{one['id']}").status_code == 204


def test_a_raised_or_deleted_budget_wakes_what_waits_for_it(world: World, member: Caller) -> None:
    budget = set_budget(member, "1")
    email = member.post("/v1/emails", EMAIL).get_json()["id"]

    def put_off() -> None:
        world.sql(
            "UPDATE email_queue SET due_at = mm_now() + interval '9 hours' WHERE job_id = :id", id=email
        )

    def waits() -> bool:
        [row] = world.sql("SELECT due_at > mm_now() AS waits FROM email_queue WHERE job_id = :id", id=email)
        return bool(row.waits)

    path = f"/v1/budgets/{budget['id']}"
    for amount, still in (("0.5", True), ("2", False)):
        put_off()
        member.patch(path, {"amount": amount})
        assert waits() is still
    put_off()
    member.delete(path)
    assert not waits()


@pytest.mark.parametrize(
    ("said", "expected"),
    [({}, "defer"), ({"urgent": True}, "ignore"), ({"urgent": True, "at_budget": "fail"}, "fail")],
)
def test_one_time_passwords_ignore_budgets_unless_somebody_says_otherwise(
    member: Caller, said: dict[str, Any], expected: str
) -> None:
    made = member.post("/v1/email-types", {"name": "code", **said}).get_json()
    assert made["at_budget"] == expected
    path = f"/v1/email-types/{made['id']}"
    assert member.patch(path, {"policy": "cheapest"}).get_json()["at_budget"] == expected
    assert member.patch(path, {"at_budget": "defer"}).get_json()["at_budget"] == "defer"


def test_the_preview_says_which_providers_a_budget_rules_out(world: World, member: Caller) -> None:
    member.provider("cheap", base_cost="0.001")
    member.provider("dear", base_cost="0.002")
    set_budget(member, "0.0005", provider="cheap")
    decision = member.post("/v1/routing/preview", EMAIL).get_json()["decision"]
    assert decision["chosen"] == "dear"
    (out,) = decision["excluded"]
    assert (out["provider"], out["because"]) == ("cheap", "BUDGET")
    assert out["detail"] == "it would exceed the budget of 0.0005 USD for this month"
