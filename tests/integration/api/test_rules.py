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
