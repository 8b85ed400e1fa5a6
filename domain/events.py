"""What providers tell of an email later: events in one vocabulary, whatever each provider calls them.

The names are django-anymail's (docs: "Tracking sent mail status"), so that who knows that library knows ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class EventType(StrEnum):
    """What happened. `unknown` is an event that the provider has and we have no word for: kept, never acted on."""

    QUEUED = "queued"
    SENT = "sent"
    REJECTED = "rejected"
    FAILED = "failed"
    BOUNCED = "bounced"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    AUTORESPONDED = "autoresponded"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    SUBSCRIBED = "subscribed"
    UNKNOWN = "unknown"


class RejectReason(StrEnum):
    """Why an email did not reach a recipient, or will not from now on."""

    INVALID = "invalid"
    BOUNCED = "bounced"
    TIMED_OUT = "timed_out"
    BLOCKED = "blocked"
    SPAM = "spam"
    UNSUBSCRIBED = "unsubscribed"
    OTHER = "other"


class BounceClass(StrEnum):
    """Hard: the address does not exist. Soft: another try at another time might have gone through."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """One thing that happened to one recipient's copy.

    `attempt_id` is ours, from the metadata that travelled with the email; `provider_message_id` is the provider's.
    Either finds the attempt; an event without both is kept and never matched. `email_id` travelled likewise, and is
    asked for where a database that was restored has lost the attempt.
    `event_id`: the provider's own name for the event, by which repeats are known; None where it gives none.
    `recipient`: bare address as the provider wrote it; None where it does not say which (`unresolved`).
    `occurred_at`: aware, by the provider's clock; None where it does not say.
    `status_code`: RFC 3463, such as 5.1.1. `description`: the provider's words. `mta_response`: the mailbox host's.
    `listed`: the provider did not try, as the recipient is on a list of its own.
    `partly`: it is of some of the recipients, and does not say of which.
    `machine`: a sign that no person opened it or followed the link, but a program.
    """

    type: EventType
    event_id: str | None = None
    occurred_at: datetime | None = None
    recipient: str | None = None
    attempt_id: UUID | None = None
    email_id: UUID | None = None
    provider_message_id: str | None = None
    reject_reason: RejectReason | None = None
    bounce: BounceClass | None = None
    listed: bool = False
    partly: bool = False
    status_code: str | None = None
    description: str | None = None
    mta_response: str | None = None
    click_url: str | None = None
    user_agent: str | None = None
    machine: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """An event with what is kept of it. `key` is unique within the provider account: a repeat has the same.

    `raw`: this event alone as the provider wrote it, as text; what can be read is read again from it.
    """

    key: str
    event: DeliveryEvent
    raw: str


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A provider's call, byte for byte.

    `url`: the public address that the provider was given, with its query. `headers`: lower-case names; of equals,
    joined by a comma. `body`: as it came, before anybody decoded it.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Verified:
    """The call is the provider's.

    `nonce`: a value that the provider signs and uses once, where the signature does not cover the body: the caller
    keeps it, and refuses a second call that bears it with another body.
    """

    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a verified call says.

    `events`: none is a valid call too (pings). `confirm`: an address that the caller has to GET before it answers, so
    that the provider sends events at all (SNS); the receiver has checked that it is the provider's own.
    `reply`: JSON that the provider wants as the answer's body (Event Grid's handshake); else the body is empty.
    """

    events: tuple[InboundEvent, ...] = ()
    confirm: str | None = None
    reply: Mapping[str, str] | None = None


class WebhookError(Exception):
    """A provider's call that is not taken. The text is for operators: no secrets, addresses or bodies."""


class Forged(WebhookError):
    """Nothing proves that the provider made the call: 401. Too old counts as well: somebody may have kept it."""


class Unreadable(WebhookError):
    """The provider made the call, and it is not in the form that the provider documents: 400."""
