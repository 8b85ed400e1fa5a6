"""Reading a JSON body, strictly: what another reader might read differently is refused, not guessed."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, NoReturn

import orjson
from flask import Request

from api.errors import FieldError, Problem, invalid, pointer

MAX_DEPTH = 32
_MAX_NUMBER = 100  # characters
_NESTS = (dict, list)


def read_object(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the body as an object.

    Raises Problem: 415 for what does not say it is JSON, 413 for too many bytes (without reading them all),
    400 for what is not JSON by RFC 8259 and I-JSON (UTF-8, no duplicate names, no NaN, bounded nesting and
    numbers), 422 where it is no object.
    """
    mimetype = request.mimetype
    if mimetype != "application/json" and not (
        mimetype.startswith("application/") and mimetype.endswith("+json")
    ):
        raise Problem(415, "Content-Type must be application/json")
    if request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise Problem(415, "JSON is UTF-8: another charset is not accepted")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "A compressed body is not accepted")
    if request.content_length is not None and request.content_length > max_bytes:
        raise Problem(413, f"The body has {request.content_length} bytes; {max_bytes} are accepted")
    request.max_content_length = max_bytes + 1  # a body of unknown length is cut there, and so is found out
    raw = request.get_data(cache=False)
    if len(raw) > max_bytes:
        raise Problem(413, f"The body has more than {max_bytes} bytes")
    value = _parse(raw)
    if not isinstance(value, dict):
        raise invalid([FieldError("pointer", "", "not_an_object", "the body must be a JSON object")])
    return value


def fingerprint(body: dict[str, Any]) -> bytes:
    """SHA-256 of the body's canonical form: the order of names and white space do not matter."""
    canonical = json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).digest()


def text_errors(value: object, path: tuple[str | int, ...] = ()) -> list[FieldError]:
    """Find every string that is no storable text: NUL and lone surrogates, in names and in values."""
    return [] if _all_text(value) else _text_errors(value, path)


def _all_text(value: object) -> bool:
    """Whether every string in it is text, at the speed of a writer that refuses the others. No may be said of more."""
    try:
        return rb"\u0000" not in orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False


def _text_errors(value: object, path: tuple[str | int, ...]) -> list[FieldError]:
    found: list[FieldError] = []
    if isinstance(value, str):
        if (problem := text_problem(value)) is not None:
            found.append(_not_text(path, problem))
    elif isinstance(value, dict):
        for name, item in value.items():
            if (problem := text_problem(name)) is not None:
                found.append(_not_text((*path, name), f"the name: {problem}"))
            found.extend(_text_errors(item, (*path, name)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found.extend(_text_errors(item, (*path, index)))
    return found


def _not_text(path: tuple[str | int, ...], problem: str) -> FieldError:
    return FieldError("pointer", without_surrogates(pointer(path)), "not_text", problem)


def without_surrogates(value: Any) -> Any:
    """The same, with ? for each lone surrogate, so that the rest of it can still be checked."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    return value


def text_problem(text: str) -> str | None:
    if "\0" in text:
        return "NUL is not allowed"
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "lone surrogates are not text"
    return None


def _parse(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"not UTF-8 at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise _malformed("it begins with a byte order mark")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        raise _malformed(f"nested deeper than {MAX_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    _check_depth(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        name = next(n for n, _ in pairs if n in seen or seen.add(n))  # type: ignore[func-returns-value]
        raise _malformed(f"the name {name!r} is there more than once in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _malformed(f"{name} is not JSON")


def _float(digits: str) -> float:
    number = float(digits) if len(digits) <= _MAX_NUMBER else math.inf
    if not math.isfinite(number):
        raise _malformed("a number is too large or too long")
    return number


def _int(digits: str) -> int:
    if len(digits) > _MAX_NUMBER:
        raise _malformed("a number is too large or too long")
    return int(digits)


def _check_depth(value: object) -> None:
    level = [value] if isinstance(value, _NESTS) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, _NESTS)
        ]
        if not level:
            return
    raise _malformed(f"nested deeper than {MAX_DEPTH}")


def _malformed(why: str) -> Problem:
    return Problem(400, f"The body is not JSON that can be accepted: {why}", type="malformed-json")
