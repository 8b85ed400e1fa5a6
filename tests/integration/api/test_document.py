    ("POST", "/v1/routing/preview"): "emails:send",
"""The OpenAPI document: valid, complete, readable, and true: cases generated from it get the answers it names."""
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
from __future__ import annotations
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
import itertools
    ("POST", "/v1/routing/preview"): "emails:send",
import re
    ("POST", "/v1/routing/preview"): "emails:send",
from typing import Any
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
import pytest
    ("POST", "/v1/routing/preview"): "emails:send",
import schemathesis
    ("POST", "/v1/routing/preview"): "emails:send",
from hypothesis import HealthCheck, Phase, given, settings
    ("POST", "/v1/routing/preview"): "emails:send",
from openapi_spec_validator import validate
    ("POST", "/v1/routing/preview"): "emails:send",
from schemathesis import GenerationMode
    ("POST", "/v1/routing/preview"): "emails:send",
from schemathesis.specs.openapi.checks import (
    ("POST", "/v1/routing/preview"): "emails:send",
    content_type_conformance,
    ("POST", "/v1/routing/preview"): "emails:send",
    response_headers_conformance,
    ("POST", "/v1/routing/preview"): "emails:send",
    response_schema_conformance,
    ("POST", "/v1/routing/preview"): "emails:send",
    status_code_conformance,
    ("POST", "/v1/routing/preview"): "emails:send",
)
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
from tests.integration.api.test_access import GUARDED, ROUTES, things
    ("POST", "/v1/routing/preview"): "emails:send",
from tests.integration.api.world import Caller, World
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
CASES = {GenerationMode.POSITIVE: 8, GenerationMode.NEGATIVE: 20}  # of each operation
    ("POST", "/v1/routing/preview"): "emails:send",
CHECKS = [
    ("POST", "/v1/routing/preview"): "emails:send",
    status_code_conformance,
    ("POST", "/v1/routing/preview"): "emails:send",
    content_type_conformance,
    ("POST", "/v1/routing/preview"): "emails:send",
    response_headers_conformance,
    ("POST", "/v1/routing/preview"): "emails:send",
    response_schema_conformance,
    ("POST", "/v1/routing/preview"): "emails:send",
]
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
@pytest.fixture
    ("POST", "/v1/routing/preview"): "emails:send",
def document(world: World) -> dict[str, Any]:
    ("POST", "/v1/routing/preview"): "emails:send",
    answer = world.app.test_client().get("/openapi.json")
    ("POST", "/v1/routing/preview"): "emails:send",
    assert answer.content_type == "application/json"
    ("POST", "/v1/routing/preview"): "emails:send",
    found: dict[str, Any] = answer.get_json()
    ("POST", "/v1/routing/preview"): "emails:send",
    return found
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    ("POST", "/v1/routing/preview"): "emails:send",
    return {
    ("POST", "/v1/routing/preview"): "emails:send",
        (method.upper(), path): operation
    ("POST", "/v1/routing/preview"): "emails:send",
        for path, methods in document["paths"].items()
    ("POST", "/v1/routing/preview"): "emails:send",
        for method, operation in methods.items()
    ("POST", "/v1/routing/preview"): "emails:send",
    }
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    ("POST", "/v1/routing/preview"): "emails:send",
    assert document["openapi"].startswith("3.1")
    ("POST", "/v1/routing/preview"): "emails:send",
    validate(document)
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
def test_every_route_is_described_with_its_scope(document: dict[str, Any]) -> None:
    ("POST", "/v1/routing/preview"): "emails:send",
    described = operations(document)
    ("POST", "/v1/routing/preview"): "emails:send",
    expected = {
    ("POST", "/v1/routing/preview"): "emails:send",
        (method, re.sub(r"<(?:uuid|int):(\w+)>", r"{\1}", rule)): scope
    ("POST", "/v1/routing/preview"): "emails:send",
        for (method, rule), scope in ROUTES.items()
    ("POST", "/v1/routing/preview"): "emails:send",
        if rule not in ("/openapi.json", "/docs", "/metrics")  # for people and for Prometheus
    ("POST", "/v1/routing/preview"): "emails:send",
        and not rule.startswith("/hooks/")  # for providers
    ("POST", "/v1/routing/preview"): "emails:send",
    }
    ("POST", "/v1/routing/preview"): "emails:send",
    assert {
    ("POST", "/v1/routing/preview"): "emails:send",
        route: (operation["security"][0]["key"][0] if operation["security"] else None)
    ("POST", "/v1/routing/preview"): "emails:send",
        for route, operation in described.items()
    ("POST", "/v1/routing/preview"): "emails:send",
    } == expected
    ("POST", "/v1/routing/preview"): "emails:send",
    names = [operation["operationId"] for operation in described.values()]
    ("POST", "/v1/routing/preview"): "emails:send",
    assert len(set(names)) == len(names)
    ("POST", "/v1/routing/preview"): "emails:send",
    assert all(operation["summary"] and operation["description"] for operation in described.values())
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
def test_every_error_is_described_as_a_problem(document: dict[str, Any]) -> None:
    ("POST", "/v1/routing/preview"): "emails:send",
    for (method, path), operation in operations(document).items():
    ("POST", "/v1/routing/preview"): "emails:send",
        for status, answer in operation["responses"].items():
    ("POST", "/v1/routing/preview"): "emails:send",
            if status >= "4" and path != "/readyz":
    ("POST", "/v1/routing/preview"): "emails:send",
                assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
def test_the_idempotency_key_is_described(document: dict[str, Any]) -> None:
    ("POST", "/v1/routing/preview"): "emails:send",
    create = document["paths"]["/v1/emails"]["post"]
    ("POST", "/v1/routing/preview"): "emails:send",
    assert [p["name"] for p in create["parameters"]] == ["Idempotency-Key"]
    ("POST", "/v1/routing/preview"): "emails:send",
    assert {"Location", "Idempotent-Replayed"} <= create["responses"]["202"]["headers"].keys()
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
def test_the_examples_of_the_document_are_accepted(
    ("POST", "/v1/routing/preview"): "emails:send",
    world: World, member: Caller, document: dict[str, Any]
    ("POST", "/v1/routing/preview"): "emails:send",
) -> None:
    ("POST", "/v1/routing/preview"): "emails:send",
    member.provider("smtp-relay")
    ("POST", "/v1/routing/preview"): "emails:send",
    for path, name in (
    ("POST", "/v1/routing/preview"): "emails:send",
        ("providers", "ProviderCreate"),
    ("POST", "/v1/routing/preview"): "emails:send",
        ("routing-rules", "RuleCreate"),
    ("POST", "/v1/routing/preview"): "emails:send",
        ("emails", "EmailCreate"),
    ("POST", "/v1/routing/preview"): "emails:send",
        ("templates", "TemplateCreate"),
    ("POST", "/v1/routing/preview"): "emails:send",
        ("email-types", "TypeCreate"),
    ("POST", "/v1/routing/preview"): "emails:send",
    ):
    ("POST", "/v1/routing/preview"): "emails:send",
        for example in document["components"]["schemas"][name]["examples"]:
    ("POST", "/v1/routing/preview"): "emails:send",
            answer = member.post(f"/v1/{path}", example)
    ("POST", "/v1/routing/preview"): "emails:send",
            assert answer.status_code in (201, 202), answer.text
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
def test_the_page_shows_every_route_and_loads_nothing_from_elsewhere(
    ("POST", "/v1/routing/preview"): "emails:send",
    world: World, document: dict[str, Any]
    ("POST", "/v1/routing/preview"): "emails:send",
) -> None:
    ("POST", "/v1/routing/preview"): "emails:send",
    answer = world.app.test_client().get("/docs")
    ("POST", "/v1/routing/preview"): "emails:send",
    page = answer.text
    ("POST", "/v1/routing/preview"): "emails:send",
    assert answer.content_type == "text/html; charset=utf-8"
    ("POST", "/v1/routing/preview"): "emails:send",
    for (_, path), operation in operations(document).items():
    ("POST", "/v1/routing/preview"): "emails:send",
        assert f'id="{operation["operationId"]}"' in page
    ("POST", "/v1/routing/preview"): "emails:send",
        assert f"<code>{path}</code>" in page
    ("POST", "/v1/routing/preview"): "emails:send",
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    ("POST", "/v1/routing/preview"): "emails:send",
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    ("POST", "/v1/routing/preview"): "emails:send",
    assert not re.search(r"<script|<link|src=|https?://(?!127\.0\.0\.1)[^\s<\"]+\.(js|css)", page)
    ("POST", "/v1/routing/preview"): "emails:send",
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
# A route that takes nothing cannot be asked wrongly.
    ("POST", "/v1/routing/preview"): "emails:send",
TO_ASK = [
    ("POST", "/v1/routing/preview"): "emails:send",
    (method, rule, mode)
    ("POST", "/v1/routing/preview"): "emails:send",
    for method, rule in GUARDED
    ("POST", "/v1/routing/preview"): "emails:send",
    for mode in CASES
    ("POST", "/v1/routing/preview"): "emails:send",
    if rule != "/v1/provider-kinds" or mode is GenerationMode.POSITIVE
    ("POST", "/v1/routing/preview"): "emails:send",
]
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
@pytest.mark.parametrize(
    ("POST", "/v1/routing/preview"): "emails:send",
    ("method", "rule", "mode"), TO_ASK, ids=[f"{m.value}-{method}-{rule}" for method, rule, m in TO_ASK]
    ("POST", "/v1/routing/preview"): "emails:send",
)
    ("POST", "/v1/routing/preview"): "emails:send",
def test_generated_requests_get_only_answers_that_the_document_names(
    ("POST", "/v1/routing/preview"): "emails:send",
    world: World, method: str, rule: str, mode: GenerationMode
    ("POST", "/v1/routing/preview"): "emails:send",
) -> None:
    ("POST", "/v1/routing/preview"): "emails:send",
    owner = world.user()
    ("POST", "/v1/routing/preview"): "emails:send",
    ids: dict[str, Any] = dict(
    ("POST", "/v1/routing/preview"): "emails:send",
        zip(("email_id", "provider_id", "rule_id", "template_id", "type_id"), things(owner), strict=True)
    ("POST", "/v1/routing/preview"): "emails:send",
    )
    ("POST", "/v1/routing/preview"): "emails:send",
    ids |= {"version": 1}
    ("POST", "/v1/routing/preview"): "emails:send",
    schema = schemathesis.openapi.from_wsgi("/openapi.json", world.app)
    ("POST", "/v1/routing/preview"): "emails:send",
    schema.config.generation.update(with_security_parameters=False)
    ("POST", "/v1/routing/preview"): "emails:send",
    operation = schema[re.sub(r"<(?:uuid|int):(\w+)>", r"{\1}", rule)][method]
    ("POST", "/v1/routing/preview"): "emails:send",
    turns = itertools.count()
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
    @settings(
    ("POST", "/v1/routing/preview"): "emails:send",
        max_examples=CASES[mode],
    ("POST", "/v1/routing/preview"): "emails:send",
        deadline=None,
    ("POST", "/v1/routing/preview"): "emails:send",
        derandomize=True,
    ("POST", "/v1/routing/preview"): "emails:send",
        phases=[Phase.generate],
    ("POST", "/v1/routing/preview"): "emails:send",
        suppress_health_check=list(HealthCheck),
    ("POST", "/v1/routing/preview"): "emails:send",
    )
    ("POST", "/v1/routing/preview"): "emails:send",
    @given(case=operation.as_strategy(generation_mode=mode))
    ("POST", "/v1/routing/preview"): "emails:send",
    def ask(case: schemathesis.Case[Any]) -> None:
    ("POST", "/v1/routing/preview"): "emails:send",
        if case.path_parameters and next(turns) % 3:  # else the generated id, which is nobody's
    ("POST", "/v1/routing/preview"): "emails:send",
            case.path_parameters = {name: str(ids[name]) for name in case.path_parameters}
    ("POST", "/v1/routing/preview"): "emails:send",
        answer = case.call(headers={"Authorization": f"Bearer {owner.key}"})
    ("POST", "/v1/routing/preview"): "emails:send",
        assert answer.status_code < 500, answer.text
    ("POST", "/v1/routing/preview"): "emails:send",
        case.validate_response(answer, checks=CHECKS)
    ("POST", "/v1/routing/preview"): "emails:send",

    ("POST", "/v1/routing/preview"): "emails:send",
    ask()
