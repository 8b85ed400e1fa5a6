"""What accounts charge: dated lists with a fee, an included volume and tiers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import new_id
from tests.integration.api.world import Caller, World, fields

ACCOUNT: dict[str, Any] = {"name": "p", "kind": "memory", "base_cost": "0.001", "currency": "EUR"}
PAST = {
    "valid_from": "2020-01-01T00:00:00+00:00",
    "monthly_fee": "15",
    "included": 100,
    "tiers": [{"up_to": 1000, "per_recipient": "0.0018"}, {"per_recipient": "0.00125"}],
    "per_gigabyte": "0.12",
}
TO_COME = {"valid_from": "2999-01-01T00:00:00+00:00", "tiers": [{"per_recipient": "0.5"}]}


def account(caller: Caller, **changes: Any) -> str:
    answer = caller.post("/v1/providers", {**ACCOUNT, **changes})
    assert answer.status_code == 201, answer.text
    return f"/v1/providers/{answer.get_json()['id']}"


def sent(world: World, path: str, recipients: int) -> None:
    world.sql(
        "INSERT INTO provider_performance_history (provider_id, slot, emails_sent, recipients_sent, emails_failed, "
        "emails_rejected, emails_unknown, latency_sum, latencies) "
        "VALUES (:id, mm_now(), 1, :recipients, 0, 0, 0, 0, '{}')",
        id=path.rpartition("/")[2],
        recipients=recipients,
    )


def test_without_lists_the_base_cost_holds(member: Caller) -> None:
    shown = member.get(f"{account(member)}/prices").get_json()
    assert (shown["per_recipient_now"], shown["prices"], shown["currency"]) == ("0.001", [], "EUR")


@pytest.mark.parametrize(("recipients", "price"), [(0, "0"), (99, "0"), (100, "0.0018"), (1000, "0.00125")])
def test_the_next_recipient_costs_what_the_months_recipients_have_come_to(
    world: World, member: Caller, recipients: int, price: str
) -> None:
    path = account(member)
    put = member.put(f"{path}/prices", {"prices": [TO_COME, PAST]})
    assert put.status_code == 200, put.text
    sent(world, path, recipients)
    shown = member.get(f"{path}/prices").get_json()
    assert (shown["recipients_this_month"], shown["per_recipient_now"]) == (recipients, price)
    past, to_come = shown["prices"]
    assert (past.pop("in_force"), to_come.pop("in_force")) == (True, False)
    assert {**past, "valid_from": past["valid_from"].replace("Z", "+00:00")} == {
        **PAST,
        "tiers": [{"up_to": 1000, "per_recipient": "0.0018"}, {"up_to": None, "per_recipient": "0.00125"}],
    }
    assert member.put(f"{path}/prices", {"prices": []}).get_json()["per_recipient_now"] == "0.001"


def test_all_that_is_wrong_with_lists_is_named(member: Caller) -> None:
    lists = [
        {"valid_from": "soon", "tiers": [], "included": -1},
        {**PAST, "tiers": [{"up_to": 5, "per_recipient": "1"}], "monthly_fee": 3},
        {**PAST, "tiers": [{"up_to": 9, "per_recipient": "x"}, {"up_to": 5, "per_recipient": "1"}], "more": 1},
        {**PAST, "tiers": [{"up_to": 9, "per_recipient": "1"}, {"up_to": 5, "per_recipient": "1"},
                           {"per_recipient": "1"}]},
    ]  # fmt: skip
    answer = member.put(f"{account(member)}/prices", {"prices": lists})
    assert answer.status_code == 422
    assert fields(answer) == {
        "/prices/0/valid_from",
        "/prices/0/tiers",
        "/prices/0/included",
        "/prices/1/tiers",
        "/prices/1/monthly_fee",
        "/prices/2/tiers/0/per_recipient",
        "/prices/2/more",
        "/prices/3/tiers",
    }
    twice = member.put(f"{account(member, name='q')}/prices", {"prices": [PAST, PAST]})
    assert fields(twice) == {"/prices"}


def test_an_account_with_lists_keeps_its_currency(member: Caller) -> None:
    path = account(member)
    assert member.patch(path, {"currency": "USD"}).status_code == 200
    member.put(f"{path}/prices", {"prices": [PAST]})
    assert fields(member.patch(path, {"currency": "EUR"})) == {"/currency"}
    assert member.patch(path, {"currency": "USD"}).status_code == 200


def test_prices_of_others_are_not_shown_nor_set(world: World, member: Caller) -> None:
    path, other = account(member), world.user()
    for wrong in (path, f"/v1/providers/{new_id()}"):
        assert other.get(f"{wrong}/prices").status_code == 404
        assert other.put(f"{wrong}/prices", {"prices": []}).status_code == 404
