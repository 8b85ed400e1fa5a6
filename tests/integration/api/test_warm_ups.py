"""Sender domains that warm up, over the API."""

from __future__ import annotations

from tests.integration.api.world import Caller, World, fields


def test_a_domain_warms_up_is_shown_and_begins_anew(world: World, member: Caller) -> None:
    path = f"/v1/providers/{member.provider('one')}/warm-ups"
    begun = member.put(path, {"domain": "News.Example.com", "daily": [5, 10]}).get_json()
    assert (begun["domain"], begun["day"], begun["state"], begun["left_today"]) == (
        "news.example.com",
        1,
        "warming",
        5,
    )
    member.put(path, {"domain": "other.example.com"})
    with world.later("1 day 1 minute"):
        (shown, usual) = member.get(path).get_json()["data"]
        assert (shown["day"], shown["left_today"], usual["daily"][:2]) == (2, 10, [50, 100])
    with world.later("3 days"):
        assert member.get(path).get_json()["data"][0]["state"] == "warm"
        assert member.put(path, {"domain": "news.example.com", "daily": [5, 10]}).get_json()["day"] == 1
    assert member.post(f"{path}/end", {"domain": "news.example.com"}).status_code == 204
    assert [w["domain"] for w in member.get(path).get_json()["data"]] == ["other.example.com"]


def test_all_that_is_wrong_is_named(member: Caller) -> None:
    path = f"/v1/providers/{member.provider('one')}/warm-ups"
    answer = member.put(path, {"domain": "nonsense", "daily": [1, -1, "x"], "more": 1})
    assert fields(answer) == {"/domain", "/daily/1", "/daily/2", "/more"}
    assert fields(member.put(path, {"domain": "news.example.com", "daily": []})) == {"/daily"}


def test_shared_accounts_are_warmed_up_by_operators(world: World, member: Caller) -> None:
    shared = world.user("operator").provider("all", shared=True)
    assert member.get(f"/v1/providers/{shared}/warm-ups").status_code == 200
    assert member.put(f"/v1/providers/{shared}/warm-ups", {"domain": "news.example.com"}).status_code == 403
