"""The OpenAPI document: valid, complete, readable, and true: cases generated from it get the answers it names."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api import examples
from api.documents import EVERYWHERE
from api.errors import TITLES
from tests.integration.api.test_access import A_FORM, GUARDED, PLACES, ROUTES, things
from tests.integration.api.world import Caller, World

# Of each operation: about 1,200 in all. OPENAPI_CASES=10 makes it 12,000 (CONTRIBUTING.md says how).
TIMES = int(os.environ.get("OPENAPI_CASES", "1"))
CASES = {GenerationMode.POSITIVE: 3 * TIMES, GenerationMode.NEGATIVE: 8 * TIMES}
# Those that look at one answer, and that nothing is a 5xx. The others go by several requests, which test_access.py and
# test_life_of_things.py make, or expect that whatever has the right form is accepted: a schema knows no database.
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    ignored_auth,
]


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    answer = world.app.test_client().get("/openapi.json")
    assert answer.content_type == "application/json"
    found: dict[str, Any] = answer.get_json()
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_route_is_described_with_its_scope(document: dict[str, Any]) -> None:
    described = operations(document)
    expected = {
        (method, re.sub(r"<(?:uuid|int):(\w+)>", r"{\1}", rule)): scope
        for (method, rule), scope in ROUTES.items()
        if rule not in ("/openapi.json", "/docs", "/metrics")  # for people and for Prometheus
        and not rule.startswith(("/hooks/", "/u/", "/t/"))  # for providers and recipients
    }
    assert {
        route: (operation["security"][0]["key"][0] if operation["security"] else None)
        for route, operation in described.items()
    } == expected
    names = [operation["operationId"] for operation in described.values()]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["description"] for operation in described.values())


def test_every_error_is_described_as_a_problem(document: dict[str, Any]) -> None:
    for (method, path), operation in operations(document).items():
        for status, answer in operation["responses"].items():
            if status >= "4" and path != "/readyz":
                assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
                shown = answer["content"]["application/problem+json"]["example"]
                assert shown["status"] == int(status)
                assert shown["title"] == TITLES[shown["type"].removeprefix("/problems/")]


def test_every_route_with_a_key_names_what_any_of_them_may_answer(document: dict[str, Any]) -> None:
    for route, operation in operations(document).items():
        always = EVERYWHERE if operation["security"] else ()
        assert {str(status) for status in always} <= operation["responses"].keys(), route
        if "requestBody" in operation and operation["security"]:
            assert {"413", "415", "422"} <= operation["responses"].keys(), route
        if "{" in route[1]:
            assert "404" in operation["responses"], route


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is sent and answered, by what it is: `body`, or the status."""
    if "requestBody" in operation:
        yield "body", operation["requestBody"]["content"]
    for status, answer in operation["responses"].items():
        if status != "204":
            yield status, answer["content"]


def shown_in(part: Any) -> Iterator[tuple[Any, Any]]:
    """Every schema anywhere that shows examples, with each of them."""
    if isinstance(part, dict):
        if isinstance(part.get("examples"), list):
            yield from ((part, one) for one in part["examples"])
        for name, inner in part.items():
            if name not in ("example", "examples"):
                yield from shown_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from shown_in(inner)


def test_every_body_and_every_answer_has_an_example_and_all_examples_are_valid(
    document: dict[str, Any],
) -> None:
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER

    def check(schema: Any, value: Any) -> None:
        whole = {**schema, "components": document["components"]}
        jsonschema.Draft202012Validator(whole, format_checker=formats).validate(value)

    for route, operation in operations(document).items():
        for what, media in contents(operation):
            assert media, (route, what)
            for kind, content in media.items():
                assert "example" in content, (route, what, kind)
                check(content["schema"], content["example"])
    for schema, example in shown_in(document):
        check(schema, example)


def test_a_field_without_an_example_is_named() -> None:
    schema = {"type": "object", "properties": {"a_new_field": {"type": "string"}}}
    with pytest.raises(LookupError, match=r"'a_new_field' of NewOut"):
        examples.of_schema({"$ref": "#/components/schemas/NewOut"}, {"NewOut": schema})


def test_the_idempotency_key_is_described(document: dict[str, Any]) -> None:
    create = document["paths"]["/v1/emails"]["post"]
    assert {p["name"] for p in create["parameters"]} == {"Idempotency-Key", "dry_run"}
    assert {"Location", "Idempotent-Replayed"} <= create["responses"]["202"]["headers"].keys()


def test_the_examples_of_the_document_are_accepted(
    world: World, member: Caller, document: dict[str, Any]
) -> None:
    member.provider("smtp-relay")
    for path, name in (
        ("providers", "ProviderCreate"),
        ("routing-rules", "RuleCreate"),
        ("emails", "EmailCreate"),
        ("templates", "TemplateCreate"),
        ("email-types", "TypeCreate"),
    ):
        for example in document["components"]["schemas"][name]["examples"]:
            answer = member.post(f"/v1/{path}", example)
            assert answer.status_code in (201, 202), answer.text


def test_the_page_shows_every_route_and_loads_nothing_from_elsewhere(
    world: World, document: dict[str, Any]
) -> None:
    answer = world.app.test_client().get("/docs")
    page = answer.text
    assert answer.content_type == "text/html; charset=utf-8"
    for (_, path), operation in operations(document).items():
        assert f'id="{operation["operationId"]}"' in page
        assert f"<code>{path}</code>" in page
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    assert not re.search(r"<script|<link|src=|https?://(?!127\.0\.0\.1)[^\s<\"]+\.(js|css)", page)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# A route that takes nothing cannot be asked wrongly, and a form has no JSON to be wrong.
TAKES_NOTHING = ("/v1/provider-kinds", "/v1/halts", "/v1/sessions/current", "/healthz", "/readyz")
OPEN = [
    (method, rule)
    for (method, rule), scope in ROUTES.items()
    if scope is None and (rule.startswith("/v1/") or rule in TAKES_NOTHING)
]
TO_ASK = [
    (method, rule, mode)
    for method, rule in GUARDED + OPEN
    for mode in CASES
    if (rule not in TAKES_NOTHING and (method, rule) != A_FORM) or mode is GenerationMode.POSITIVE
]


@pytest.mark.timeout(120 * TIMES)
@pytest.mark.parametrize(
    ("method", "rule", "mode"), TO_ASK, ids=[f"{m.value}-{method}-{rule}" for method, rule, m in TO_ASK]
)
def test_generated_requests_get_only_answers_that_the_document_names(
    world: World, method: str, rule: str, mode: GenerationMode
) -> None:
    owner = world.user()
    names = (place.removeprefix("<uuid:").removesuffix(">") for place in PLACES)
    ids: dict[str, Any] = dict(zip(names, things(owner), strict=True))
    ids |= {"version": 1}
    schema = schemathesis.openapi.from_wsgi("/openapi.json", world.app)
    schema.config.generation.update(with_security_parameters=False)
    operation = schema[re.sub(r"<(?:uuid|int):(\w+)>", r"{\1}", rule)][method]
    turns = itertools.count()

    @settings(
        max_examples=CASES[mode],
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        if case.path_parameters and next(turns) % 3:  # else the generated id, which is nobody's
            case.path_parameters = {name: str(ids[name]) for name in case.path_parameters}
        headers = {"Authorization": f"Bearer {owner.key}"}
        answer = case.call(headers=headers)
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=CHECKS, headers=headers)

    ask()
