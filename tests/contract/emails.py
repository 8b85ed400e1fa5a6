"""Emails to send through real adapters, from the plainest to one with everything in it."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import uuid_utils.compat as uuid_utils

from domain.message import (
    Address,
    Attachment,
    Disposition,
    Envelope,
    Lane,
    Message,
    Recipient,
    RecipientKind,
    Submission,
    Tracking,
)
from providers.world import Timeouts, World

PNG = bytes(range(256)) * 9
PDF = b"%PDF-1.7\n\r\n\x00\xff" + b"\r.\n.\r\n..\n" * 41
PATIENT = Timeouts(connect=15.0, read=15.0, total=30.0)  # a busy machine is no silent provider
QUICK = Timeouts(connect=1.0, read=0.4, total=0.7)  # for servers that say nothing
ENDLESS = 60.0  # seconds; what nothing bounds takes longer, and what is bounded less, also on a busy machine


class RealClock:
    def __init__(self) -> None:
        self.chance = random.Random(1)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def a_world(timeouts: Timeouts = PATIENT, ca_file: Path | None = None) -> World:
    return World(RealClock(), lambda: datetime.now(UTC), timeouts, ca_file)


def new_id() -> UUID:
    return uuid_utils.uuid7()


def an_email(
    *,
    sender: Address | None = None,
    to: tuple[Address, ...] = (Address("ada@recipient.example"),),
    cc: tuple[Address, ...] = (),
    bcc: tuple[Address, ...] = (),
    reply_to: tuple[Address, ...] = (),
    subject: str = "Your receipt",
    text: str | None = "Thank you.\n",
    html: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    attachments: tuple[Attachment, ...] = (),
    tags: tuple[str, ...] = (),
    metadata: Mapping[str, str] | None = None,
    tracking: Tracking | None = None,
) -> Submission:
    recipients = [
        Recipient(address, kind)
        for kind, addresses in ((RecipientKind.TO, to), (RecipientKind.CC, cc), (RecipientKind.BCC, bcc))
        for address in addresses
    ]
    return Submission(
        id=new_id(),
        user_id=new_id(),
        message=Message(subject, text, html, headers, attachments),
        envelope=Envelope(sender or Address("shop@sender.example"), tuple(recipients), reply_to),
        email_type="transactional",
        lane=Lane.TRANSACTIONAL,
        tags=tags,
        metadata=metadata or {},
        tracking=tracking or Tracking(),
    )


def a_rich_email() -> Submission:
    """Every feature that all adapters have, and Unicode wherever text may stand."""
    return an_email(
        sender=Address("shop@sender.example", 'Ærø "Bøger", A/S'),
        to=(
            Address("ada@recipient.example", "Ада Лавлейс"),
            Address("bo@recipient.example", "Bo; the, second"),
        ),
        cc=(Address("cy@xn--bcher-kva.example", "Cý <admin@evil.example>"),),
        bcc=(Address("secret@recipient.example", "Nobody knows"),),
        reply_to=(Address("answers@sender.example", "答え"),),
        subject="Grüße, 世界 🎉 " + "sehr lang und ümlautig " * 8,
        text="Hällo 世界\n.a dot begins this line\n\n" + "långt " * 300 + "\nFrom here\n.\nend",
        html='<p>Hallo <b>мир</b> <img src="cid:logo@shop"></p>\n<!-- ' + "x" * 1200 + " -->",
        headers=(("X-Campaign", "väår"), ("List-Id", "<list.sender.example>"), ("X-Empty-Ish", "0")),
        attachments=(
            Attachment("Rechnung März — № 1.pdf", "application/pdf", PDF),
            Attachment("logo.png", "image/png", PNG, Disposition.INLINE, "logo@shop"),
            Attachment('a "quoted" \\ name.txt', "text/plain; charset=utf-8", "naïve\n".encode()),
        ),
        tags=("receipt", "första"),
        metadata={"order": "1234", "kund": "åäö"},
    )


def a_rich_email_for(kind: str) -> Submission:
    """The same, without what providers of that kind cannot express: each of these is refused by another test."""
    rich = a_rich_email()
    match kind:
        case "brevo" | "mailersend":  # metadata of ASCII only, or none
            rich = replace(rich, metadata={"order": "1234"} if kind == "brevo" else {})
        case "mailgun" | "sendgrid" | "postmark":  # tags of ASCII only, or one
            rich = replace(rich, tags=rich.tags[:1])
        case "resend" | "ses":  # words
            rich = replace(rich, tags=("receipt", "first"), metadata={"order": "1234"})
    message, envelope = rich.message, rich.envelope
    match kind:
        case "brevo":  # no inline files, no header and no reply-to beyond ASCII
            files = tuple(a for a in message.attachments if a.disposition is Disposition.ATTACHMENT)
            headers = tuple((n, v) for n, v in message.headers if v.isascii())
            return replace(
                rich,
                message=replace(message, attachments=files, headers=headers),
                envelope=replace(envelope, reply_to=(Address("answers@sender.example", "Answers, all"),)),
            )
        case "sparkpost":  # one tag; in the form an inline file has no name but its content id
            files = tuple(
                replace(a, filename=a.content_id) if a.content_id else a for a in message.attachments
            )
            return replace(rich, message=replace(message, attachments=files), tags=rich.tags[:1])
        case "mailjet":  # one tag, and its own List-Id
            headers = tuple((n, v) for n, v in message.headers if n != "List-Id")
            return replace(rich, message=replace(message, headers=headers), tags=rich.tags[:1])
        case "mailersend":  # no ; or , in the names of recipients
            people = tuple(
                replace(r, address=replace(r.address, name=r.address.name.replace(";", "").replace(",", "")))
                for r in envelope.recipients
            )
            return replace(rich, envelope=replace(envelope, recipients=people))
        case "mailtrap" | "sparkpost in MIME":
            return replace(rich, tags=rich.tags[:1])
    return rich
