"""Whether a file is what it is said to be. Mailbox hosts look at contents, and distrust senders of what is not."""

from __future__ import annotations

from typing import Final

import filetype

from providers.filetypes import implied_type

OCTETS: Final = "application/octet-stream"
_PROGRAMS: Final = frozenset({"application/x-executable", "application/x-mach-binary"})
# Types that begin with a mark which nothing else has, and which no file of theirs lacks.
_MARKED: Final = frozenset(
    "image/png image/jpeg image/gif image/webp image/bmp image/tiff application/pdf application/gzip".split()  # noqa: SIM905  # a list of words reads better
)
_SAME: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "application/x-pdf": "application/pdf",
}
_SAID: Final = frozenset({"text", "image", "audio", "video"})


def type_of(filename: str, given: str | None, content: bytes) -> str:
    """The type that is given; else the one that the name implies; else what the content shows."""
    if given:
        return given
    implied = implied_type(filename)
    return implied if implied != OCTETS else _seen(content) or OCTETS


def problem_of(filename: str, content_type: str, content: bytes) -> tuple[str, str] | None:
    """The stable code of what is wrong with the content beside its name and type, and the words for it."""
    seen = _seen(content)
    if seen in _PROGRAMS or _is_windows_program(content):
        return "forbidden_type", "programs are refused by mailbox hosts, under whatever name"
    said, named = _plain(content_type), _plain(implied_type(filename))
    if said in _MARKED and seen != said:
        return "mistyped", f"it is said to be {said}, and its content is {seen or 'something else'}"
    if seen in _MARKED and said.partition("/")[0] in _SAID and seen != said:
        return "mistyped", f"it is said to be {said}, and its content is {seen}"
    if named in _MARKED and seen != named:
        return "mistyped", f"its name ends like {named}, and its content is {seen or 'something else'}"
    return None


def _plain(content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    return _SAME.get(kind, kind)


def _seen(content: bytes) -> str | None:
    if b"%PDF-" in content[:1024]:  # readers take what stands before it, and so do writers
        return "application/pdf"
    kind = filetype.guess(content[:8192])
    return None if kind is None or kind.mime == "application/x-msdownload" else str(kind.mime)


def _is_windows_program(content: bytes) -> bool:
    """Two letters at the beginning are no proof: the header that they promise must be there."""
    place = int.from_bytes(content[0x3C:0x40], "little")
    return content[:2] == b"MZ" and content[place : place + 4] == b"PE\0\0"
