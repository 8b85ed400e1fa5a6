"""Every route × every kind of caller. The table is held against the application's own routes."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from api import keys
from tests.builders import new_id
from tests.integration.api.world import EMAIL, Caller, World

EMAIL_ID, PROVIDER_ID, RULE_ID = "<uuid:email_id>", "<uuid:provider_id>", "<uuid:rule_id>"
LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()
TEMPLATE_ID, TYPE_ID, HOOK_ID = "<uuid:template_id>", "<uuid:type_id>", "<uuid:webhook_id>"
DOMAIN_ID = "<uuid:domain_id>"
SUPPRESSION_ID, CAMPAIGN_ID, HALT_ID, KEY_ID, USER_ID = (
    "<uuid:suppression_id>",
    "<uuid:campaign_id>",
    "<uuid:halt_id>",
    "<uuid:key_id>",
    "<uuid:user_id>",
)
FILE_ID, UPLOAD_ID, SESSION_ID = "<uuid:attachment_id>", "<uuid:upload_id>", "<uuid:session_id>"
ERASURE_ID, BUDGET_ID = "<uuid:erasure_id>", "<uuid:budget_id>"
SIGN_OUT = ("DELETE", "/v1/sessions/current")  # only with a session
PASSWORD = "correct horse battery staple"

A_FORM = ("POST", "/v1/attachments")

# (method, rule) → scope; None: public.
ROUTES = {
    ("POST", "/v1/emails"): "emails:send",
    ("POST", "/v1/emails/batch"): "emails:send",
    ("GET", "/v1/emails"): "emails:read",
    ("GET", f"/v1/emails/{EMAIL_ID}"): "emails:read",
    ("POST", f"/v1/emails/{EMAIL_ID}/cancel"): "emails:send",
    ("POST", f"/v1/emails/{EMAIL_ID}/reschedule"): "emails:send",
    ("POST", "/v1/emails/cancel"): "emails:send",
    ("POST", "/v1/emails/reschedule"): "emails:send",
    ("POST", "/v1/emails/resend"): "emails:send",
    ("POST", f"/v1/emails/{EMAIL_ID}/resend"): "emails:send",
    ("POST", "/v1/attachments"): "emails:send",
    ("GET", "/v1/attachments"): "emails:read",
    ("GET", f"/v1/attachments/{FILE_ID}"): "emails:read",
    ("DELETE", f"/v1/attachments/{FILE_ID}"): "emails:send",
    ("GET", f"/v1/attachments/{FILE_ID}/content"): None,
    ("POST", "/v1/attachments/uploads"): "emails:send",
    ("PUT", f"/v1/attachments/uploads/{UPLOAD_ID}"): None,
    ("POST", f"/v1/attachments/uploads/{UPLOAD_ID}/complete"): "emails:send",
    ("GET", "/v1/provider-kinds"): "providers:read",
    ("POST", "/v1/providers"): "providers:write",
    ("GET", "/v1/providers"): "providers:read",
    ("GET", f"/v1/providers/{PROVIDER_ID}"): "providers:read",
    ("PATCH", f"/v1/providers/{PROVIDER_ID}"): "providers:write",
    ("DELETE", f"/v1/providers/{PROVIDER_ID}"): "providers:write",
    ("GET", f"/v1/providers/{PROVIDER_ID}/prices"): "providers:read",
    ("GET", f"/v1/providers/{PROVIDER_ID}/health"): "providers:read",
    ("GET", f"/v1/providers/{PROVIDER_ID}/warm-ups"): "providers:read",
    ("PUT", f"/v1/providers/{PROVIDER_ID}/warm-ups"): "providers:write",
    ("POST", f"/v1/providers/{PROVIDER_ID}/warm-ups/end"): "providers:write",
    ("POST", f"/v1/providers/{PROVIDER_ID}/healed"): "providers:write",
    ("PUT", f"/v1/providers/{PROVIDER_ID}/prices"): "providers:write",
    ("POST", f"/v1/providers/{PROVIDER_ID}/test"): "providers:write",
    ("POST", f"/v1/providers/{PROVIDER_ID}/pause"): "providers:write",
    ("POST", f"/v1/providers/{PROVIDER_ID}/resume"): "providers:write",
    ("POST", "/v1/routing/preview"): "emails:send",
    ("POST", "/v1/routing/replay"): "emails:read",
    ("POST", "/v1/routing-rules"): "rules:write",
    ("GET", "/v1/routing-rules"): "rules:read",
    ("GET", f"/v1/routing-rules/{RULE_ID}"): "rules:read",
    ("PUT", f"/v1/routing-rules/{RULE_ID}"): "rules:write",
    ("PATCH", f"/v1/routing-rules/{RULE_ID}"): "rules:write",
    ("DELETE", f"/v1/routing-rules/{RULE_ID}"): "rules:write",
    ("POST", "/v1/templates"): "templates:write",
    ("GET", "/v1/templates"): "templates:read",
    ("GET", f"/v1/templates/{TEMPLATE_ID}"): "templates:read",
    ("PATCH", f"/v1/templates/{TEMPLATE_ID}"): "templates:write",
    ("DELETE", f"/v1/templates/{TEMPLATE_ID}"): "templates:write",
    ("POST", f"/v1/templates/{TEMPLATE_ID}/versions"): "templates:write",
    ("GET", f"/v1/templates/{TEMPLATE_ID}/versions"): "templates:read",
    ("GET", f"/v1/templates/{TEMPLATE_ID}/versions/<int:version>"): "templates:read",
    ("POST", f"/v1/templates/{TEMPLATE_ID}/publish"): "templates:write",
    ("POST", f"/v1/templates/{TEMPLATE_ID}/preview"): "templates:read",
    ("POST", "/v1/email-types"): "types:write",
    ("GET", "/v1/email-types"): "types:read",
    ("GET", f"/v1/email-types/{TYPE_ID}"): "types:read",
    ("PATCH", f"/v1/email-types/{TYPE_ID}"): "types:write",
    ("DELETE", f"/v1/email-types/{TYPE_ID}"): "types:write",
    ("POST", "/v1/keys"): "keys:write",
    ("GET", "/v1/keys"): "keys:read",
    ("GET", f"/v1/keys/{KEY_ID}"): "keys:read",
    ("DELETE", f"/v1/keys/{KEY_ID}"): "keys:write",
    ("POST", f"/v1/keys/{KEY_ID}/rotate"): "keys:write",
    ("POST", "/v1/users"): "users:write",
    ("GET", "/v1/users"): "users:write",
    ("GET", f"/v1/users/{USER_ID}"): "users:write",
    ("PATCH", f"/v1/users/{USER_ID}"): "users:write",
    ("POST", f"/v1/users/{USER_ID}/password-link"): "users:write",
    ("POST", f"/v1/users/{USER_ID}/lock-out"): "users:write",
    ("POST", "/v1/sessions"): None,
    ("GET", "/v1/sessions"): "sessions:read",
    ("DELETE", "/v1/sessions/current"): "sessions:write",
    ("DELETE", f"/v1/sessions/{SESSION_ID}"): "sessions:write",
    ("PUT", "/v1/password"): "sessions:write",
    ("POST", "/v1/password"): None,
    ("POST", "/v1/campaigns"): "campaigns:write",
    ("GET", "/v1/campaigns"): "campaigns:read",
    ("GET", f"/v1/campaigns/{CAMPAIGN_ID}"): "campaigns:read",
    ("PATCH", f"/v1/campaigns/{CAMPAIGN_ID}"): "campaigns:write",
    ("DELETE", f"/v1/campaigns/{CAMPAIGN_ID}"): "campaigns:write",
    ("POST", f"/v1/campaigns/{CAMPAIGN_ID}/pause"): "campaigns:write",
    ("POST", f"/v1/campaigns/{CAMPAIGN_ID}/resume"): "campaigns:write",
    ("POST", f"/v1/campaigns/{CAMPAIGN_ID}/cancel"): "campaigns:write",
    ("GET", "/v1/audit-log"): "audit:read",
    ("GET", "/v1/stats"): "stats:read",
    ("POST", "/v1/budgets"): "budgets:write",
    ("GET", "/v1/budgets"): "budgets:read",
    ("GET", f"/v1/budgets/{BUDGET_ID}"): "budgets:read",
    ("PATCH", f"/v1/budgets/{BUDGET_ID}"): "budgets:write",
    ("DELETE", f"/v1/budgets/{BUDGET_ID}"): "budgets:write",
    ("GET", "/v1/halts"): "campaigns:read",
    ("POST", "/v1/halts"): "campaigns:write",
    ("DELETE", f"/v1/halts/{HALT_ID}"): "campaigns:write",
    ("POST", "/v1/suppressions"): "suppressions:write",
    ("GET", "/v1/suppressions"): "suppressions:read",
    ("GET", f"/v1/suppressions/{SUPPRESSION_ID}"): "suppressions:read",
    ("DELETE", f"/v1/suppressions/{SUPPRESSION_ID}"): "suppressions:write",
    ("POST", f"/v1/providers/{PROVIDER_ID}/suppressions/import"): "suppressions:write",
    ("POST", "/v1/erasures"): "erasures:write",
    ("GET", "/v1/erasures"): "erasures:read",
    ("GET", f"/v1/erasures/{ERASURE_ID}"): "erasures:read",
    ("POST", "/v1/webhooks"): "webhooks:write",
    ("GET", "/v1/webhooks"): "webhooks:read",
    ("GET", f"/v1/webhooks/{HOOK_ID}"): "webhooks:read",
    ("PATCH", f"/v1/webhooks/{HOOK_ID}"): "webhooks:write",
    ("DELETE", f"/v1/webhooks/{HOOK_ID}"): "webhooks:write",
    ("POST", f"/v1/webhooks/{HOOK_ID}/rotate"): "webhooks:write",
    ("POST", f"/v1/webhooks/{HOOK_ID}/test"): "webhooks:write",
    ("POST", f"/v1/webhooks/{HOOK_ID}/replay"): "webhooks:write",
    ("GET", f"/v1/webhooks/{HOOK_ID}/messages"): "webhooks:read",
    ("POST", "/v1/domains"): "domains:write",
    ("GET", "/v1/domains"): "domains:read",
    ("GET", f"/v1/domains/{DOMAIN_ID}"): "domains:read",
    ("DELETE", f"/v1/domains/{DOMAIN_ID}"): "domains:write",
    ("POST", f"/v1/domains/{DOMAIN_ID}/check"): "domains:write",
    ("GET", "/t/<token>"): None,
    ("GET", "/u/<token>"): None,
    ("POST", "/u/<token>"): None,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/docs"): None,
    ("GET", "/v1/providers/<uuid:provider_id>/webhook"): "providers:write",
    ("PUT", "/v1/providers/<uuid:provider_id>/webhook"): "providers:write",
    ("DELETE", "/v1/providers/<uuid:provider_id>/webhook"): "providers:write",
    ("GET", "/hooks/<kind>/<uuid:account_id>/<token>"): None,
    ("POST", "/hooks/<kind>/<uuid:account_id>/<token>"): None,
}
GUARDED = sorted(route for route, scope in ROUTES.items() if scope)
OF_ONE = [route for route in GUARDED if "<" in route[1]]

# Bodies that would be accepted, so that only the caller can be what is wrong.
BODIES = {
    ("POST", "/v1/emails"): EMAIL,
    ("POST", "/v1/emails/batch"): {"defaults": EMAIL, "emails": [{}]},
    ("POST", "/v1/attachments/uploads"): {"filename": "a.txt", "size": 1},
    ("POST", "/v1/providers"): {"name": "p", "kind": "memory", "base_cost": "1"},
    ("PATCH", f"/v1/providers/{PROVIDER_ID}"): {"name": "renamed"},
    ("PUT", f"/v1/providers/{PROVIDER_ID}/prices"): {"prices": []},
    ("PUT", f"/v1/providers/{PROVIDER_ID}/warm-ups"): {"domain": "news.example.com"},
    ("POST", f"/v1/providers/{PROVIDER_ID}/warm-ups/end"): {"domain": "news.example.com"},
    ("POST", "/v1/routing/preview"): EMAIL,
    ("POST", "/v1/routing/replay"): {"since": "2020-01-01T00:00:00Z", "until": "2020-01-08T00:00:00Z"},
    ("POST", "/v1/routing-rules"): {"email_type": "transactional", "default_provider": "p"},
    ("PUT", f"/v1/routing-rules/{RULE_ID}"): {"email_type": "transactional", "default_provider": "p"},
    ("PATCH", f"/v1/routing-rules/{RULE_ID}"): {"priority": 5},
    ("POST", f"/v1/emails/{EMAIL_ID}/reschedule"): {"send_at": LATER},
    ("POST", "/v1/emails/cancel"): {"tag": "x"},
    ("POST", "/v1/emails/resend"): {"tag": "x"},
    ("POST", "/v1/emails/reschedule"): {"tag": "x", "send_at": LATER},
    ("POST", "/v1/email-types"): {"name": "t"},
    ("PATCH", f"/v1/email-types/{TYPE_ID}"): {"urgent": True},
    ("POST", "/v1/templates"): {"name": "t", "subject": "s", "text": "t"},
    ("PATCH", f"/v1/templates/{TEMPLATE_ID}"): {"name": "renamed"},
    ("POST", f"/v1/templates/{TEMPLATE_ID}/versions"): {"subject": "s", "text": "t"},
    ("POST", f"/v1/templates/{TEMPLATE_ID}/publish"): {"version": 1},
    ("POST", f"/v1/templates/{TEMPLATE_ID}/preview"): {"variables": {}},
    ("POST", "/v1/keys"): {"scopes": ["keys:write"]},
    ("POST", f"/v1/keys/{KEY_ID}/rotate"): {"overlap_hours": 1},
    ("POST", "/v1/users"): {"email": "new@example.com"},
    ("PATCH", f"/v1/users/{USER_ID}"): {"role": "operator"},
    ("PUT", "/v1/password"): {"current_password": PASSWORD, "new_password": f"another {PASSWORD}"},
    ("POST", "/v1/campaigns"): {"name": "t"},
    ("PATCH", f"/v1/campaigns/{CAMPAIGN_ID}"): {"name": "renamed"},
    ("POST", "/v1/budgets"): {"amount": "10"},
    ("PATCH", f"/v1/budgets/{BUDGET_ID}"): {"amount": "20"},
    ("POST", "/v1/halts"): {"kind": "type", "value": "nothing-of-this"},
    ("POST", "/v1/suppressions"): {"entries": [{"address": "left@example.net", "scope": "marketing"}]},
    ("POST", f"/v1/providers/{PROVIDER_ID}/suppressions/import"): {"cursor": None},
    ("POST", "/v1/erasures"): {"address": "gone@example.net"},
    ("POST", "/v1/webhooks"): {"url": "https://a.example/"},
    ("PATCH", f"/v1/webhooks/{HOOK_ID}"): {"enabled": True},
    ("POST", f"/v1/webhooks/{HOOK_ID}/rotate"): {"overlap_hours": 1},
    ("POST", f"/v1/webhooks/{HOOK_ID}/replay"): {"since": "2020-01-01T00:00:00Z", "until": LATER},
    ("POST", "/v1/domains"): {"name": "news.example.com"},
    ("PUT", f"/v1/providers/{PROVIDER_ID}/webhook"): {"secrets": [{"username": "u", "password": "p"}]},
}


# What the ids of `things` stand for, in their order.
PLACES = (
    EMAIL_ID, PROVIDER_ID, RULE_ID, TEMPLATE_ID, TYPE_ID, HOOK_ID, SUPPRESSION_ID, CAMPAIGN_ID, HALT_ID, KEY_ID,
    USER_ID, FILE_ID, UPLOAD_ID, DOMAIN_ID, SESSION_ID, ERASURE_ID, BUDGET_ID,
)  # fmt: skip


def path_of(rule: str, *ids: object) -> str:
    """The path with these ids, in the order of `PLACES`; those that are left out, or None, are nobody's."""
    rule = rule.replace("<int:version>", "1")
    for place, found in itertools.zip_longest(PLACES, ids):
        rule = rule.replace(place, str(found or new_id()))
    return rule


def test_the_table_names_every_route_with_its_scope(world: World) -> None:
    found = {
        (method, rule.rule): getattr(world.app.view_functions[rule.endpoint], "scope", None)
        for rule in world.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert found == ROUTES


@pytest.mark.parametrize(("method", "rule"), GUARDED)
def test_without_a_key_nothing_is_done(world: World, method: str, rule: str) -> None:
    answer = world.app.test_client().open(path_of(rule), method=method, json=BODIES.get((method, rule)))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.get_json()["type"] == "/problems/unauthorized"


@pytest.mark.parametrize(("method", "rule"), GUARDED)
def test_a_key_without_the_scope_is_told_which_it_lacks(world: World, method: str, rule: str) -> None:
    scope = ROUTES[method, rule]
    caller = world.user("operator", [s for s in keys.SCOPES if s != scope])
    answer = caller.ask(method, path_of(rule), json=BODIES.get((method, rule)))
    assert (answer.status_code, answer.get_json()["scope"]) == (403, scope)
    assert str(scope) in answer.get_json()["detail"]


@pytest.mark.parametrize(("method", "rule"), GUARDED)
def test_the_scope_alone_suffices(world: World, method: str, rule: str) -> None:
    answer = asking_well(world, method, rule)()
    assert answer.status_code in (200, 201, 202, 204), answer.text


def asking_well(world: World, method: str, rule: str) -> Callable[[], TestResponse]:
    """What asks a route so that it does it, with a key that has the scope and nothing else."""
    owner = world.user()
    mine = things(owner)
    if "/users" in rule:
        world.sql("UPDATE users SET role = 'operator' WHERE id = :id", id=owner.user_id)
    scopes = [str(ROUTES[method, rule])]
    caller = owner.signed_in(scopes) if (method, rule) == SIGN_OUT else world.key(owner.user_id, scopes)
    if rule == "/v1/password":
        owner.has_password(PASSWORD)
    body = dict(BODIES.get((method, rule), {})) or None
    if body and body.get("name") == "p":
        body["name"] = "q"
    if body and body.get("name") == "t":
        body["name"] = "u"
    if rule == "/v1/domains" and body:
        body["name"] = "other.example.com"
    if rule == "/v1/users" and body:
        body["email"] = f"{new_id()}@example.com"
    if (method, rule) == ("POST", "/v1/halts"):  # once is enough
        owner.delete(path_of(f"/v1/halts/{HALT_ID}", *mine))
    if method == "DELETE" and "providers" in rule:
        owner.delete(path_of(f"/v1/routing-rules/{RULE_ID}", *mine))
    if "email_id" in rule and rule.endswith("/resend"):
        world.sql("UPDATE email_jobs SET status = 'failed' WHERE user_id = :id", id=owner.user_id)
    if rule.endswith("/lock-out"):  # not oneself
        rule = rule.replace(USER_ID, str(world.user().user_id))
    form = {"data": {"file": (io.BytesIO(b"x"), "a.txt")}} if (method, rule) == A_FORM else {"json": body}
    return lambda: caller.ask(method, path_of(rule, *mine), **form)


@pytest.mark.parametrize(("method", "rule"), GUARDED)
def test_a_revoked_key_does_nothing_more(world: World, method: str, rule: str) -> None:
    """Also where it was used a moment ago."""
    owner = world.user()
    key = world.key(owner.user_id)
    assert key.post("/v1/emails", EMAIL).status_code == 202
    with world.deps.units() as unit:
        unit.accounts.revoke_key(key.public_id)
        unit.commit()
    answer = key.ask(method, path_of(rule), json=BODIES.get((method, rule)))
    assert answer.status_code == 401
    assert key.post("/v1/emails?dry_run=true", EMAIL).status_code == 401


@pytest.mark.parametrize("role", ["member", "operator"])
@pytest.mark.parametrize(("method", "rule"), OF_ONE)
def test_what_belongs_to_others_is_not_there(world: World, method: str, rule: str, role: str) -> None:
    if USER_ID in rule or (role == "operator" and HALT_ID in rule):
        pytest.skip("operators see all users, members none; and operators lift anybody's halt")
    theirs = things(world.user())
    caller = world.user(role)
    caller.provider("p")
    for ids in (theirs, (None,) * len(theirs)):
        answer = caller.ask(method, path_of(rule, *ids), json=BODIES.get((method, rule)))
        assert (answer.status_code, answer.get_json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    "rule",
    [
        "/v1/emails",
        "/v1/providers",
        "/v1/routing-rules",
        "/v1/templates",
        "/v1/email-types",
        "/v1/webhooks",
        "/v1/domains",
        "/v1/attachments",
        "/v1/suppressions",
        "/v1/campaigns",
        "/v1/halts",
        "/v1/keys",
        "/v1/sessions",
        "/v1/erasures",
        "/v1/budgets",
    ],
)
def test_lists_show_nothing_of_others(world: World, member: Caller, rule: str) -> None:
    theirs = {str(thing) for thing in things(world.user())}
    shown = {item["id"] for item in member.get(rule, query_string={"limit": 100}).get_json()["data"]}
    assert not theirs & shown


def things(owner: Caller) -> tuple[UUID, ...]:
    """One of each thing of this user's that has an id."""
    email = owner.post("/v1/emails", {**EMAIL, "send_at": LATER}).get_json()["id"]
    provider = owner.provider("p")
    rule = owner.post("/v1/routing-rules", BODIES["POST", "/v1/routing-rules"]).get_json()["id"]
    template = owner.post("/v1/templates", BODIES["POST", "/v1/templates"]).get_json()["id"]
    email_type = owner.post("/v1/email-types", BODIES["POST", "/v1/email-types"]).get_json()["id"]
    webhook = owner.post("/v1/webhooks", BODIES["POST", "/v1/webhooks"]).get_json()["id"]
    owner.post("/v1/suppressions", BODIES["POST", "/v1/suppressions"])
    [suppression, *_] = owner.get("/v1/suppressions").get_json()["data"]
    campaign = owner.post("/v1/campaigns", BODIES["POST", "/v1/campaigns"]).get_json()["id"]
    halt = owner.post("/v1/halts", BODIES["POST", "/v1/halts"]).get_json()["id"]
    key = owner.post("/v1/keys", BODIES["POST", "/v1/keys"]).get_json()["id"]
    ids = (
        email,
        provider,
        rule,
        template,
        email_type,
        webhook,
        suppression["id"],
        campaign,
        halt,
        key,
        owner.user_id,
    )
    file = owner.ask("POST", "/v1/attachments", data={"file": (io.BytesIO(b"x"), "a.txt")}).get_json()["id"]
    upload = owner.post("/v1/attachments/uploads", {"filename": "a.txt", "size": 1}).get_json()
    owner.app.test_client().put(upload["upload_url"].removeprefix("http://localhost"), data=b"x")
    domain = owner.post("/v1/domains", BODIES["POST", "/v1/domains"]).get_json()["id"]
    erasure = owner.post("/v1/erasures", BODIES["POST", "/v1/erasures"]).get_json()["id"]
    budget = owner.post("/v1/budgets", BODIES["POST", "/v1/budgets"]).get_json()["id"]
    owner.signed_in(["sessions:read"])
    [session] = owner.get("/v1/sessions").get_json()["data"]
    return tuple(UUID(str(one)) for one in (*ids, file, upload["id"], domain, session["id"], erasure, budget))


# Keys


def test_revoked_and_expired_keys_are_refused(world: World, member: Caller) -> None:
    brief = world.key(member.user_id, lifetime=60)
    assert brief.get("/v1/emails").status_code == 200
    with world.later("61 seconds"):
        expired = brief.get("/v1/emails")
        assert member.get("/v1/emails").status_code == 200
    assert (expired.status_code, "expired" in expired.get_json()["detail"]) == (401, True)
    with world.deps.units() as unit:
        unit.accounts.revoke_key(brief.public_id)
        unit.commit()
    revoked = brief.get("/v1/emails")
    assert (revoked.status_code, "revoked" in revoked.get_json()["detail"]) == (401, True)


def test_a_key_of_the_right_form_but_another_secret_is_refused(world: World, member: Caller) -> None:
    forged = keys.ApiKey(member.public_id, keys.mint().secret)
    unknown = keys.mint()
    for key in (forged, unknown):
        answer = Caller(world.app, member.user_id, "", key.reveal()).get("/v1/emails")
        assert (answer.status_code, "not known" in answer.get_json()["detail"]) == (401, True)
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header", ["Basic abc", "Bearer", "Bearer x", "Bearer mx_live_ü", "mx_live_x", "Bearer \0"]
)
def test_what_is_no_key_is_refused(world: World, header: str) -> None:
    value = header.encode().decode("latin-1")
    answer = world.app.test_client().get("/v1/emails", headers={"Authorization": value})
    assert answer.status_code == 401


def test_a_key_is_checked_before_the_body_is_read(world: World) -> None:
    answer = world.app.test_client().post("/v1/emails", data=b"{", content_type="application/json")
    assert answer.status_code == 401


def test_expiry_is_reckoned_by_the_database(world: World, member: Caller) -> None:
    with world.deps.units() as unit:
        key = keys.mint()
        lifetime = timedelta(days=2).total_seconds()
        ends = unit.accounts.add_key(
            new_id(), member.user_id, key.public_id, key.hash, ["emails:read"], lifetime=lifetime
        )
        unit.commit()
    [row] = world.sql(
        "SELECT expires_at, mm_now() + interval '2 days' - expires_at AS off FROM api_keys WHERE public_id = :id",
        id=key.public_id,
    )
    assert row.expires_at == ends
    assert abs(row.off) < timedelta(seconds=5)
