"""Every field of a body or a query that names something of a user × what is another user's. The table is held against
the OpenAPI document: a new field of this kind without an entry fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.integration.api.test_access import BODIES, PLACES, ROUTES, path_of, things
from tests.integration.api.world import EMAIL, Caller, World, fields

# By these names things are named that have an owner, beside all that is a UUID.
NAMES = {
    "template", "provider", "providers", "default_provider", "fallback_providers", "pinned", "excluded", "known_as",
}  # fmt: skip
UNKNOWN, FORBIDDEN, NOTHING = 422, 403, 200  # NOTHING: it is a filter, and nothing is found by it

EMAIL_FIELDS = {
    "/template": UNKNOWN, "/attachments/id": UNKNOWN, "/campaign_id": UNKNOWN, "/routing/pinned": UNKNOWN,
    "/routing/excluded": UNKNOWN,
}  # fmt: skip
FILTER = {"/campaign_id": NOTHING, "/provider": NOTHING}
RULE = {"/default_provider": UNKNOWN, "/fallback_providers": UNKNOWN, "/user_id": UNKNOWN}
TABLE: dict[tuple[str, str], Mapping[str, int]] = {
    ("POST", "/v1/emails"): EMAIL_FIELDS,
    ("POST", "/v1/routing/preview"): EMAIL_FIELDS,
    ("POST", "/v1/emails/cancel"): FILTER,
    ("POST", "/v1/emails/reschedule"): FILTER,
    ("POST", "/v1/emails/resend"): FILTER,
    ("GET", "/v1/emails"): {"?campaign_id": NOTHING, "?provider": NOTHING},
    ("GET", "/v1/stats"): {"?campaign_id": NOTHING, "?provider": NOTHING},
    ("GET", "/v1/audit-log"): {"?target": NOTHING, "?user_id": FORBIDDEN},
    ("POST", "/v1/routing-rules"): RULE,
    ("PUT", "/v1/routing-rules/<uuid:rule_id>"): RULE,
    ("PATCH", "/v1/routing-rules/<uuid:rule_id>"): RULE,
    ("POST", "/v1/email-types"): {"/providers": UNKNOWN},
    ("PATCH", "/v1/email-types/<uuid:type_id>"): {"/providers": UNKNOWN},
    ("POST", "/v1/budgets"): {"/provider": UNKNOWN, "/user_id": FORBIDDEN},
    ("POST", "/v1/halts"): {"/user_id": FORBIDDEN},
    ("POST", "/v1/routing/replay"): {
        "/providers": UNKNOWN, "/prices/provider": UNKNOWN, "/known_as": UNKNOWN, "/log/provider": NOTHING,
    },
}  # fmt: skip
CASES = [(route, place, wanted) for route, places in TABLE.items() for place, wanted in places.items()]


def named(document: dict[str, Any], schema: dict[str, Any], name: str = "", place: str = "") -> Iterator[str]:
    """The places in a schema where something is named that has an owner."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if name in NAMES or schema.get("format") == "uuid":
        yield place
        return
    for part in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
        yield from named(document, part, name, place)
    for inner, field in schema.get("properties", {}).items():
        yield from named(document, field, inner, f"{place}/{inner}")


def test_the_table_has_every_field_that_names_something(world: World) -> None:
    document = world.app.extensions["mailmux.document"]
    found: dict[tuple[str, str], set[str]] = {}
    for method, rule in ROUTES:
        path = re.sub(r"<(?:uuid|int):(\w+)>", r"{\1}", rule)
        operation = document["paths"].get(path, {}).get(method.lower(), {})
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        places = set(named(document, body.get("schema", {})))
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query":
                places |= {
                    f"?{p}"
                    for p in named(document, parameter["schema"], parameter["name"], parameter["name"])
                }
        if places:
            found[method, rule] = places
    assert found == {route: set(places) for route, places in TABLE.items()}


@pytest.fixture(scope="module")
def theirs(module_world: World) -> dict[str, str]:
    """What is another's, by what an id is called; with a campaign's email and a provider's own name."""
    other = module_world.user()
    names = [place.removeprefix("<uuid:").removesuffix(">") for place in PLACES]
    found = dict(zip(names, map(str, things(other)), strict=True))
    other.post("/v1/emails", {**EMAIL, "campaign_id": found["campaign_id"]})
    name = f"of-{other.user_id}"
    found["provider_name"] = name
    found["provider_id"] = str(other.provider(name))
    return found


def value_of(place: str, theirs: dict[str, str]) -> Any:
    """What is put there."""
    name = re.split(r"[/?]", place)[-1]
    if place == "/attachments/id":
        return theirs["attachment_id"]
    known: dict[str, Any] = {
        "template": theirs["template_id"], "provider": theirs["provider_name"], "providers": [theirs["provider_name"]],
        "default_provider": theirs["provider_id"], "fallback_providers": [theirs["provider_id"]],
        "pinned": [theirs["provider_name"]], "excluded": [theirs["provider_name"]], "target": theirs["rule_id"],
        "known_as": {"theirs": theirs["provider_name"]},
    }  # fmt: skip
    return known[name] if name in known else theirs[name]


def body_with(route: tuple[str, str], place: str, value: Any) -> dict[str, Any]:
    """A body of this route that would be accepted but for the one field."""
    log = [{"at": "2026-01-01T00:00:00Z", "domain": "example.com", "provider": "theirs"}]
    body = dict(BODIES.get(route, {}))
    if route[1].startswith("/v1/emails/"):
        body.pop("tag")
    if "/replay" in route[1] and place in ("/known_as", "/log/provider"):
        body = {"log": log}
    match place.strip("/").split("/"):
        case ["template"]:
            return {name: kept for name, kept in body.items() if name not in ("subject", "text")} | {
                "template": value
            }
        case ["attachments", _]:
            return body | {"attachments": [{"id": value}]}
        case ["prices", _]:
            return body | {"prices": [{"provider": value, "tiers": [{"per_recipient": "0.1"}]}]}
        case ["log", _]:
            return body | {"log": [log[0] | {"provider": value}]}
        case ["routing", name]:
            return body | {"routing": {name: value}}
        case ["user_id"] if route[1] == "/v1/halts":
            return {"kind": "user", "user_id": value}
        case [name]:
            return body | {name: value}
    raise AssertionError(place)


@pytest.mark.parametrize(("route", "place", "wanted"), CASES, ids=[f"{r[0]} {r[1]} {p}" for r, p, _ in CASES])
def test_what_is_anothers_cannot_be_named(
    world: World, theirs: dict[str, str], route: tuple[str, str], place: str, wanted: int
) -> None:
    caller = world.user()
    mine = things(caller)
    method, rule = route
    value = value_of(place, theirs)
    asked: dict[str, Any] = (
        {"query_string": {place[1:]: value}} if place[0] == "?" else {"json": body_with(route, place, value)}
    )
    answer = caller.ask(method, path_of(rule, *mine), **asked)
    assert answer.status_code == wanted, answer.text
    if wanted == UNKNOWN:
        assert any(
            one.startswith(place.removesuffix("/id").removesuffix("/provider")) for one in fields(answer)
        )
    if wanted == NOTHING:
        shown = answer.get_json()
        told = {name: shown[name] for name in ("data", "cancelled", "rescheduled", "resent") if name in shown}
        if "total" in shown:
            told["sent"] = shown["total"]["sent"]
        if "cells" in shown:  # of a replay, where it is but a label of the caller's own log
            assert {one["provider"] for one in shown["providers"]} <= {"p", value}
            return
        assert told
        assert not any(told.values())


def test_an_entry_of_a_batch_names_nothing_of_others_either(
    world: World, theirs: dict[str, str], member: Caller
) -> None:
    entries = [
        {"campaign_id": theirs["campaign_id"]},
        {"attachments": [{"id": theirs["attachment_id"]}]},
        {"routing": {"pinned": [theirs["provider_name"]]}},
    ]
    answer = member.post("/v1/emails/batch", {"defaults": EMAIL, "emails": entries})
    assert answer.status_code == 422
    assert {where.split("/")[2] for where in fields(answer)} == {"0", "1", "2"}
