"""From a request to a route's arguments, and from its result to an answer.

A view says what it takes by the annotations of `path`, `query`, `header` and `body`; all of them are read and
all that is wrong is said in one answer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, get_origin, get_type_hints

from flask import Response, current_app, g, request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from api.deps import Dependencies
from api.errors import FieldError, Problem, invalid, pointer
from api.payload import fingerprint, read_object, text_errors, without_surrogates

View = Callable[..., Response]
# Given a body and the pointers that are wrong in it: what more is wrong, which only a look elsewhere can tell.
Review = Callable[[dict[str, Any], frozenset[str]], list[FieldError]]


def dependencies() -> Dependencies:
    found: Dependencies = current_app.extensions["mailmux"]
    return found


def scoped(scope: str, review: Review | None = None, looks_again: bool = False) -> Callable[[View], View]:
    """A route that needs an API key with this scope.

    `review` is asked only about requests that are refused anyway, so that all is said in one answer. `looks_again`:
    what it does looks again whether the key stands, in its own transaction.
    """

    def decorate(view: View) -> View:
        checked = _checked(view, review)
        checked.scope = scope  # type: ignore[attr-defined]
        checked.looks_again = looks_again  # type: ignore[attr-defined]  # read by the guard
        return checked

    return decorate


def public(view: View) -> View:
    """A route that everybody may ask."""
    checked = _checked(view)
    checked.public = True  # type: ignore[attr-defined]
    return checked


def answer(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A success: compact JSON, UTF-8."""
    return Response(
        model.model_dump_json(by_alias=True), status, dict(headers or {}), content_type="application/json"
    )


def empty() -> Response:
    """A success without anything to say."""
    return Response(status=204)


def body_hash() -> bytes:
    """SHA-256 of the canonical form of the body that was read for this request."""
    return fingerprint(g.body)


def _checked(view: View, review: Review | None = None) -> View:
    hints: dict[str, type[BaseModel]] = {}

    @functools.wraps(view)
    def checked(**parts: Any) -> Response:
        if not hints:
            hints.update(get_type_hints(view))
        return view(**_read(hints, parts, review))

    # flask-openapi3 documents the annotations, and leaves the reading to us.
    checked.__delay_validate_request__ = True  # type: ignore[attr-defined]
    return checked


def _read(
    hints: Mapping[str, type[BaseModel]], parts: Mapping[str, Any], review: Review | None
) -> dict[str, Any]:
    if request.method != "GET" and "dry_run" in request.args and not _has_dry_run(hints):
        # Unknown parameters are passed over; but nobody who means to try something out wants it done.
        raise Problem(400, "dry_run is not a parameter of this request, and so nothing was done")
    found: dict[str, Any] = {}
    errors: list[FieldError] = []
    if "path" in hints:
        found["path"] = hints["path"].model_validate(parts)
    for name, read in (("query", _read_query), ("header", _read_header), ("body", _read_body)):
        if name in hints:
            try:
                found[name] = read(hints[name], errors)
            except ValidationError as error:
                where = {"query": "parameter", "header": "header", "body": "pointer"}[name]
                known = {e.name for e in errors if e.where == where}
                errors.extend(e for e in field_errors(error, where) if e.name not in known)
    if errors and review is not None:
        errors.extend(review(g.body, frozenset(e.name for e in errors if e.where == "pointer")))
    if errors:
        raise invalid(errors)
    return found


def _has_dry_run(hints: Mapping[str, type[BaseModel]]) -> bool:
    return "query" in hints and "dry_run" in hints["query"].model_fields


def _read_query(model: type[BaseModel], errors: list[FieldError]) -> BaseModel:
    values: dict[str, Any] = {}
    for name, given in request.args.lists():
        field = model.model_fields.get(name)
        many = field is not None and get_origin(field.annotation) is list
        values[name] = given if many else given[0]
        if len(given) > 1 and not many:
            errors.append(FieldError("parameter", name, "repeated", "given more than once"))
    errors.extend(
        FieldError("parameter", e.name.split("/")[1], e.code, e.detail) for e in text_errors(values)
    )
    return model.model_validate(values)


def _read_header(model: type[BaseModel], _: list[FieldError]) -> BaseModel:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return model.model_validate({name: request.headers[name] for name in names if name in request.headers})


def _read_body(model: type[BaseModel], errors: list[FieldError]) -> BaseModel:
    limits = dependencies().limits
    body = read_object(request, limits.max_body_bytes)
    g.body = body
    apart = getattr(model, "told_apart", None)
    found = text_errors({name: value for name, value in body.items() if name != apart})
    errors.extend(found)
    return model.model_validate(without_surrogates(body) if found else body, context=limits)


def field_errors(error: ValidationError, where: str) -> list[FieldError]:
    """What a model found wrong, in the words of an answer."""
    found = []
    for item in error.errors(include_url=False, include_input=False):
        path = tuple(part for part in item["loc"] if part != "[key]")
        name = pointer(path) if where == "pointer" else str(path[0]) if path else ""
        found.append(FieldError(where, name, item["type"], _detail(item)))
    return found


def _detail(item: ErrorDetails) -> str:
    known = item.get("ctx", {})
    if item["type"] == "extra_forbidden":
        return "unknown field"
    if known.get("field_type") == "Value" and item["type"] in ("too_short", "too_long"):  # of a text
        least, most = known.get("min_length"), known.get("max_length")
        return f"has at least {least} characters" if most is None else f"has at most {most} characters"
    return item["msg"]
