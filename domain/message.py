"""What is sent, to whom, and how it is to be treated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


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


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox (RFC 5322, 3.4). `email` has an ASCII (IDNA-encoded) domain; `name` may be any Unicode."""

    email: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part behind the last @, in lower case."""
        return self.email.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class Recipient:
    address: Address
    kind: RecipientKind = RecipientKind.TO


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file. `content` is raw, not encoded; `content_id` (without angle brackets) makes it addressable as cid:."""

    filename: str
    content_type: str
    content: bytes
    disposition: Disposition = Disposition.ATTACHMENT
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """The content. At least one of `text` and `html` is set; `headers` keep their order."""

    subject: str
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends and who receives. At least one recipient."""

    sender: Address
    recipients: tuple[Recipient, ...]
    reply_to: tuple[Address, ...] = ()

    def of(self, kind: RecipientKind) -> tuple[Address, ...]:
        return tuple(r.address for r in self.recipients if r.kind is kind)


@dataclass(frozen=True, slots=True)
class Tracking:
    """Whether the provider may rewrite the email to notice opens and clicks. None: as the account is set."""

    opens: bool | None = None
    clicks: bool | None = None


@dataclass(frozen=True, slots=True)
class RoutingWishes:
    """Limits that the sender of one email puts on the choice. All hold together.

    `pinned` empty means any provider; `max_cost` is per recipient, in the currency of the prices.
    """

    pinned: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    max_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """One email as it was accepted: content, envelope, and how to treat it."""

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

    @property
    def recipient_count(self) -> int:
        """What providers bill and quotas count: To, Cc and Bcc alike."""
        return len(self.envelope.recipients)
