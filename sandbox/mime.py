"""Reads a MIME message the way a mail program would show it. Nothing in a message makes it fail: what cannot
be read as it should be is named among the defects."""

import email.header
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.utils import getaddresses
from functools import partial
from typing import Any

from sandbox.messages import Mailbox, ReceivedAttachment


@dataclass(frozen=True)
class ParsedMime:
    sender: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[ReceivedAttachment, ...]
    defects: tuple[str, ...]


def parse_mime(raw: bytes) -> ParsedMime:
    message = message_from_bytes(raw)
    defects: list[str] = []
    raw_headers = [(name, "".join(str(value).splitlines())) for name, value in message.raw_items()]
    headers = tuple((name, _decode(value)) for name, value in raw_headers)
    texts = {"text/plain": "", "text/html": ""}
    attachments = []
    for part in message.walk():
        if part.is_multipart():
            continue
        defects += [str(defect) or type(defect).__name__ for defect in part.defects]
        kind = part.get_content_type()
        name = _tolerate(partial(_file_name, part), defects) or ""
        disposition = _tolerate(part.get_content_disposition, defects) or ""
        if kind in texts and not name and disposition != "attachment" and not texts[kind]:
            texts[kind] = _part_text(part, defects)
        else:
            attachments.append(_attachment(part, kind, name, disposition, defects))
    return ParsedMime(
        sender=(_mailboxes(raw_headers, "from") or (Mailbox(""),))[0],
        to=_mailboxes(raw_headers, "to"),
        cc=_mailboxes(raw_headers, "cc"),
        reply_to=_mailboxes(raw_headers, "reply-to"),
        subject=next((value for name, value in headers if name.lower() == "subject"), ""),
        text=texts["text/plain"],
        html=texts["text/html"],
        headers=headers,
        attachments=tuple(attachments),
        defects=tuple(dict.fromkeys(defects)),
    )


def _file_name(part: Message) -> str:
    """Python's `get_filename` takes the quotes off twice, and so the brackets of "<a>.txt" too."""
    found = part.get_param("filename", part.get_param("name", ""), "content-disposition")
    if isinstance(found, tuple):
        return str(bytes(found[2], "raw-unicode-escape"), found[0] or "ascii")
    return str(found)


def _tolerate(read: Callable[[], Any], defects: list[str]) -> Any:
    """What `read` gives, or None and a defect: Python's parser raises all sorts of errors on odd headers."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - and the message must be recorded all the same
        defects.append(f"unreadable: {type(error).__name__}: {error}")
        return None


def _clean(text: str) -> str:
    """Text that can be written as UTF-8, with raw 8-bit bytes read as UTF-8 or replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _decode(value: str) -> str:
    """An unfolded header as people read it, its encoded words decoded (RFC 2047)."""
    try:
        decoded = str(email.header.make_header(email.header.decode_header(value)))
    except (LookupError, ValueError):  # an unknown charset, bytes that are none of it, bad base64
        decoded = value
    return _clean(decoded)


def _mailboxes(headers: list[tuple[str, str]], wanted: str) -> tuple[Mailbox, ...]:
    # Names are decoded after the addresses are told apart: a decoded name may hold a comma.
    values = [value for name, value in headers if name.lower() == wanted]
    return tuple(Mailbox(_clean(address), _decode(name)) for name, address in getaddresses(values) if address)


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _part_text(part: Message, defects: list[str]) -> str:
    charset = _tolerate(part.get_content_charset, defects) or "utf-8"
    payload = _payload(part)
    try:
        text = payload.decode(charset)
    except (LookupError, UnicodeError) as error:
        defects.append(f"text is not {charset}: {error}")
        text = payload.decode("utf-8", "replace")
    return _clean(text.replace("\r\n", "\n"))


def _attachment(
    part: Message, kind: str, name: str, disposition: str, defects: list[str]
) -> ReceivedAttachment:
    content = _payload(part)
    content_id = _tolerate(lambda: str(part.get("Content-ID", "")), defects) or ""
    return ReceivedAttachment(
        name=_clean(name),
        type=kind,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        disposition=disposition or "attachment",
        content_id=_clean(content_id).strip().strip("<>"),
    )
