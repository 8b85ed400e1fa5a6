"""The OpenAPI document: what the plugin collects from the routes, completed."""

from __future__ import annotations

from typing import Any

from flask_openapi3.types import ResponseDict
from pydantic import Field

from api.errors import MEDIA_TYPE
from api.fields import Out

EVERYWHERE = (400, 401, 403, 500, 503)  # what any route with a key may answer

_WORDS = {
    400: "The request cannot be read",
    401: "No valid API key",
    403: "The key may not do this",
    404: "No such thing, or not the caller's",
    405: "Method not offered",
    409: "Not possible in the present state",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "Fields are wrong; all are named",
    500: "A defect of the service",
    503: "The service cannot answer now; nothing was accepted",
}


class FieldErrorOut(Out):
    """One wrong field: in the body (`pointer`, RFC 6901), the query (`parameter`) or a `header`."""

    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    detail: str
    code: str


class ProblemOut(Out):
    """RFC 9457. `type` is stable; `errors` names every wrong field."""

    type: str = Field(examples=["/problems/validation-failed"])
    title: str
    status: int
    detail: str
    request_id: str | None = None
    errors: list[FieldErrorOut] | None = None


def problems(*statuses: int) -> ResponseDict:
    """The answers of these statuses, for a route's `responses`; those of every route come with them."""
    return {status: problem_answer(status) for status in sorted({*statuses, *EVERYWHERE})}


def problem_answer(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _WORDS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
    }
    if status in (503, 409):
        found["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait before asking again",
                "schema": {"type": "integer"},
            }
        }
    return found
