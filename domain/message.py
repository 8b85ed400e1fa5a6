"""What is sent, to whom, and how it is to be treated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from domain.value import value


class RecipientKind(StrEnum):
    """The header field that names a recipient (RFC 5322, 3.6.3)."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"


class Lane(StrEnum):
    """A queue with workers of its own, so that urgent mail never waits behind a campaign."""

    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class OnUnknown(StrEnum):
    """What to do when nobody can say whether a provider took the email."""

    HOLD = "hold"
    RESEND = "resend"


class Disposition(StrEnum):
    """Content-Disposition of an attachment (RFC 2183)."""

    ATTACHMENT = "attachment"
    INLINE = "inline"


@value
class Address:
    """A mailbox (RFC 5322, 3.4). `email` has an ASCII (IDNA-encoded) domain; `name` may be any Unicode."""

    email: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part behind the last @, in lower case."""
        return self.email.rpartition("@")[2].lower()


@value
class Recipient:
    address: Address
    kind: RecipientKind = RecipientKind.TO


@value
class Attachment:
    """A file. `content` is raw, not encoded; `content_id` (without angle brackets) makes it addressable as cid:."""

    filename: str
    content_type: str
    content: bytes
    disposition: Disposition = Disposition.ATTACHMENT
    content_id: str | None = None


@value
class Message:
    """The content. At least one of `text` and `html` is set; `headers` keep their order."""

    subject: str
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


@value
class Envelope:
    """Who sends and who receives. At least one recipient."""

    sender: Address
    recipients: tuple[Recipient, ...]
    reply_to: tuple[Address, ...] = ()

    def of(self, kind: RecipientKind) -> tuple[Address, ...]:
        return tuple([r.address for r in self.recipients if r.kind is kind])


@value
class OwnLinks:
    """What an email gets the links with by which we notice opens, or clicks: where they lead, and the key (in hex)
    that proves them.
    """

    base: str
    key: str
    opens: bool
    clicks: bool


@value
class Tracking:
    """Whether the email may be rewritten to notice opens and clicks. None: as the account is set.

    `links`: we do it (domain.tracking). Without them the provider does.
    """

    opens: bool | None = None
    clicks: bool | None = None
    links: OwnLinks | None = None


@value
class RoutingWishes:
    """Limits that the sender of one email puts on the choice. All hold together.

    `pinned` empty means any provider; `max_cost` is per recipient, in the currency of the prices. `policy`: what is
    weighed most, in place of what the email's type says. `residency`: the region that it may not leave.
    """

    pinned: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    max_cost: Decimal | None = None
    policy: str | None = None
    residency: str | None = None


@value
class Submission:
    """One email as it was accepted: content, envelope, and how to treat it.

    `test`: it goes to the provider of its owner, a test account, and never to another.
    """

    id: UUID
    user_id: UUID
    message: Message
    envelope: Envelope
    email_type: str
    lane: Lane
    on_unknown: OnUnknown = OnUnknown.HOLD
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    tracking: Tracking = Tracking()
    wishes: RoutingWishes = RoutingWishes()
    send_at: datetime | None = None
    expires_at: datetime | None = None
    test: bool = False

    @property
    def recipient_count(self) -> int:
        """What providers bill and quotas count: To, Cc and Bcc alike."""
        return len(self.envelope.recipients)
