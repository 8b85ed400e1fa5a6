"""One-click unsubscription (RFC 8058): the link of one recipient of one email, and the headers that bear it.

A link names the email and proves itself by a MAC with a secret of the sender's. It holds no address, needs no row of
its own, and does not expire: people unsubscribe from emails that are years old.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import html
import re
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from domain.message import Message, Submission

HEADERS = ("List-Unsubscribe", "List-Unsubscribe-Post")
# Stands for the link in a body, until the email is sent: bodies that differ by nothing else are kept once.
PLACEHOLDER = "{{unsubscribe_url}}"
VARIABLE = "unsubscribe_url"  # by which templates name it
# ASCII, as URIs are (RFC 3986): a field that holds more is encoded, and no mail program finds a link in it.
_URI = r"[!-;=?-~]+"
_WEB = re.compile(rf"<(https?://{_URI})>", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(rf"<(?:https?://{_URI}|mailto:{_URI}@{_URI})>", re.IGNORECASE | re.ASCII)
_PROOF_BYTES = 16
_LENGTH = 16 + _PROOF_BYTES


def token_of(secret: bytes, email_id: UUID, address: str) -> str:
    """What stands at the end of the link: 43 characters that a URL carries as they are."""
    raw = email_id.bytes + _proof(secret, email_id, address)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def email_of(token: str) -> UUID | None:
    """The email that a token names; None: this is no token. It proves nothing yet."""
    try:
        raw = base64.b64decode(token + "=", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return UUID(bytes=raw[:16]) if len(raw) == _LENGTH else None


def is_of(token: str, secret: bytes, email_id: UUID, address: str) -> bool:
    """Whether the token was made for this recipient."""
    return hmac.compare_digest(token.encode("utf-8", "replace"), token_of(secret, email_id, address).encode())


def headers_of(link: str) -> tuple[tuple[str, str], ...]:
    """RFC 8058, 3.1."""
    return (HEADERS[0], f"<{link}>"), (HEADERS[1], "List-Unsubscribe=One-Click")


def asks_for_link(message: Message) -> bool:
    """Whether a body has a place for the link."""
    return PLACEHOLDER in (message.text or "") or PLACEHOLDER in (message.html or "")


def link_in(headers: Sequence[tuple[str, str]]) -> str | None:
    """The web address in List-Unsubscribe (RFC 2369, 3.2): ours, or one of the sender's own."""
    for name, value in headers:
        if _is_link(name, value) and (found := _WEB.search(value)) is not None:
            return found[1]
    return None


def has_way_out(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a List-Unsubscribe of the sender's own names an address, of the web or of a mailbox (RFC 2369, 3.2)."""
    return any(_is_link(name, value) and _ADDRESS.search(value) for name, value in headers)


def _is_link(name: str, value: str) -> bool:
    return name.lower() == HEADERS[0].lower() and value.isascii()


def with_link(submission: Submission) -> Submission:
    """The email with its link wherever its bodies have a place for it."""
    message = submission.message
    if not message.headers or not asks_for_link(message) or (link := link_in(message.headers)) is None:
        return submission
    text = message.text and message.text.replace(PLACEHOLDER, link)
    markup = message.html and message.html.replace(PLACEHOLDER, html.escape(link))
    return replace(submission, message=replace(message, text=text, html=markup))


def _proof(secret: bytes, email_id: UUID, address: str) -> bytes:
    return hmac.new(secret, email_id.bytes + address.lower().encode(), hashlib.sha256).digest()[:_PROOF_BYTES]
