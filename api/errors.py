"""Every answer that is not a success: RFC 9457 `application/problem+json`, naming all wrong fields at once."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, has_request_context
from werkzeug.exceptions import HTTPException

from domain.errors import StorageUnavailable
from domain.files import FilesUnavailable
from domain.templates import RenderingUnavailable

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_STORAGE = 2  # seconds

# The stable types. The title is for people and may change; the path may not.
TITLES = {
    "bad-request": "The request cannot be read",
    "malformed-json": "The body is not JSON",
    "unauthorized": "A valid API key is needed",
    "missing-scope": "The API key may not do this",
    "operators-only": "Only an operator may do this",
    "address-not-allowed": "The API key may not be used from here",
    "key-rate-exceeded": "The API key was used too often in this minute",
    "wrong-credentials": "Nobody signs in with these",
    "too-many-tries": "Too many tries to sign in",
    "not-found": "There is no such thing here",
    "method-not-allowed": "This method is not offered here",
    "conflict": "This cannot be done now",
    "request-in-flight": "The same request is being worked on",
    "payload-too-large": "The body is too large",
    "unsupported-media-type": "The body must be JSON",
    "validation-failed": "Some fields are wrong",
    "idempotency-key-reused": "The idempotency key belongs to another request",
    "forged": "The call is not proved to be the provider's",
    "provider-failed": "The provider did not do what it was asked",
    "bad-link": "This link does not hold",
    "internal-error": "Something went wrong on our side",
    "unavailable": "The service cannot answer now",
}
_BY_STATUS = {
    400: "bad-request",
    401: "unauthorized",
    403: "missing-scope",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "payload-too-large",
    415: "unsupported-media-type",
    422: "validation-failed",
    502: "provider-failed",
    429: "key-rate-exceeded",
    503: "unavailable",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one part of the request. `where` is pointer, parameter or header."""

    where: str
    name: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {self.where: self.name, "detail": self.detail, "code": self.code}


class Problem(Exception):
    """An answer that is not a success. Raise it anywhere below a route."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        type: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.type = type or type_of(status)
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


def type_of(status: int) -> str:
    """What a problem of this status is, where nothing more is known of it."""
    return _BY_STATUS.get(status, "bad-request" if status < 500 else "internal-error")


def invalid(errors: Sequence[FieldError]) -> Problem:
    """422 that names every wrong field."""
    count = len(errors)
    return Problem(422, "1 field is wrong" if count == 1 else f"{count} fields are wrong", errors=errors)


def not_found() -> Problem:
    """One answer for what does not exist and for what belongs to others."""
    return Problem(404, "There is nothing with this id")


def pointer(path: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901) to a field of the body."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def to_json(value: object) -> bytes:
    """Compact UTF-8. What cannot be encoded (a lone surrogate that is being complained of) is replaced."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def register_errors(app: Flask) -> None:
    app.register_error_handler(Problem, answer_problem)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(StorageUnavailable, _answer_storage)
    app.register_error_handler(RenderingUnavailable, _answer_rendering)
    app.register_error_handler(FilesUnavailable, _answer_files)
    app.register_error_handler(Exception, _answer_unforeseen)


def answer_problem(problem: Problem) -> Response:
    body: dict[str, Any] = {
        "type": f"/problems/{problem.type}",
        "title": TITLES[problem.type],
        "status": problem.status,
        "detail": problem.detail,
    }
    if has_request_context() and "request_id" in g:
        body["request_id"] = g.request_id
    body.update(problem.extra)
    if problem.errors:
        body["errors"] = [error.as_json() for error in problem.errors]
    return Response(to_json(body), problem.status, problem.headers, content_type=MEDIA_TYPE)


def _answer_http(error: HTTPException) -> Response:
    """What Flask and Werkzeug raise by themselves: unknown routes, wrong methods, bodies that end early."""
    status = error.code or 500
    if status < 400:
        return Response(status=status, headers=[h for h in error.get_headers() if h[0] != "Content-Type"])
    problem = Problem(status, _describe(error, status))
    response = answer_problem(problem)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response


def _describe(error: HTTPException, status: int) -> str:
    if status == 404:
        return "There is nothing at this path"
    if status == 413:
        return "The body is larger than this service accepts"
    return error.description or HTTPStatus(status).phrase


def _answer_storage(error: StorageUnavailable) -> Response:
    log.warning("storage unavailable", request_id=g.get("request_id"), reason=str(error))
    return answer_problem(
        Problem(
            503,
            "The database does not answer. Nothing was accepted, as far as is known: ask again, with the same "
            "Idempotency-Key where emails are sent",
            headers={"Retry-After": str(RETRY_STORAGE)},
        )
    )


def _answer_rendering(error: RenderingUnavailable) -> Response:
    log.warning("rendering unavailable", request_id=g.get("request_id"), reason=str(error))
    return answer_problem(
        Problem(
            503,
            "Templates cannot be rendered now; nothing was accepted: ask again, with the same Idempotency-Key",
            headers={"Retry-After": str(RETRY_STORAGE)},
        )
    )


def _answer_files(error: FilesUnavailable) -> Response:
    log.warning("store unavailable", request_id=g.get("request_id"), reason=str(error))
    return answer_problem(
        Problem(
            503,
            "Attachments cannot be kept or read now; nothing was accepted: ask again, with the same Idempotency-Key",
            headers={"Retry-After": str(RETRY_STORAGE)},
        )
    )


def _answer_unforeseen(error: Exception) -> Response:
    """A defect of ours. The log says where it happened, and not its words: they may quote addresses and bodies."""
    log.error(
        "unforeseen error",
        request_id=g.get("request_id"),
        error=type(error).__name__,
        code=getattr(getattr(error, "orig", None), "pgcode", None),
        trace="".join(traceback.format_tb(error.__traceback__)),
    )
    return answer_problem(Problem(500, "This is a defect of ours; the request's id finds it in the log"))
