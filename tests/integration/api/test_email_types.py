"""Declared email types: who sees and changes them, and what they do to emails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.world import EMAIL, Caller, World, fields


def declare(owner: Caller, name: str = "digest", **said: Any) -> dict[str, Any]:
    answer = owner.post("/v1/email-types", {"name": name, **said})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def treated(world: World, owner: Caller, **said: Any) -> tuple[str, str]:
    """The lane and `on_unknown` of an email that is accepted now."""
    answer = owner.post("/v1/emails", {**EMAIL, **said})
    assert answer.status_code == 202, answer.text
    [row] = world.sql("SELECT lane, on_unknown FROM email_jobs WHERE id = :id", id=answer.get_json()["id"])
    return row.lane, row.on_unknown


def test_what_is_left_out_follows_the_category(member: Caller) -> None:
    plain, loud = declare(member), declare(member, "news", category="marketing")
    told = ("category", "lane", "on_unknown", "policy", "urgent", "shared")
    assert [plain[n] for n in told] == ["transactional", "transactional", "hold", "balanced", False, False]
    assert (loud["category"], loud["lane"]) == ("marketing", "bulk")


def test_marketing_has_no_other_lane_than_bulk(member: Caller) -> None:
    said = {"name": "news", "category": "marketing", "lane": "transactional", "policy": "best"}
    answer = member.post("/v1/email-types", said)
    assert (answer.status_code, fields(answer)) == (422, {"/lane", "/policy"})
    news, plain = declare(member, "news", category="marketing"), declare(member)
    for found, said in ((news, {}), (plain, {"category": "marketing"})):
        path = f"/v1/email-types/{found['id']}"
        refused = member.patch(path, {**said, "lane": "transactional"})
        assert (refused.status_code, fields(refused)) == (422, {"/lane"})
        assert member.patch(path, {**said, "urgent": True}).get_json()["lane"] == "bulk"


def test_emails_are_treated_as_their_type_says_when_they_are_accepted(world: World, member: Caller) -> None:
    digest = declare(member, lane="bulk", on_unknown="resend")
    assert treated(world, member, email_type="digest") == ("bulk", "resend")
    changed = member.patch(f"/v1/email-types/{digest['id']}", {"lane": "transactional"}).get_json()
    assert (changed["lane"], changed["on_unknown"]) == ("transactional", "resend")
    assert treated(world, member, email_type="digest") == ("transactional", "resend")
    assert member.delete(f"/v1/email-types/{digest['id']}").status_code == 204
    gone = member.post("/v1/emails", {**EMAIL, "email_type": "digest"})
    assert (gone.status_code, fields(gone)) == (422, {"/email_type"})


def test_a_users_own_type_goes_before_the_shared_one(world: World, member: Caller) -> None:
    declare(member, "transactional", lane="bulk")
    assert treated(world, member) == ("bulk", "hold")
    assert treated(world, world.user()) == ("transactional", "hold")


def test_marketing_goes_to_one_recipient_each(member: Caller) -> None:
    two = {"to": ["a@example.org", "b@example.org"], "cc": ["c@example.org"], "bcc": ["d@example.org"]}
    answer = member.post("/v1/emails", {**EMAIL, **two, "email_type": "marketing"})
    assert (answer.status_code, fields(answer)) == (422, {"/to", "/cc", "/bcc"})
    assert member.post("/v1/emails", {**EMAIL, **two}).status_code == 202


def test_a_type_that_a_rule_names_stays(member: Caller) -> None:
    digest = declare(member)
    member.provider("p")
    rule = member.post("/v1/routing-rules", {"email_type": "digest", "default_provider": "p"}).get_json()
    assert member.delete(f"/v1/email-types/{digest['id']}").status_code == 409
    member.delete(f"/v1/routing-rules/{rule['id']}")
    assert member.delete(f"/v1/email-types/{digest['id']}").status_code == 204


def test_only_operators_change_what_all_have(world: World, member: Caller, operator: Caller) -> None:
    assert member.post("/v1/email-types", {"name": "all", "shared": True}).status_code == 403
    shared = declare(operator, "for-all", shared=True)
    assert member.get(f"/v1/email-types/{shared['id']}").get_json()["shared"] is True
    assert member.patch(f"/v1/email-types/{shared['id']}", {"urgent": True}).status_code == 403
    assert member.delete(f"/v1/email-types/{shared['id']}").status_code == 403
    assert operator.delete(f"/v1/email-types/{shared['id']}").status_code == 204


def test_the_first_types_stay(operator: Caller) -> None:
    listed = operator.get("/v1/email-types").get_json()["data"]
    first = [t for t in listed if t["shared"] and t["name"] in ("transactional", "marketing")]
    assert len(first) == 2
    for found in first:
        assert operator.delete(f"/v1/email-types/{found['id']}").status_code == 409


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"name": "a b", "lane": "fast"}, {"/name", "/lane"}),
        ({"name": "x" * 51, "policy": "best", "urgent": "yes"}, {"/name", "/policy", "/urgent"}),
        ({"category": "spam", "on_unknown": "guess"}, {"/name", "/category", "/on_unknown"}),
    ],
)
def test_wrong_declarations_are_refused_with_every_mistake(
    member: Caller, said: dict[str, Any], wrong: set[str]
) -> None:
    answer = member.post("/v1/email-types", said)
    assert (answer.status_code, fields(answer)) == (422, wrong)


def test_a_name_is_declared_once(member: Caller) -> None:
    declare(member)
    assert member.post("/v1/email-types", {"name": "digest"}).status_code == 409


def test_a_type_may_promise_the_share_that_is_delivered(member: Caller) -> None:
    made = member.post(
        "/v1/email-types", {"name": "receipt", "policy": "cheapest", "deliver_at_least": 0.985}
    )
    assert made.get_json()["deliver_at_least"] == 0.985
    path = f"/v1/email-types/{made.get_json()['id']}"
    assert member.patch(path, {"urgent": True}).get_json()["deliver_at_least"] == 0.985
    assert member.patch(path, {"deliver_at_least": None}).get_json()["deliver_at_least"] is None
    for wrong in (0.4, 1, "0.9", True):
        answer = member.patch(path, {"deliver_at_least": wrong})
        assert (answer.status_code, fields(answer)) == (422, {"/deliver_at_least"}), wrong


def test_a_type_may_promise_how_soon_nearly_all_are_taken(member: Caller) -> None:
    made = member.post("/v1/email-types", {"name": "receipt", "policy": "cheapest", "taken_within": 1.5})
    assert made.get_json()["taken_within"] == 1.5
    path = f"/v1/email-types/{made.get_json()['id']}"
    assert member.patch(path, {"urgent": True}).get_json()["taken_within"] == 1.5
    assert member.patch(path, {"taken_within": None}).get_json()["taken_within"] is None
    for wrong in (0.01, 11, "1", True):
        answer = member.patch(path, {"taken_within": wrong})
        assert (answer.status_code, fields(answer)) == (422, {"/taken_within"}), wrong


def test_a_type_may_name_the_providers_that_carry_it(world: World, member: Caller) -> None:
    member.provider("post")
    other = member.provider("bulk")
    digest = declare(member, providers=["post", str(other)])
    assert [p["name"] for p in digest["providers"]] == ["bulk", "post"]
    same = member.patch(f"/v1/email-types/{digest['id']}", {"urgent": True}).get_json()
    assert same["providers"] == digest["providers"], "what is left out stays"
    assert member.delete(f"/v1/providers/{other}").status_code == 409
    fewer = member.patch(f"/v1/email-types/{digest['id']}", {"providers": ["post"]}).get_json()
    assert [p["name"] for p in fewer["providers"]] == ["post"]
    decision = member.post("/v1/routing/preview", {**EMAIL, "email_type": "digest"}).get_json()["decision"]
    assert [(e["provider"], e["because"]) for e in decision["excluded"]] == [("bulk", "TYPE")]
    assert member.delete(f"/v1/providers/{other}").status_code == 204
    free = member.patch(f"/v1/email-types/{digest['id']}", {"providers": []}).get_json()
    assert free["providers"] == []


def test_a_type_names_no_strangers_provider_and_every_mistake_is_told(world: World, member: Caller) -> None:
    world.user().provider("theirs")
    wrong = {"name": "digest", "providers": ["theirs", "nobody"], "lane": "fast"}
    answer = member.post("/v1/email-types", wrong)
    assert (answer.status_code, fields(answer)) == (422, {"/providers/0", "/providers/1", "/lane"})
    answer = member.post("/v1/email-types", {"name": "digest", "providers": ["theirs"]})
    assert (answer.status_code, fields(answer)) == (422, {"/providers/0"})
