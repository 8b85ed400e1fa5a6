"""The OpenAPI document: what the plugin collects from the routes, completed from the views and the models."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_type_hints

from flask import Flask
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from api import examples
from api.errors import MEDIA_TYPE
from api.fields import Out

EVERYWHERE = (400, 401, 403, 429, 500, 503)  # what any route with a key may answer
WITHOUT_KEY = (400, 500, 503)

View = TypeVar("View", bound=Callable[..., Any])

DESCRIPTION = """\
Post an email once. Mailmux chooses the provider by cost, reliability and quota, moves to the next one where a
provider fails, and tells what became of it.

Send your key as `Authorization: Bearer mx_live_…`; with a test key, `mx_test_…`, emails go to nobody. People who sign
in (`POST /v1/sessions`) send their token likewise.
Errors are `application/problem+json` (RFC 9457) and name every wrong field. Lists are `{data, has_more, next_cursor}`.
Times are RFC 3339, amounts of money decimal texts.
"""

_WORDS = {
    400: "The request cannot be read",
    401: "No valid API key",
    403: "The key may not do this",
    404: "No such thing, or not the caller's",
    409: "Not possible in the present state",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "Fields are wrong; all are named",
    500: "A defect of the service",
    429: "The API key was used too often in this minute; `RateLimit-*` say when it may be again.",
    502: "The provider did not answer, or refused; `code` says why",
    503: "The service cannot answer now; nothing was accepted, as far as is known",
}
_WORDS_WITHOUT_KEY = {
    **_WORDS,
    401: "The address or the password is wrong",
    403: "The link was changed, or its time is over",
    404: "No such thing",
    429: "Too many tries",
}
_RETRY_AFTER = {"description": "Seconds to wait before asking again.", "schema": {"type": "integer"}}
_REQUEST_ID = {"description": "Names this request in the log.", "schema": {"type": "string"}}
_RATE = {
    f"RateLimit-{name}": {"description": f"{about} Of keys with a rate.", "schema": {"type": "integer"}}
    for name, about in (
        ("Limit", "Requests a minute."),
        ("Remaining", "Requests left in this minute."),
        ("Reset", "Seconds until the count begins anew."),
    )
}
_LOCATION = {"Location": {"description": "Where to look it up.", "schema": {"type": "string"}}}
_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "`true`: this answer had been given before; nothing new was accepted.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
# Of the answers that say that something was made. Tests notice what is missing here.
_HEADERS: dict[str, dict[str, Any]] = {
    "emails_create": _LOCATION | _REPLAYED,
    "emails_resend": _LOCATION | _REPLAYED,
    "batches_create": _REPLAYED,
    **dict.fromkeys(
        (
            "attachments_create",
            "attachments_complete",
            "providers_create",
            "accounts_create_key",
            "accounts_rotate_key",
            "accounts_create_user",
            "erasures_create",
            "campaigns_create",
            "endpoints_create",
            "domains_create",
            "budgets_create",
            "email_types_create",
            "templates_create",
            "routing_rules_create",
        ),
        _LOCATION,
    ),
}


class FieldErrorOut(Out):
    """One wrong field: in the body (`pointer`, RFC 6901), the query (`parameter`) or a `header`."""

    pointer: str = Field(default="", json_schema_extra={"examples": ["/to/0"]})
    parameter: str = ""
    header: str = ""
    detail: str
    code: str


class ProblemOut(Out):
    """RFC 9457. `type` is stable; `errors` names every wrong field."""

    type: str = Field(examples=["/problems/validation-failed"])
    title: str
    status: int
    detail: str
    request_id: str = ""
    errors: list[FieldErrorOut] = Field(default=[])


def problems(*statuses: int) -> ResponseDict:
    """The answers of these statuses, for a route's `responses`; those of every route with a key come with them."""
    return {status: _problem(status, _WORDS) for status in sorted({*statuses, *EVERYWHERE})}


def open_problems(*statuses: int) -> ResponseDict:
    """The same for a public route."""
    return {status: _problem(status, _WORDS_WITHOUT_KEY) for status in sorted({*statuses, *WITHOUT_KEY})}


def described(
    *, body: Mapping[str, Any] | None = None, answers: Mapping[int, Mapping[str, Any]] | None = None
) -> Callable[[View], View]:
    """What the plugin cannot see of a route: its request body where that is no JSON, and further media types of its
    answers, by status. Stands below `scoped` and `public`, which keep it.
    """

    def decorate(view: View) -> View:
        view.described = (body, answers or {})  # type: ignore[attr-defined]  # read by the document
        return view

    return decorate


def build_document(app: Flask, collected: Mapping[str, Any]) -> dict[str, Any]:
    """The whole document. `collected` is what flask-openapi3 gathered: it loses parts of JSON Schema."""
    document = {**collected, "security": [{"key": []}]}
    bodies: list[type[BaseModel]] = []
    for endpoint, operation in _operations(app, document["paths"]):
        view = app.view_functions[endpoint]
        operation["operationId"] = endpoint.replace(".", "_")
        operation["description"] = inspect.getdoc(view) or ""
        scope = getattr(view, "scope", None)
        operation["security"] = [{"key": [scope]}] if scope else []
        request_body, answers = getattr(view, "described", (None, {}))
        if request_body is not None:
            operation["requestBody"] = request_body
        for status, content in answers.items():
            operation["responses"][str(status)].setdefault("content", {}).update(content)
        body = get_type_hints(view).get("body")
        if body is not None:
            bodies.append(body)
        for status, response in operation["responses"].items():
            extra = _HEADERS.get(operation["operationId"], {}) if status in ("201", "202") else {}
            response["headers"] = {**response.get("headers", {}), **extra, "X-Request-Id": _REQUEST_ID}
        _drop_default_error(operation)
    schemas = _schemas(app, bodies)
    document["components"] = {**document["components"], "schemas": schemas}
    for _, operation in _operations(app, document["paths"]):
        examples.show(operation, schemas)
    return document


def _problem(status: int, words: Mapping[int, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": words[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
    }
    if status in (409, 429, 503):
        found["headers"] = {"Retry-After": _RETRY_AFTER}
    if status == 429 and words is _WORDS:
        found["headers"] |= _RATE
    return found


def _operations(app: Flask, paths: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:[^<>:]+:)?([^<>]+)>", r"{\1}", rule.rule)
        for method in rule.methods or ():
            operation = paths.get(path, {}).get(method.lower())
            if operation is not None:
                yield rule.endpoint, operation


def _drop_default_error(operation: dict[str, Any]) -> None:
    """The plugin says of every operation that it may answer 422, in a form that is not ours."""
    answer = operation["responses"].get("422")
    if answer is not None and MEDIA_TYPE not in answer.get("content", {}):
        del operation["responses"]["422"]


def _schemas(app: Flask, bodies: list[type[BaseModel]]) -> dict[str, Any]:
    answers: list[type[BaseModel]] = [*app.extensions["mailmux.answers"], ProblemOut]
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    modes.extend((model, "validation") for model in dict.fromkeys(bodies))
    modes.extend((model, "serialization") for model in dict.fromkeys(answers))
    _, schema = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    found: dict[str, Any] = schema["$defs"]
    return found
