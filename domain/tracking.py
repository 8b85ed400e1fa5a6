"""Noticing that an email is opened, and that its links are followed, by links of our own.

A link names the account and the email, and bears the address that it leads to; all of it is proved by a MAC with a
secret of the account's. So it leads nowhere else, needs no row of its own, and holds for as long as the account does:
also when the email and its body are not kept any more, and with other encryption keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from html import escape
from typing import Final
from uuid import UUID

from domain.markup import with_image, with_links
from domain.message import OwnLinks, Submission, Tracking
from domain.unsubscribe import link_in

# What every browser sends as it stands. Anything else may be read in several ways, and is left alone.
_ADDRESS: Final = re.compile(
    r"https?://[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+\Z", re.IGNORECASE | re.ASCII
)
LONGEST_ADDRESS: Final = 2000
PATH: Final = "/t/"
_PROOF_BYTES: Final = 16
_PURPOSE: Final = b"mailmux: tracking of "


class Kind(StrEnum):
    """What a link stands for."""

    OPENED = "o"
    CLICKED = "c"


@dataclass(frozen=True, slots=True)
class Followed:
    """What a link says, before it is proved. `address` is empty where it is the image's."""

    kind: Kind
    user_id: UUID
    email_id: UUID
    address: str
    proof: bytes


def key_of(secret: bytes, email_id: UUID) -> bytes:
    """What proves the links of one email."""
    return hmac.digest(secret, _PURPOSE + email_id.bytes, "sha256")


def token_of(key: bytes, kind: Kind, user_id: UUID, email_id: UUID, address: str = "") -> str:
    """What stands at the end of a link; a URL carries it as it is."""
    said = _said(kind, user_id, email_id, address)
    return _in_text(_proof(key, said) + said)


def read(token: str) -> Followed | None:
    """None: this is no token. It proves nothing yet."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if (
            _in_text(raw) != token
        ):  # one link has one name: what is noticed once is not noticed again by another
            return None
        proof, said = raw[:_PROOF_BYTES], raw[_PROOF_BYTES:]
        kind, address = Kind(said[:1].decode()), said[33:].decode("ascii")
        return Followed(kind, UUID(bytes=said[1:17]), UUID(bytes=said[17:33]), address, proof)
    except (ValueError, binascii.Error):
        return None


def is_of(followed: Followed, secret: bytes) -> bool:
    """Whether we made the link."""
    said = _said(followed.kind, followed.user_id, followed.email_id, followed.address)
    return hmac.compare_digest(followed.proof, _proof(key_of(secret, followed.email_id), said))


def tracked(submission: Submission) -> Submission:
    """The email with links of ours, where they are asked for. Providers that can are told to make none themselves."""
    tracking, message = submission.tracking, submission.message
    links = tracking.links
    if links is None or not message.html:
        return submission
    html = message.html
    key = bytes.fromhex(links.key)
    left_alone = link_in(message.headers)

    def link(kind: Kind, address: str = "") -> str:
        return links.base + PATH + token_of(key, kind, submission.user_id, submission.id, address)

    def ours(address: str) -> str | None:
        if (
            not _ADDRESS.match(address)
            or len(address) > LONGEST_ADDRESS
            or address == left_alone
            or address.startswith((f"{links.base}/u/", links.base + PATH))
        ):
            return None
        return escape(link(Kind.CLICKED, address))

    if links.clicks:
        html = with_links(html, ours)
    if links.opens:
        image = f'<img src="{escape(link(Kind.OPENED))}" width="1" height="1" alt="" style="border:0">'
        html = with_image(html, image)
    told = Tracking(
        opens=False if links.opens else tracking.opens,
        clicks=False if links.clicks else tracking.clicks,
        links=links,
    )
    return replace(submission, message=replace(message, html=html), tracking=told)


def resolved(
    tracking: Tracking, base: str | None, secret: bytes | None, email_id: UUID, *, html: bool
) -> Tracking:
    """What is asked of the provider, and what we do ourselves. `base`: under which address people reach us, if at all;
    `html`: whether the email has any. The secret is needed where there is something to be noticed.
    """
    if base is None or not (tracking.opens or tracking.clicks):
        return tracking
    if not html:  # there is nothing that we could notice it by; it is no reason not to send the email
        return Tracking(tracking.opens and None, tracking.clicks and None)
    assert secret is not None
    return replace(tracking, links=links_for(base, secret, email_id, tracking))


def links_for(base: str, secret: bytes, email_id: UUID, tracking: Tracking) -> OwnLinks:
    """What an email needs to get its links when it is sent. `base`: under which address people reach us."""
    return OwnLinks(
        base, key_of(secret, email_id).hex(), opens=bool(tracking.opens), clicks=bool(tracking.clicks)
    )


def _in_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _said(kind: Kind, user_id: UUID, email_id: UUID, address: str) -> bytes:
    return kind.value.encode() + user_id.bytes + email_id.bytes + address.encode("ascii")


def _proof(key: bytes, said: bytes) -> bytes:
    return hmac.new(key, said, hashlib.sha256).digest()[:_PROOF_BYTES]
