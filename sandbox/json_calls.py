"""What the dialects that take an email as JSON read alike. Each says in its own words what is wrong: `Wrong`."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from sandbox.mailboxes import is_address
from sandbox.messages import Mailbox, ReceivedAttachment

Json = dict[str, Any]
_HEADER = re.compile(r"[!-9;-~]+")


class Wrong(ValueError):
    """`field` in the provider's own naming; `problem` in words that the dialect may put into its own."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


def read_object(body: bytes) -> Json:
    """Raises ValueError where the body is not a JSON object."""
    try:
        data = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(data, dict):
        raise ValueError("not an object")
    return data


def only_known(data: Json, fields: Mapping[str, Any], where: str = "") -> None:
    """Refuses a field that the document does not know: silence about a misspelt one would hide it."""
    for name, value in data.items():
        kind = fields.get(name)
        if kind is None:
            raise Wrong(f"{where}{name}", "is not a known field")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise Wrong(f"{where}{name}", "is of the wrong type")


def required(data: Json, *fields: str) -> None:
    for name in fields:
        if not data.get(name):
            raise Wrong(name, "is missing")


def mailbox(value: Any, field: str, email: str = "email", name: str = "name") -> Mailbox:
    if not isinstance(value, dict) or not isinstance(value.get(email), str):
        raise Wrong(field, "is missing")
    only_known(value, {email: str, name: str}, f"{field}.")
    if not is_address(value[email]):
        raise Wrong(f"{field}.{email}", "is not a valid address")
    return Mailbox(value[email], value.get(name, ""))


def mailboxes(data: Json, field: str, email: str = "email", name: str = "name") -> tuple[Mailbox, ...]:
    return tuple(mailbox(v, f"{field}[{n}]", email, name) for n, v in enumerate(data.get(field, [])))


def headers(found: Any, field: str = "headers") -> tuple[tuple[str, str], ...]:
    pairs = tuple(found.items())
    for name, value in pairs:
        if not isinstance(value, str) or not _HEADER.fullmatch(name) or re.search(r"[\r\n]", value):
            raise Wrong(f"{field}.{name}", "is not a valid header")
    return pairs


def texts(value: Any) -> dict[str, str]:
    """An object's members as text."""
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def file(
    field: str, name: Any, content: Any, kind: str | None = None, inline: bool = False, content_id: Any = None
) -> ReceivedAttachment:
    if not isinstance(name, str) or not name or re.search(r"[\r\n]", name):
        raise Wrong(field, "has no name")
    if not isinstance(content, str) or not content:
        raise Wrong(field, "has no content")
    try:
        raw = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Wrong(field, "is not base64") from error
    return ReceivedAttachment(
        name=name,
        type=kind or "application/octet-stream",
        size=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        disposition="inline" if inline else "attachment",
        content_id=content_id if isinstance(content_id, str) else "",
    )
