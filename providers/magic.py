"""Addresses that say what becomes of an email to them, for trying out. Nothing is sent.

What counts is the part before the @, up to a +: `bounced+7@example.com` bounces. The first such recipient of an email
decides how its provider answers, and each recipient tells their own events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.errors import (
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RecipientSuppressed,
    Rejected,
)
from domain.events import BounceClass, DeliveryEvent, EventType, InboundEvent, RejectReason
from domain.message import Submission


@dataclass(frozen=True, slots=True)
class _Told:
    """An event that a recipient brings about."""

    type: EventType
    bounce: BounceClass | None = None
    reject_reason: RejectReason | None = None
    status_code: str | None = None
    mta_response: str | None = None
    click_url: str | None = None


_DELIVERED: Final = _Told(
    EventType.DELIVERED, status_code="2.0.0", mta_response="250 2.0.0 taken, as asked for"
)
_OPENED: Final = _Told(EventType.OPENED)
# What each address brings about after the email was sent, in this order.
EVENTS: Final[Mapping[str, tuple[_Told, ...]]] = {
    "delivered": (_DELIVERED,),
    "bounced": (
        _Told(
            EventType.BOUNCED,
            BounceClass.HARD,
            RejectReason.INVALID,
            "5.1.1",
            "550 5.1.1 no such user, as asked for",
        ),
    ),
    "softbounced": (
        _Told(
            EventType.BOUNCED,
            BounceClass.SOFT,
            RejectReason.BOUNCED,
            "4.2.2",
            "452 4.2.2 mailbox full, as asked for",
        ),
    ),
    "deferred": (
        _Told(EventType.DEFERRED, status_code="4.3.2", mta_response="450 4.3.2 later, as asked for"),
        _DELIVERED,
    ),
    "complained": (_DELIVERED, _Told(EventType.COMPLAINED, reject_reason=RejectReason.SPAM)),
    "unsubscribed": (_DELIVERED, _Told(EventType.UNSUBSCRIBED, reject_reason=RejectReason.UNSUBSCRIBED)),
    "opened": (_DELIVERED, _OPENED),
    "clicked": (_DELIVERED, _OPENED, _Told(EventType.CLICKED, click_url="https://example.com/")),
    "silent": (),
}
# How the provider answers where one of these is among the recipients.
ANSWERS: Final[Mapping[str, type[ProviderError]]] = {
    "rejected": Rejected,
    "suppressed": RecipientSuppressed,
    "unknown": OutcomeUnknown,
    "unavailable": ProviderUnavailable,
    "ratelimited": RateLimited,
}


def word_of(address: str) -> str:
    """The part of an address that is looked at."""
    return address.rpartition("@")[0].partition("+")[0].lower()


def refusal(provider: str, submission: Submission) -> ProviderError | None:
    """How the provider refuses the email, or loses sight of it; None: it takes it."""
    for recipient in submission.envelope.recipients:
        error = ANSWERS.get(word_of(recipient.address.email))
        if error is not None:
            return error(provider, "as the address asks for")
    return None


def events(submission: Submission, attempt_id: UUID) -> Iterator[InboundEvent]:
    """What is told of an email that was taken. Any address without a meaning is delivered to."""
    for recipient in submission.envelope.recipients:
        address = recipient.address.email
        for number, told in enumerate(EVENTS.get(word_of(address), EVENTS["delivered"])):
            key = hashlib.sha256(f"{attempt_id} {address} {number}".encode()).hexdigest()
            event = DeliveryEvent(
                type=told.type,
                event_id=key,
                recipient=address,
                attempt_id=attempt_id,
                email_id=submission.id,
                reject_reason=told.reject_reason,
                bounce=told.bounce,
                status_code=told.status_code,
                mta_response=told.mta_response,
                click_url=told.click_url,
            )
            yield InboundEvent(key, event, "{}")
