"""What is made can be looked up where the answer says; what was deleted is gone; what a path does not offer is said.
From the table of routes: a route that comes later is asked by itself.
"""

from __future__ import annotations

import re

import pytest

from tests.integration.api.test_access import BODIES, KEY_ID, PLACES, ROUTES, path_of, things
from tests.integration.api.world import World

MADE = sorted(
    rule for method, rule in ROUTES if method == "POST" and (method, rule) in BODIES and "<" not in rule
)
GONE = sorted(
    rule
    for method, rule in ROUTES
    if method == "DELETE" and ("GET", rule) in ROUTES and not rule.endswith("/webhook")
)
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"}
DOCUMENTED = sorted(
    {rule for _, rule in ROUTES if rule.startswith("/v1/") or rule in ("/healthz", "/readyz")}
)


@pytest.mark.parametrize("rule", MADE)
def test_where_something_was_made_says_where_to_look_it_up(world: World, rule: str) -> None:
    owner = world.user("operator")
    owner.provider("p" if rule != "/v1/providers" else "q")
    body = (
        {**BODIES["POST", rule], "email": f"{owner.user_id}@new.example"}
        if rule == "/v1/users"
        else BODIES["POST", rule]
    )
    answer = owner.post(rule, body)
    assert answer.status_code in (200, 201, 202), answer.text
    where = answer.headers.get("Location")
    if where is not None:
        assert owner.get(where).get_json()["id"] == answer.get_json()["id"]
    elif f"{rule}/" in {re.sub(r"<.*", "", r) for m, r in ROUTES if m == "GET"}:
        assert "id" not in answer.get_json() or rule == "/v1/emails/batch"


@pytest.mark.parametrize("rule", GONE)
def test_what_was_deleted_is_gone(world: World, rule: str) -> None:
    owner = world.user()
    mine = things(owner)
    if "provider_id" in rule:
        owner.delete(path_of("/v1/routing-rules/<uuid:rule_id>", *mine))
    path = path_of(rule, *mine)
    assert owner.get(path).status_code == 200
    assert owner.delete(path).status_code == 204
    if rule.endswith(KEY_ID):  # stays, to be read of in the audit log
        assert owner.get(path).get_json()["revoked_at"] is not None
        return
    assert (owner.get(path).status_code, owner.delete(path).status_code) == (404, 404)


@pytest.mark.parametrize("rule", DOCUMENTED)
def test_a_method_that_is_not_offered_is_405_and_says_which_are(world: World, rule: str) -> None:
    offered = {method for method, other in ROUTES if other == rule}
    adapter = world.app.url_map.bind("localhost")
    path = path_of(rule, *[None] * len(PLACES))
    for method in METHODS - offered:
        answer = world.app.test_client().open(path, method=method)
        assert answer.status_code == 405, (method, answer.text)
        assert {
            m for m in answer.headers["Allow"].replace(" ", "").split(",") if m not in ("HEAD", "OPTIONS")
        } == set(adapter.allowed_methods(path)) - {"HEAD", "OPTIONS"}
        assert offered <= set(adapter.allowed_methods(path))
