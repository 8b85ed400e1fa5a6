"""An email as Mailgun's form has it, and what that form cannot say.

Source: Mailgun's own OpenAPI document (mailgun/mailgun-mcp-server, src/openapi.yaml, 2026-07). The form names an inline
file by its content id, so its name would be lost; and it drops an attachment without a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from domain.errors import Unsupported
from domain.message import Attachment, Disposition, RecipientKind, Submission
from providers.forms import File
from providers.mailboxes import written

HEADERS_BYTES: Final = 4_000  # of the options' 16 KB; an email with more of them travels as MIME
# In a form's file name: what escapes what is not agreed on (RFC 7578, 4.2).
_AMBIGUOUS = re.compile(r'["\\%]')


def fits_the_form(submission: Submission) -> bool:
    """Whether the form can say all of it; what it cannot goes as MIME."""
    message = submission.message
    names = [name.lower() for name, _ in message.headers]
    head = [*message.headers, *(("Reply-To", written(a)) for a in submission.envelope.reply_to)]
    inline = (a for a in message.attachments if a.disposition is Disposition.INLINE)
    others = (a for a in message.attachments if a.disposition is not Disposition.INLINE)
    return (
        len(set(names)) == len(names)
        and sum(len(name) + len(value.encode()) + len("h:") for name, value in head) <= HEADERS_BYTES
        and all(a.filename == a.content_id for a in inline)
        and not any(a.content_id for a in others)
        and not any(_AMBIGUOUS.search(a.filename) for a in message.attachments)
        and bool(message.text or message.html)
    )


def form_of(provider: str, submission: Submission) -> Iterator[tuple[str, str | File]]:
    """The fields of its content, without the options. Raises Unsupported."""
    message, envelope = submission.message, submission.envelope
    yield "from", written(envelope.sender)
    for kind in RecipientKind:
        yield from ((kind.value, written(a)) for a in envelope.of(kind))
    yield "subject", message.subject
    if envelope.reply_to:
        yield "h:Reply-To", ", ".join(written(a) for a in envelope.reply_to)
    if message.text is not None:
        yield "text", message.text
    if message.html is not None:
        yield "html", message.html
    yield from ((f"h:{name}", value) for name, value in message.headers)
    for a in message.attachments:
        yield ("inline" if a.disposition is Disposition.INLINE else "attachment"), _file(provider, a)


def _file(provider: str, attachment: Attachment) -> File:
    if not attachment.filename:
        raise Unsupported(provider, "cannot carry an attachment without a name")
    return File(attachment.filename, attachment.content_type, attachment.content)
