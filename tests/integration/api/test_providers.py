"""Providers: adding, changing, testing, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from domain.checkup import Allowance, Checkup, SenderIdentity
from domain.errors import Misconfigured
from tests.integration.api.world import EMAIL, Caller, World, fields

SENDGRID: dict[str, Any] = {
    "name": "main",
    "kind": "sendgrid",
    "config": {"base_url": "https://api.eu.sendgrid.com"},
    "credentials": {"api_key": "SG.secret"},
    "base_cost": "0.00040",
    "currency": "EUR",
    "quota": {"daily": 100, "rate_per_second": 2.5, "time_zone": "Europe/Berlin"},
}


def test_a_provider_is_added_and_its_credentials_are_never_shown(world: World, member: Caller) -> None:
    answer = member.post("/v1/providers", SENDGRID)
    assert answer.status_code == 201, answer.text
    added = answer.get_json()
    assert answer.headers["Location"] == f"/v1/providers/{added['id']}"
    assert (added["base_cost"], added["currency"], added["status"]) == ("0.0004", "EUR", True)
    assert (added["shared"], added["version"], added["config"]) == (False, 1, SENDGRID["config"])
    quota = added["quota"]
    assert (quota["daily"], quota["monthly"], quota["rate_per_second"]) == (100, None, 2.5)
    assert (quota["used_today"], quota["used_this_month"]) == (0, 0)
    shown = [answer.text, member.get(answer.headers["Location"]).text, member.get("/v1/providers").text]
    assert not any("SG.secret" in text or "credentials" in text for text in shown)
    [row] = world.sql("SELECT * FROM providers WHERE id = :id", id=added["id"])
    assert "SG.secret" not in row.api_key
    opened = world.deps.sealer.open(row.api_key, owner=member.user_id, kind="sendgrid", row=row.id)
    assert opened == {"api_key": "SG.secret"}


def test_all_wrong_settings_of_a_kind_are_named(member: Caller) -> None:
    body = {
        **SENDGRID,
        "config": {"base_url": "nonsense", "surprise": 1},
        "credentials": {"api_key": "", "password": "x"},
    }
    answer = member.post("/v1/providers", body)
    assert answer.status_code == 422
    assert fields(answer) == {
        "/config/base_url",
        "/config/surprise",
        "/credentials/api_key",
        "/credentials/password",
    }
    assert "SG." not in answer.text


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"kind": "pigeon"}, "/kind"),
        ({"name": ""}, "/name"),
        ({"name": "a\r\nb"}, "/name"),
        ({"base_cost": 0.0004}, "/base_cost"),
        ({"base_cost": "1e3"}, "/base_cost"),
        ({"base_cost": "-1"}, "/base_cost"),
        ({"base_cost": "NaN"}, "/base_cost"),
        ({"base_cost": "1234567"}, "/base_cost"),
        ({"currency": "euro"}, "/currency"),
        ({"currency": "EUR\n"}, "/currency"),
        ({"quota": {"daily": -1}}, "/quota/daily"),
        ({"quota": {"daily": 2**31}}, "/quota/daily"),
        ({"quota": {"daily": "5"}}, "/quota/daily"),
        ({"quota": {"rate_per_second": 0}}, "/quota/rate_per_second"),
        ({"quota": {"time_zone": "Mars/Olympus"}}, "/quota/time_zone"),
        ({"quota": {"time_zone": "../../etc/passwd"}}, "/quota/time_zone"),
        ({"credentials": {"api_key": None}}, "/credentials/api_key"),
        ({"shared": "yes"}, "/shared"),
        ({"api_key": "x"}, "/api_key"),
        ({"config": {"base_url": "a\0b"}}, "/config/base_url"),
    ],
)
def test_wrong_fields_are_named(member: Caller, change: dict[str, Any], wrong: str) -> None:
    answer = member.post("/v1/providers", {**SENDGRID, **change})
    assert (answer.status_code, fields(answer)) == (422, {wrong}), answer.text


def test_a_name_is_taken_once_per_owner(world: World, member: Caller) -> None:
    member.provider("twin")
    again = member.post("/v1/providers", {**SENDGRID, "name": "twin"})
    assert (again.status_code, fields(again)) == (409, {"/name"})
    other = member.provider("other")
    renamed = member.patch(f"/v1/providers/{other}", {"name": "twin"})
    assert (renamed.status_code, fields(renamed)) == (409, {"/name"})
    world.user().provider("twin")


def test_a_change_leaves_the_rest_and_raises_the_version(world: World, member: Caller) -> None:
    provider = member.post("/v1/providers", SENDGRID).get_json()["id"]
    changed = member.patch(
        f"/v1/providers/{provider}", {"base_cost": "0.0009", "quota": {"daily": 5}}
    ).get_json()
    assert (changed["base_cost"], changed["currency"], changed["name"]) == ("0.0009", "EUR", "main")
    assert (changed["quota"]["daily"], changed["quota"]["rate_per_second"], changed["version"]) == (
        5,
        None,
        2,
    )
    assert changed["config"] == SENDGRID["config"]
    assert changed["updated_at"] > changed["created_at"]
    member.patch(f"/v1/providers/{provider}", {"credentials": {"api_key": "SG.new"}})
    [row] = world.sql("SELECT * FROM providers WHERE id = :id", id=provider)
    opened = world.deps.sealer.open(row.api_key, owner=member.user_id, kind="sendgrid", row=row.id)
    assert (opened, row.version) == ({"api_key": "SG.new"}, 3)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"config": {"base_url": "nonsense"}}, {"/config/base_url"}),
        ({"credentials": {}}, {"/credentials/api_key"}),
        ({"kind": "smtp"}, {"/kind"}),
        ({"name": None, "base_cost": None}, {"/name", "/base_cost"}),
        ({"quota": {"time_zone": "Nowhere"}, "status": 1}, {"/quota/time_zone", "/status"}),
    ],
)
def test_a_wrong_change_changes_nothing(member: Caller, change: dict[str, Any], wrong: set[str]) -> None:
    before = member.post("/v1/providers", SENDGRID).get_json()
    answer = member.patch(f"/v1/providers/{before['id']}", change)
    assert (answer.status_code, fields(answer)) == (422, wrong)
    assert member.get(f"/v1/providers/{before['id']}").get_json() == before


def test_pause_and_resume_are_idempotent(member: Caller) -> None:
    provider = member.provider("main")
    for _ in range(2):
        paused = member.post(f"/v1/providers/{provider}/pause").get_json()
        assert (paused["status"], paused["version"]) == (False, 2)
    for _ in range(2):
        resumed = member.post(f"/v1/providers/{provider}/resume").get_json()
        assert (resumed["status"], resumed["version"]) == (True, 3)


def test_the_use_of_a_quota_is_shown_until_its_window_ends(world: World, member: Caller) -> None:
    provider = member.provider("main", quota={"daily": 10, "monthly": 100})
    world.sql(
        "UPDATE provider_quota SET used_today = 4, used_this_month = 40 WHERE provider_id = :id", id=provider
    )
    quota = member.get(f"/v1/providers/{provider}").get_json()["quota"]
    assert (quota["used_today"], quota["used_this_month"]) == (4, 40)
    member.patch(f"/v1/providers/{provider}", {"quota": {"daily": 20}})
    quota = member.get(f"/v1/providers/{provider}").get_json()["quota"]
    assert (quota["daily"], quota["used_today"]) == (20, 4)
    with world.later("40 days"):
        quota = member.get(f"/v1/providers/{provider}").get_json()["quota"]
    assert (quota["used_today"], quota["used_this_month"]) == (0, 0)


def test_a_deleted_provider_is_gone_and_its_name_is_free(member: Caller) -> None:
    provider = member.provider("main")
    assert member.delete(f"/v1/providers/{provider}").status_code == 204
    assert member.get(f"/v1/providers/{provider}").status_code == 404
    assert member.delete(f"/v1/providers/{provider}").status_code == 404
    assert member.get("/v1/providers", query_string={"limit": 100}).get_json()["data"] == []
    member.provider("main")


def test_a_provider_that_a_rule_names_is_not_deleted(member: Caller) -> None:
    one, two = member.provider("one"), member.provider("two")
    rule = member.post(
        "/v1/routing-rules",
        {"email_type": "marketing", "default_provider": "one", "fallback_providers": ["two"]},
    ).get_json()
    for provider in (one, two):
        answer = member.delete(f"/v1/providers/{provider}")
        assert (answer.status_code, answer.get_json()["routing_rules"]) == (409, [rule["id"]])
    member.delete(f"/v1/routing-rules/{rule['id']}")
    assert member.delete(f"/v1/providers/{one}").status_code == 204


def test_a_test_builds_the_adapter_with_the_opened_credentials(world: World, member: Caller) -> None:
    provider = member.post("/v1/providers", SENDGRID).get_json()["id"]
    answer = member.post(f"/v1/providers/{provider}/test")
    assert (answer.status_code, answer.get_json()["ok"], answer.get_json()["error"]) == (200, True, None)
    assert world.built == [("sendgrid", "main", SENDGRID["config"], SENDGRID["credentials"])]


def test_a_failed_test_says_why(world: World, member: Caller) -> None:
    provider = member.provider("main")
    world.check_error.append(Misconfigured("main", "the key was refused"))
    found = member.post(f"/v1/providers/{provider}/test").get_json()
    assert found["ok"] is False
    assert found["error"] == {"code": "misconfigured", "detail": "the key was refused"}


def test_a_test_tells_what_the_provider_told(world: World, member: Caller) -> None:
    provider = member.provider("main")
    world.check_tells.append(
        Checkup((SenderIdentity("sender.example", True),), Allowance(200, 250, 24), 14.0, ("in the sandbox",))
    )
    found = member.post(f"/v1/providers/{provider}/test").get_json()
    assert found["sender_identities"] == [{"name": "sender.example", "verified": True}]
    assert found["allowance"] == {"limit": 200, "used": 250, "left": 0, "hours": 24}
    assert (found["rate_per_second"], found["notes"]) == (14.0, ["in the sandbox"])


def test_credentials_that_no_key_opens_are_said_to_be_so(world: World, member: Caller) -> None:
    provider = member.provider("main")
    world.sql(
        "UPDATE providers SET api_key = replace(api_key, '\"k1\"', '\"lost\"') WHERE id = :id", id=provider
    )
    found = member.post(f"/v1/providers/{provider}/test").get_json()
    assert (found["ok"], found["error"]["code"]) == (False, "misconfigured")
    assert "lost" in found["error"]["detail"]


def test_members_see_shared_providers_and_only_operators_change_them(
    member: Caller, operator: Caller
) -> None:
    refused = member.post("/v1/providers", {**SENDGRID, "name": "for-all", "shared": True})
    assert (refused.status_code, refused.get_json()["type"]) == (403, "/problems/operators-only")
    provider = operator.post("/v1/providers", {**SENDGRID, "name": "for-all", "shared": True}).get_json()[
        "id"
    ]
    assert member.get(f"/v1/providers/{provider}").get_json()["shared"] is True
    asked = [
        member.patch(f"/v1/providers/{provider}", {"name": "mine"}),
        member.delete(f"/v1/providers/{provider}"),
        *(member.post(f"/v1/providers/{provider}/{verb}") for verb in ("pause", "resume", "test")),
    ]
    assert {answer.status_code for answer in asked} == {403}
    assert operator.patch(f"/v1/providers/{provider}", {"base_cost": "1"}).get_json()["base_cost"] == "1"
    assert operator.delete(f"/v1/providers/{provider}").status_code == 204


def test_pages_of_providers_follow_each_other(member: Caller) -> None:
    ids = [str(member.provider(f"p{n}")) for n in range(3)]
    first = member.get("/v1/providers?limit=2").get_json()
    assert [p["id"] for p in first["data"]] == ids[:0:-1]
    second = member.get("/v1/providers", query_string={"cursor": first["next_cursor"]}).get_json()
    assert (second["data"][0]["id"], second["has_more"], second["next_cursor"]) == (ids[0], False, None)


def test_kinds_say_how_they_are_configured(member: Caller) -> None:
    kinds = {kind["name"]: kind for kind in member.get("/v1/provider-kinds").get_json()["data"]}
    assert {"memory", "sendgrid", "smtp"} <= kinds.keys()
    assert "host" in kinds["smtp"]["config_schema"]["required"]
    assert "api_key" in kinds["sendgrid"]["credentials_schema"]["required"]
    assert kinds["sendgrid"]["capabilities"]["max_recipients"] == 1000


def test_a_provider_is_in_a_region_and_emails_that_may_not_leave_it_go_there(member: Caller) -> None:
    bound = {**EMAIL, "routing": {"residency": "eu", "policy": "cheapest"}}
    refused = member.post("/v1/emails", bound)
    assert (refused.status_code, fields(refused)) == (422, {"/routing/residency"})
    there = member.post("/v1/providers", {**SENDGRID, "region": "eu"}).get_json()
    member.post("/v1/providers", {**SENDGRID, "name": "elsewhere"})
    assert there["region"] == "eu"
    decision = member.post("/v1/routing/preview", bound).get_json()["decision"]
    assert decision["chosen"] == "main"
    assert [(e["provider"], e["because"]) for e in decision["excluded"]] == [("elsewhere", "RESIDENCY")]
    assert member.post("/v1/emails", bound).status_code == 202
    renamed = member.patch(f"/v1/providers/{there['id']}", {"name": "eu-main"}).get_json()
    assert renamed["region"] == "eu", "what is left out stays"
    assert member.patch(f"/v1/providers/{there['id']}", {"region": None}).get_json()["region"] is None
    assert member.post("/v1/emails", bound).status_code == 422


def test_nonsense_wishes_are_refused_all_at_once(member: Caller) -> None:
    answer = member.post("/v1/emails", {**EMAIL, "routing": {"residency": "E U", "policy": "fastest"}})
    assert (answer.status_code, fields(answer)) == (422, {"/routing/residency", "/routing/policy"})
    assert fields(member.post("/v1/providers", {**SENDGRID, "region": "Europe"})) == {"/region"}
