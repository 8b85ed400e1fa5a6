"""Reads what callers post as a form: multipart/form-data (RFC 7578), or urlencoded."""

from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl

from sandbox.dialect import Call


class InvalidForm(ValueError):
    """The body is not the form that its type says."""


@dataclass(frozen=True)
class Field:
    """`filename` None: no file."""

    name: str
    content: bytes
    filename: str | None = None
    type: str = "text/plain"

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


def read_form(call: Call) -> list[Field]:
    """The fields in their order. Raises InvalidForm."""
    if call.media_type == "application/x-www-form-urlencoded":
        pairs = parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
        return [Field(name, value.encode("utf-8", "replace")) for name, value in pairs]
    boundary = call.headers.get_boundary()
    if call.media_type != "multipart/form-data" or not boundary:
        raise InvalidForm("neither multipart/form-data nor urlencoded")
    _, *pieces = (b"\r\n" + call.body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    if not pieces or not pieces[-1].startswith(b"--"):
        raise InvalidForm("the form has no end")
    return [_read_field(piece) for piece in pieces[:-1]]


def _read_field(piece: bytes) -> Field:
    head, blank, content = piece.lstrip(b" \t").removeprefix(b"\r\n").partition(b"\r\n\r\n")
    headers = Message()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name] = value.strip()
    field = headers.get_param("name", header="content-disposition")
    if not blank or not isinstance(field, str):
        raise InvalidForm("a part without a name")
    filename = headers.get_filename()
    kind = headers.get("content-type", "application/octet-stream" if filename is not None else "text/plain")
    return Field(_unescape(field), content, None if filename is None else _unescape(filename), kind)


def _unescape(text: str) -> str:
    """As the HTML standard escapes names in forms."""
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
