"""Routing rules: what they may name, and who may."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.api.world import Caller, World, fields

RULES = "/v1/routing-rules"


def named(rule: dict[str, Any]) -> list[str]:
    return [rule["default_provider"]["name"], *(p["name"] for p in rule["fallback_providers"])]


def test_a_rule_names_providers_by_id_or_name_and_keeps_their_order(member: Caller) -> None:
    ids = {name: str(member.provider(name)) for name in ("c", "a", "b")}
    answer = member.post(
        RULES,
        {
            "email_type": "transactional",
            "default_provider": "c",
            "fallback_providers": [ids["b"], "a"],
            "priority": 3,
        },
    )
    assert answer.status_code == 201, answer.text
    rule = answer.get_json()
    assert answer.headers["Location"] == f"{RULES}/{rule['id']}"
    assert (named(rule), rule["priority"], rule["shared"]) == (["c", "b", "a"], 3, False)
    assert member.get(f"{RULES}/{rule['id']}").get_json() == rule
    assert member.get(RULES).get_json()["data"] == [rule]


def test_put_replaces_all_and_patch_only_what_is_given(member: Caller) -> None:
    for name in ("a", "b", "c"):
        member.provider(name)
    rule = member.post(
        RULES,
        {
            "email_type": "transactional",
            "default_provider": "a",
            "fallback_providers": ["b", "c"],
            "priority": 7,
        },
    ).get_json()
    path = f"{RULES}/{rule['id']}"
    patched = member.patch(path, {"fallback_providers": ["c"]}).get_json()
    assert (named(patched), patched["priority"]) == (["a", "c"], 7)
    patched = member.patch(path, {"priority": 2}).get_json()
    assert (named(patched), patched["priority"]) == (["a", "c"], 2)
    replaced = member.put(path, {"email_type": "marketing", "default_provider": "b"}).get_json()
    assert (named(replaced), replaced["priority"], replaced["email_type"]) == (["b"], 1, "marketing")
    assert replaced["id"] == rule["id"]


def test_every_wrong_field_is_named_at_once(world: World, member: Caller) -> None:
    member.provider("a")
    foreign = world.user().provider("foreign")
    answer = member.post(
        RULES,
        {
            "email_type": "undeclared",
            "default_provider": str(uuid4()),
            "fallback_providers": ["a", "a", str(foreign), "foreign"],
        },
    )
    assert answer.status_code == 422
    assert fields(answer) == {
        "/email_type",
        "/default_provider",
        "/fallback_providers/1",
        "/fallback_providers/2",
        "/fallback_providers/3",
    }


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"priority": "1"}, "/priority"),
        ({"priority": -1}, "/priority"),
        ({"priority": True}, "/priority"),
        ({"fallback_providers": "a"}, "/fallback_providers"),
        ({"fallback_providers": [1]}, "/fallback_providers/0"),
        ({"default_provider": None}, "/default_provider"),
        ({"conditions": []}, "/conditions"),
    ],
)
def test_wrong_types_are_named(member: Caller, change: dict[str, Any], wrong: str) -> None:
    member.provider("a")
    answer = member.post(RULES, {"email_type": "transactional", "default_provider": "a", **change})
    assert (answer.status_code, fields(answer)) == (422, {wrong})


def test_an_own_provider_goes_before_a_shared_one_of_the_same_name(member: Caller, operator: Caller) -> None:
    operator.provider("same", shared=True)
    mine = member.provider("same")
    rule = member.post(RULES, {"email_type": "transactional", "default_provider": "same"}).get_json()
    assert rule["default_provider"]["id"] == str(mine)


def test_a_shared_rule_names_only_shared_providers_and_is_the_operators(
    member: Caller, operator: Caller
) -> None:
    operator.provider("private")
    operator.provider("common", shared=True)
    body = {"email_type": "transactional", "default_provider": "common", "shared": True}
    assert member.post(RULES, body).status_code == 403
    refused = operator.post(RULES, {**body, "default_provider": "private"})
    assert fields(refused) == {"/default_provider"}
    rule = operator.post(RULES, body).get_json()
    path = f"{RULES}/{rule['id']}"
    assert member.get(path).get_json() == rule
    replacement = {"email_type": "transactional", "default_provider": "common"}
    asked = [member.put(path, replacement), member.patch(path, {"priority": 2}), member.delete(path)]
    assert {answer.status_code for answer in asked} == {403}
    assert operator.patch(path, {"priority": 2}).get_json()["priority"] == 2
    assert operator.delete(path).status_code == 204
    assert member.get(path).status_code == 404


CONDITIONS = {
    "email_type": "transactional",
    "sender_domain": "news.example.com",
    "recipient_domain": "xn--bcher-kva.example",
    "tag": "invoice",
    "user_id": None,
}


def test_a_rule_says_whose_emails_it_is_for_and_what_is_weighed(member: Caller) -> None:
    member.provider("a")
    asked = CONDITIONS | {"sender_domain": "News.Example.COM", "recipient_domain": "B\u00fccher.example"}
    rule = member.post(RULES, asked | {"default_provider": "a", "policy": "cheapest"}).get_json()
    shown = {name: rule[name] for name in CONDITIONS}
    assert (shown, rule["policy"], rule["catch_all"]) == (CONDITIONS, "cheapest", False)
    assert member.get(RULES).get_json()["data"] == [rule]


def test_patch_takes_conditions_away_and_leaves_the_others(member: Caller) -> None:
    member.provider("a")
    asked = CONDITIONS | {"default_provider": "a", "policy": "cheapest"}
    path = f"{RULES}/{member.post(RULES, asked).get_json()['id']}"
    patched = member.patch(path, {"email_type": None, "sender_domain": None, "policy": None}).get_json()
    assert (patched["email_type"], patched["sender_domain"], patched["policy"]) == (None, None, None)
    assert (patched["tag"], patched["recipient_domain"]) == ("invoice", CONDITIONS["recipient_domain"])
    last = {"tag": None, "recipient_domain": None}
    assert fields(member.patch(path, last)) == {"/catch_all"}
    assert member.patch(path, last | {"catch_all": True}).get_json()["catch_all"] is True
    assert member.patch(path, {"priority": 5}).get_json()["catch_all"] is True
    again = member.patch(path, {"tag": "x"}).get_json()
    assert (again["catch_all"], again["tag"], again["priority"]) == (False, "x", 5)
    assert member.put(path, {"tag": "y", "default_provider": "a"}).get_json()["recipient_domain"] is None


@pytest.mark.parametrize("more", [{}, {"email_type": None}, {"tag": "x", "catch_all": True}])
def test_a_rule_for_all_emails_says_so_and_one_with_conditions_is_none(
    member: Caller, more: dict[str, Any]
) -> None:
    member.provider("a")
    answer = member.post(RULES, {"default_provider": "a", **more})
    assert (answer.status_code, fields(answer)) == (422, {"/catch_all"})
    made = member.post(RULES, {"default_provider": "a", "catch_all": True})
    assert (made.status_code, made.get_json()["catch_all"]) == (201, True)


def test_every_wrong_condition_is_named_at_once(member: Caller, operator: Caller) -> None:
    wrong = {
        "email_type": "undeclared",
        "sender_domain": "not a domain",
        "recipient_domain": "@gmail.com",
        "tag": "two\nlines",
        "user_id": "somebody",
        "policy": "best",
        "default_provider": "nobody",
    }
    assert fields(member.post(RULES, wrong)) == {f"/{name}" for name in wrong}
    assert fields(member.post(RULES, {"priority": -1, "default_provider": "nobody"})) == {
        "/priority",
        "/default_provider",
        "/catch_all",
    }
    unknown = {"user_id": str(uuid4()), "shared": True, "priority": -1, "default_provider": "nobody"}
    assert fields(operator.post(RULES, unknown)) == {"/user_id", "/priority", "/default_provider"}


def test_an_operators_rule_for_one_user_is_that_users_to_see_and_the_operators_to_change(
    world: World, member: Caller, operator: Caller
) -> None:
    operator.provider("house", shared=True)
    body = {"user_id": str(member.user_id), "default_provider": "house", "shared": True}
    rule = operator.post(RULES, body).get_json()
    assert (rule["user_id"], rule["shared"], rule["catch_all"]) == (str(member.user_id), True, False)
    path, stranger = f"{RULES}/{rule['id']}", world.user()
    assert member.get(path).get_json() == rule
    assert rule in operator.get(RULES).get_json()["data"]
    assert stranger.get(path).status_code == 404
    assert rule not in stranger.get(RULES).get_json()["data"]
    assert stranger.patch(path, {"priority": 2}).status_code == 404
    assert member.patch(path, {"priority": 2}).status_code == 403
    with world.deps.units() as unit:
        routed = {str(r.id): (r.owner, r.user) for r in unit.routes.rules()}
    assert routed[rule["id"]] == (None, member.user_id)
    assert fields(operator.patch(path, {"user_id": str(uuid4())})) == {"/user_id"}


def test_ones_own_rule_is_for_nobody_else_and_tells_nobody_who_there_is(
    world: World, member: Caller, operator: Caller
) -> None:
    for asker in (member, operator):
        asker.provider("own", shared=False)
        for user in (world.user().user_id, uuid4()):
            body = {"user_id": str(user), "default_provider": "own"}
            answer = asker.post(RULES, body)
            assert (answer.status_code, fields(answer)) == (422, {"/user_id"})
            assert answer.get_json()["errors"][0]["code"] == "not_shared"
    assert fields(
        member.post(RULES, {"user_id": str(uuid4()), "default_provider": "own", "priority": -1})
    ) == {"/priority"}
