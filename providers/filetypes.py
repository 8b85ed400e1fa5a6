"""Types of files where a provider takes none and goes by the extension."""

from __future__ import annotations

import mimetypes
import re
from posixpath import splitext

from domain.errors import Unsupported
from domain.message import Attachment

_TYPES = mimetypes.MimeTypes()  # Python's own table: the machine's may differ from worker to worker
_SAME = {
    "application/x-javascript": "text/javascript",
    "application/javascript": "text/javascript",
    "application/xml": "text/xml",
    "image/jpg": "image/jpeg",
    "application/x-zip-compressed": "application/zip",
}
_UNKNOWN = "application/octet-stream"
_CHARSET = re.compile(r"[ \t]*;[ \t]*charset[ \t]*=[ \t]*\"?([^\s;\"]*)\"?", re.IGNORECASE)
_UNICODE = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def extension_of(filename: str) -> str:
    """In lower case and without the dot; empty where there is none. A dot that begins a name ends nothing."""
    return splitext(filename)[1][1:].lower()


def implied_type(filename: str) -> str:
    guess, _ = _TYPES.guess_type(f"x.{extension_of(filename)}")
    return guess or _UNKNOWN


def demand_unicode(provider: str, attachment: Attachment) -> None:
    """Raise Unsupported where the recipient would not be told the character set of a text, or another one."""
    named = _CHARSET.search(attachment.content_type)
    if attachment.content_type.lower().startswith("text/") and named and named[1].lower() not in _UNICODE:
        raise Unsupported(provider, "cannot carry a text file of another character set than UTF-8")


def without_charset(content_type: str) -> str:
    return _CHARSET.sub("", content_type)


def demand_agreement(provider: str, attachment: Attachment) -> None:
    """Raise Unsupported where the recipient would be told another type than the sender gave."""
    kind, _, parameters = attachment.content_type.partition(";")
    kind, implied = kind.strip().lower(), implied_type(attachment.filename)
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if _SAME.get(kind, kind) != _SAME.get(implied, implied):
        raise Unsupported(provider, "cannot carry an attachment whose extension and type disagree")
    if charset not in ("", "charset=utf-8", "charset=us-ascii"):
        raise Unsupported(provider, "cannot carry an attachment whose type has parameters")
