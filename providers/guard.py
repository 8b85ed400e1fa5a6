"""What must hold before any adapter opens a connection for an email."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from domain.capabilities import Capabilities
from domain.errors import Rejected, Unsupported
from domain.headers import header_problem, value_problem
from domain.labels import mislabelled
from domain.message import Address, Attachment, Submission
from routing.eligibility import unsupported

# A mailbox as it stands between < and > in SMTP and in a header: no blank, no bracket, nothing to break out with.
_MAILBOX = re.compile(r"[^\s<>\x00-\x20\x7f,;:\\\"()]{1,64}@[A-Za-z0-9._\[\]:-]{1,255}\Z")
_QUOTED_MAILBOX = re.compile(
    r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e]){0,62}"@[A-Za-z0-9._-]{1,255}\Z'
)
_NAME = r"[A-Za-z0-9!#$&^_.+-]+"
MEDIA_TYPE = re.compile(
    rf"{_NAME}/{_NAME}(?:[ \t]*;[ \t]*{_NAME}=(?:{_NAME}|\"[\x20\x21\x23-\x5b\x5d-\x7e]*\"))*[ \t]*\Z"
)
CONTENT_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]{1,250}\Z")


def refuse(provider: str, capabilities: Capabilities, submission: Submission) -> None:
    """Raise what an email deserves before the wire; return where nothing speaks against it.

    Rejected where it is unsafe for every provider (the API has checked the same: this is the second lock on
    the door), Unsupported where this provider cannot express it.
    """
    addresses = _addresses(submission)
    for problem in _unsafe(submission, addresses):
        raise Rejected(provider, problem)
    lacking = [*unsupported(capabilities, submission), *mislabelled(capabilities, submission)]
    if not "".join([a.email for a in addresses]).isascii():
        lacking.append("an address with characters beyond ASCII before the @")
    if lacking:
        raise Unsupported(provider, "cannot carry " + "; ".join(lacking))


def unsafe(submission: Submission) -> Iterator[str]:
    """Every part of the email that could become something else on the wire, in words without its content."""
    return _unsafe(submission, _addresses(submission))


def _unsafe(submission: Submission, addresses: Sequence[Address]) -> Iterator[str]:
    message, envelope = submission.message, submission.envelope
    if not envelope.recipients:
        yield "no recipient"
    if message.text is None and message.html is None:
        yield "neither text nor html"
    if message.headers and any(header_problem(name, value) for name, value in message.headers):
        yield "a header name or value that is not safe to send"
    if value_problem(message.subject):
        yield "a subject that is not safe to send"
    for address in addresses:
        if address.name and value_problem(address.name):
            yield "a display name that is not safe to send"
        if not (_MAILBOX.match(address.email) or _QUOTED_MAILBOX.match(address.email)):
            yield "an address that is not safe to send"
    for attachment in message.attachments:
        yield from _unsafe_parts(attachment)


def _unsafe_parts(attachment: Attachment) -> Iterator[str]:
    if value_problem(attachment.filename):
        yield "a file name that is not safe to send"
    if not MEDIA_TYPE.match(attachment.content_type):
        yield "a content type that is not safe to send"
    if attachment.content_id is not None and not CONTENT_ID.match(attachment.content_id):
        yield "a content id that is not safe to send"


def _addresses(submission: Submission) -> Sequence[Address]:
    envelope = submission.envelope
    return [envelope.sender, *envelope.reply_to, *[r.address for r in envelope.recipients]]
