"""Test keys: every route that shows something × live and test key. The table is held against the routes themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from api import keys
from tests.integration.api.test_access import BODIES, GUARDED, LATER, PROVIDER_ID, ROUTES, path_of, things
from tests.integration.api.world import EMAIL, Caller, World

APART, SHARED, LIVE = "apart", "shared", "live"
# What a test key sees: things of test keys alone; those of live keys; nothing, for it cannot have the scope.
SEEN = {
    "/v1/emails": APART,
    "/v1/attachments": APART,
    "/v1/providers": APART,
    "/v1/keys": APART,
    "/v1/campaigns": APART,
    "/v1/halts": APART,
    "/v1/suppressions": APART,
    "/v1/erasures": APART,
    "/v1/webhooks": APART,
    "/v1/audit-log": APART,
    "/v1/stats": APART,
    "/v1/templates": SHARED,
    "/v1/email-types": SHARED,
    "/v1/provider-kinds": SHARED,
    "/v1/budgets": LIVE,
    "/v1/routing-rules": LIVE,
    "/v1/users": LIVE,
    "/v1/sessions": LIVE,
    "/v1/domains": LIVE,
}
SHOWN = sorted(rule for method, rule in GUARDED if method == "GET")
LISTS = [rule for rule in SHOWN if "<" not in rule and rule not in ("/v1/stats", "/v1/provider-kinds")]


def seen(rule: str) -> str:
    if rule == f"/v1/providers/{PROVIDER_ID}/webhook":
        return LIVE
    return SEEN["/".join(rule.split("/")[:3])]


def a_test_key(owner: Caller, scopes: Sequence[str] = keys.TEST_SCOPES) -> Caller:
    answer = owner.post("/v1/keys", {"scopes": list(scopes), "test": True})
    assert answer.status_code == 201, answer.text
    made = answer.get_json()
    assert made["test"] is True
    assert made["key"].startswith("mx_test_")
    with owner.app.extensions["mailmux"].units() as unit:
        stored = unit.accounts.find_key(made["public_id"])
    return Caller(owner.app, stored.user_id, made["public_id"], made["key"])


def tried_out(test: Caller) -> dict[str, str]:
    """One of each thing that a test key can make, by the list that shows it."""
    made = {
        "/v1/emails": test.post("/v1/emails", {**EMAIL, "send_at": LATER}).get_json()["id"],
        "/v1/campaigns": test.post("/v1/campaigns", {"name": "t"}).get_json()["id"],
        "/v1/halts": test.post("/v1/halts", BODIES["POST", "/v1/halts"]).get_json()["id"],
        "/v1/webhooks": test.post("/v1/webhooks", BODIES["POST", "/v1/webhooks"]).get_json()["id"],
        "/v1/erasures": test.post("/v1/erasures", BODIES["POST", "/v1/erasures"]).get_json()["id"],
        "/v1/keys": test.post("/v1/keys", {"scopes": ["emails:send"]}).get_json()["id"],
    }
    test.post("/v1/suppressions", BODIES["POST", "/v1/suppressions"])
    [listed, *_] = test.get("/v1/suppressions").get_json()["data"]
    [provider] = test.get("/v1/providers").get_json()["data"]
    return {**made, "/v1/suppressions": listed["id"], "/v1/providers": provider["id"]}


@dataclass(frozen=True)
class Pair:
    """An operator with one of each thing, and the same with a test key."""

    owner: Caller
    live: tuple[UUID, ...]
    test: Caller
    tried: dict[str, str]


@pytest.fixture(scope="module")
def pair(module_world: World) -> Pair:
    owner = module_world.user("operator")
    live = things(owner)
    test = a_test_key(owner)
    return Pair(owner, live, test, tried_out(test))


def shown(caller: Caller, rule: str) -> set[str]:
    answer = caller.get(rule, query_string={"limit": 100})
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.get_json()["data"]}


def test_the_table_has_an_entry_for_every_route_that_shows_something() -> None:
    assert {"/".join(rule.split("/")[:3]) for rule in SHOWN} - {"/v1/routing"} == set(SEEN)


@pytest.mark.parametrize("rule", SHOWN)
def test_a_test_key_has_the_scopes_of_what_it_sees(rule: str) -> None:
    assert (ROUTES["GET", rule] in keys.TEST_SCOPES) is (seen(rule) != LIVE)


def test_what_is_shared_or_live_cannot_be_changed_with_a_test_key() -> None:
    changing = {scope for (method, rule), scope in ROUTES.items() if method != "GET" and scope}
    shared = {"providers", "templates", "types", "rules", "budgets", "users", "sessions", "domains"}
    assert not {s for s in keys.TEST_SCOPES if s.partition(":")[0] in shared} & (
        changing - {"templates:read"}  # the preview
    )


@pytest.mark.parametrize("rule", LISTS)
def test_lists_keep_live_and_test_data_apart(pair: Pair, rule: str) -> None:
    owner, test, tried = pair.owner, pair.test, pair.tried
    in_test, in_live = set(tried.values()), {str(thing) for thing in pair.live}
    if seen(rule) == LIVE:
        assert test.get(rule).status_code == 403
        assert not shown(owner, rule) & in_test
        return
    if seen(rule) == SHARED:
        assert shown(owner, rule) == shown(test, rule)
        return
    assert not shown(test, rule) & in_live
    if rule in tried:
        assert tried[rule] in shown(test, rule)
    if rule != "/v1/keys":  # who owns test keys sees and revokes them
        assert not shown(owner, rule) & in_test


@pytest.mark.parametrize("rule", [rule for rule in SHOWN if "<" in rule and seen(rule) == APART])
def test_what_is_live_is_not_there_for_a_test_key_nor_the_other_way_round(pair: Pair, rule: str) -> None:
    owner, test, tried = pair.owner, pair.test, pair.tried
    answer = test.get(path_of(rule, *pair.live))
    assert (answer.status_code, answer.get_json()["type"]) == (404, "/problems/not-found")
    of_test = tried.get("/".join(rule.split("/")[:3]))
    if of_test is None or "/v1/keys" in rule:
        return
    path = rule.replace(rule.split("/")[3], of_test)
    assert owner.get(path).status_code == 404
    assert test.get(path).status_code == 200, path


@pytest.mark.parametrize(
    ("method", "rule"),
    [(m, r) for m, r in GUARDED if m != "GET" and "<" in r and ROUTES[m, r] in keys.TEST_SCOPES],
)
def test_a_test_key_changes_nothing_live(pair: Pair, method: str, rule: str) -> None:
    answer = pair.test.ask(method, path_of(rule, *pair.live), json=BODIES.get((method, rule)))
    wanted = 200 if rule.endswith("/preview") else 404  # of the owner's template
    assert answer.status_code == wanted, answer.text


def test_statistics_are_of_the_own_kind_of_emails_alone(world: World) -> None:
    owner = world.user()
    test = a_test_key(owner)
    world.sql(
        """INSERT INTO email_stats (user_id, dimension, grain, slot, value, provider_id, currency, accepted)
           VALUES (:live, 'all', 15, date_trunc('hour', mm_now()), '', gen_random_uuid(), 'USD', 5),
                  (:live, 'all', 1440, date_trunc('day', mm_now(), 'UTC'), '', gen_random_uuid(), 'USD', 5),
                  (:test, 'all', 1440, date_trunc('day', mm_now(), 'UTC'), '', gen_random_uuid(), 'USD', 7)""",
        live=owner.user_id,
        test=test.user_id,
    )
    totals = [caller.get("/v1/stats").get_json()["total"]["sent"] for caller in (owner, test)]
    assert totals == [5, 7]


def test_a_test_email_may_use_the_owners_templates_types_and_names_of_providers(world: World) -> None:
    owner = world.user()
    owner.provider("of-mine")
    owner.post("/v1/email-types", {"name": "receipt"})
    template = owner.post("/v1/templates", {"name": "receipt", "subject": "s", "text": "t"}).get_json()["id"]
    owner.post(f"/v1/templates/{template}/publish", {"version": 1})
    test = a_test_key(owner)
    answer = test.post(
        "/v1/emails",
        {
            "from": EMAIL["from"],
            "to": ["bounced@example.com"],
            "template": "receipt",
            "email_type": "receipt",
            "routing": {"pinned": ["of-mine"]},
        },
    )
    assert answer.status_code == 202, answer.text
    pinned = {**EMAIL, "routing": {"pinned": ["of-mine"]}}
    decision = test.post("/v1/routing/preview", pinned).get_json()["decision"]
    assert providers_in(decision) == {"test"}


def providers_in(decision: dict[str, Any]) -> set[str]:
    """Every provider that a decision speaks of."""
    return {
        entry["provider"]
        for part in decision.values()
        if isinstance(part, list)
        for entry in part
        if isinstance(entry, dict) and "provider" in entry
    }


def test_a_live_email_never_goes_to_the_test_provider(world: World) -> None:
    owner = world.user()
    a_test_key(owner)
    owner.provider("of-mine")
    decision = owner.post("/v1/routing/preview", EMAIL).get_json()["decision"]
    assert "of-mine" in providers_in(decision)
    assert "test" not in providers_in(decision)


def test_another_users_proved_domain_may_be_tried_out_with(world: World) -> None:
    theirs, mine = world.user(), world.user()
    domain = theirs.post("/v1/domains", {"name": "taken.example"}).get_json()["id"]
    world.sql("UPDATE domains SET proved_at = mm_now() WHERE id = :id", id=domain)
    email = {**EMAIL, "from": "a@taken.example"}
    assert mine.post("/v1/emails", email).status_code == 422
    assert a_test_key(mine).post("/v1/emails", email).status_code == 202


def test_a_test_key_makes_test_keys_only(world: World, member: Caller) -> None:
    test = a_test_key(member)
    made = test.post("/v1/keys", {"scopes": ["emails:send"]}).get_json()
    assert made["key"].startswith("mx_test_")
    refused = test.post("/v1/keys", {"scopes": ["emails:send"], "test": False})
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/test")


def test_a_test_key_with_a_live_scope_is_not_made(member: Caller) -> None:
    answer = member.post("/v1/keys", {"scopes": ["emails:send", "providers:write"], "test": True})
    assert (answer.status_code, answer.get_json()["errors"][0]["code"]) == (422, "live_only")


def test_a_test_key_is_rotated_and_revoked_with_a_live_one(member: Caller) -> None:
    test = a_test_key(member)
    [row] = [k for k in member.get("/v1/keys").get_json()["data"] if k["test"]]
    fresh = member.post(f"/v1/keys/{row['id']}/rotate", {"overlap_hours": 0}).get_json()
    assert (fresh["test"], fresh["key"][:8]) == (True, "mx_test_")
    assert test.get("/v1/emails").status_code == 401
    again = Caller(member.app, test.user_id, fresh["public_id"], fresh["key"])
    assert again.get("/v1/emails").status_code == 200
    assert member.delete(f"/v1/keys/{fresh['id']}").status_code == 204
    assert again.get("/v1/emails").status_code == 401


def test_one_user_has_one_test_account_that_is_no_user(world: World) -> None:
    owner, operator = world.user(), world.user("operator")
    assert a_test_key(owner).user_id == a_test_key(owner).user_id
    account = a_test_key(owner).user_id
    listed = operator.get("/v1/users", query_string={"limit": 100}).get_json()["data"]
    assert str(account) not in {user["id"] for user in listed}
    assert operator.patch(f"/v1/users/{account}", {"role": "operator"}).status_code == 404
    assert operator.post(f"/v1/users/{account}/password-link").status_code == 404


def test_an_operators_test_key_is_no_operators(world: World, operator: Caller) -> None:
    test = a_test_key(operator)
    everybody = {"address": "x@example.com", "everybody": True}
    assert test.post("/v1/erasures", everybody).status_code == 403


def test_a_live_prefix_does_not_open_a_test_account(world: World, member: Caller) -> None:
    test = a_test_key(member)
    parsed = keys.parse(test.key)
    assert parsed is not None
    forged = keys.ApiKey(parsed.public_id, parsed.secret, keys.KEY)
    assert Caller(world.app, test.user_id, "", forged.reveal()).get("/v1/emails").status_code == 401


def test_erasing_a_recipient_erases_what_was_tried_out_too(world: World, member: Caller) -> None:
    test = a_test_key(member)
    member.post("/v1/erasures", {"address": "gone@example.net"})
    asked = world.sql("SELECT user_id FROM erasures WHERE address = 'gone@example.net' AND done_at IS NULL")
    assert {row.user_id for row in asked} >= {member.user_id, UUID(str(test.user_id))}
