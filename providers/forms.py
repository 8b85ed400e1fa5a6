"""multipart/form-data (RFC 7578), for providers that take an email as a form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# RFC 7578, 4.2, leaves the escapes to the HTML standard: these three, and nothing else.
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


@dataclass(frozen=True, slots=True)
class File:
    """`content_type` as it stands in a header; `content` raw."""

    filename: str
    content_type: str
    content: bytes


def multipart(parts: Iterable[tuple[str, str | File]], boundary: str) -> tuple[str, bytes]:
    """The content type and the body. `boundary` must be in none of the parts: take what nobody can guess."""
    pieces: list[bytes] = []
    for name, value in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name.translate(_ESCAPES)}"'
        if isinstance(value, File):
            head += f'; filename="{value.filename.translate(_ESCAPES)}"\r\nContent-Type: {value.content_type}'
            content = value.content
        else:
            content = value.encode("utf-8")
        pieces += (head.encode("utf-8"), b"\r\n\r\n", content, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return f'multipart/form-data; boundary="{boundary}"', b"".join(pieces)
