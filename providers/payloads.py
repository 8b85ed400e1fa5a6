"""What several providers' JSON forms of an email have in common, and what none of them can carry."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

from domain.errors import Unsupported
from domain.message import Address, Attachment, Disposition, Envelope, Message, RecipientKind, Submission
from providers.fields import ATTEMPT, EMAIL


def demand(provider: str, submission: Submission) -> None:
    """Raise Unsupported where there is nothing for a field that these forms demand."""
    message = submission.message
    if not submission.envelope.of(RecipientKind.TO):
        raise Unsupported(provider, "cannot carry an email without a To recipient")
    if not message.subject:
        raise Unsupported(provider, "cannot carry an email without a subject")
    if not (message.text or message.html):
        raise Unsupported(provider, "cannot carry an empty body")


def recipients(envelope: Envelope, write: Callable[[Address], Any]) -> dict[str, list[Any]]:
    """To, Cc and Bcc by their names, as far as there are any."""
    return {kind.value: [write(a) for a in envelope.of(kind)] for kind in RecipientKind if envelope.of(kind)}


def bodies(message: Message, text: str = "text", html: str = "html") -> dict[str, str]:
    """The bodies that say something."""
    return {name: body for name, body in ((text, message.text), (html, message.html)) if body}


def person(address: Address, email: str = "email", name: str = "name") -> dict[str, str]:
    """A mailbox as an object; the name is left out where there is none."""
    return {email: address.email, name: address.name} if address.name else {email: address.email}


def headers_once(
    provider: str, submission: Submission, encode: Callable[[str], str] = lambda value: value
) -> dict[str, str]:
    """The headers as an object, which has room for each name once."""
    headers = {name: encode(value) for name, value in submission.message.headers}
    if len({name.lower() for name in headers}) < len(submission.message.headers):
        raise Unsupported(provider, "cannot carry a header twice")
    return headers


def content_of(provider: str, attachment: Attachment, content_ids_inline_only: bool = True) -> str:
    """The content in base64, for forms in which it may not be empty and needs a name.

    `content_ids_inline_only`: the form has no place for the content id of a file that is not inline.
    """
    if not attachment.content:
        raise Unsupported(provider, "cannot carry an empty attachment")
    if not attachment.filename:
        raise Unsupported(provider, "cannot carry an attachment without a name")
    inline = attachment.disposition is Disposition.INLINE
    if inline and not attachment.content_id:
        raise Unsupported(provider, "cannot carry an inline file without a content id")
    if attachment.content_id and not inline and content_ids_inline_only:
        raise Unsupported(provider, "cannot carry a content id on a file that is not inline")
    return b64encode(attachment.content).decode("ascii")


def with_metadata(submission: Submission, attempt_id: UUID) -> dict[str, str]:
    """The metadata and our ids."""
    return {**submission.metadata, ATTEMPT: str(attempt_id), EMAIL: str(submission.id)}


def room_beside_ours(most_bytes: int) -> int:
    """How many bytes of metadata as JSON are left beside our ids, where there may be so many in all."""
    ours = dict.fromkeys((ATTEMPT, EMAIL), str(UUID(int=0)))
    return most_bytes - len(compact(ours).encode())


def tracking_wishes(submission: Submission, opens: str, clicks: str) -> dict[str, bool]:
    """Only what the sender asked for: else the account's own settings hold."""
    wishes = {opens: submission.tracking.opens, clicks: submission.tracking.clicks}
    return {name: wish for name, wish in wishes.items() if wish is not None}


def compact(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
