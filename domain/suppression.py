"""Who is not written to any more: what puts an address on a user's list, and what an entry stops.

An entry has a scope: `all` stops every email, `marketing` every email of a type of that category, `type:NAME` those of
one type. Throttling and policy never put anybody on the list: they are the sender's matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason
from domain.message import Recipient, Submission

ALL: Final = "all"
MARKETING: Final = "marketing"
OF_TYPE: Final = "type:"

STRIKES: Final = 3  # soft bounces …
STRIKE_DAYS: Final = 7  # … in so many days, which stop an address for as long


class Cause(StrEnum):
    """Why an address is on the list."""

    HARD_BOUNCE = "hard_bounce"
    SOFT_BOUNCES = "soft_bounces"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    PROVIDER = "provider"
    MANUAL = "manual"
    IMPORTED = "imported"


class Reach(StrEnum):
    """How far a cause reaches, before the email's type is known. `ITS_KIND`: marketing, or the one other type."""

    ALL = "all"
    MARKETING = "marketing"
    ITS_KIND = "its_kind"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an event means for the list. SOFT_BOUNCES is one of those that it takes."""

    cause: Cause
    reach: Reach


@dataclass(frozen=True, slots=True)
class Listing:
    """An entry as far as sending cares."""

    scope: str
    cause: Cause
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An address on a provider's own list, in our terms. `detail`: which list, and since when."""

    address: str
    scope: str
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """Part of a provider's lists. `next`: where the rest begins; None: there is none."""

    entries: Sequence[Listed]
    next: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What an event says of somebody who was written to."""

    job_id: UUID
    address: str
    cause: Cause
    reach: Reach
    source: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Somebody who was to receive an email, and why they do not."""

    recipient: Recipient
    cause: Cause

    @property
    def reason(self) -> str:
        return f"on the suppression list: {self.cause.value}"


_POLICY = frozenset({RejectReason.BLOCKED, RejectReason.SPAM, RejectReason.TIMED_OUT})
# RFC 3463: system, network, protocol, content, security and policy. Nothing of it is about the address; and among
# what is about addresses and mailboxes, the sender's address (X.1.7, X.1.8) and an email that is too long (X.2.3).
_NOT_THE_ADDRESS = (".3.", ".4.", ".5.", ".6.", ".7.")
_THE_SENDERS = (".1.7", ".1.8")
_NOT_THE_MAILBOX = (*_THE_SENDERS, ".2.3")
_BY_PROVIDER = {
    RejectReason.INVALID: Reach.ALL,
    RejectReason.BOUNCED: Reach.ALL,
    RejectReason.SPAM: Reach.ITS_KIND,
    RejectReason.UNSUBSCRIBED: Reach.MARKETING,
}


def judge(event: DeliveryEvent) -> Verdict | None:
    """What an event of a provider means for its recipient; None: nothing.

    A list of the provider's that does not say why it holds an address counts for emails of the kind alone.
    """
    match event.type:
        case EventType.COMPLAINED:
            return Verdict(Cause.COMPLAINT, Reach.ITS_KIND)
        case EventType.UNSUBSCRIBED:
            return Verdict(Cause.UNSUBSCRIBED, Reach.MARKETING)
        case EventType.REJECTED | EventType.BOUNCED if event.listed:
            reason = event.reject_reason or RejectReason.OTHER
            return Verdict(Cause.PROVIDER, _BY_PROVIDER.get(reason, Reach.ITS_KIND))
        case EventType.REJECTED if event.reject_reason in _BY_PROVIDER:
            return Verdict(Cause.PROVIDER, _BY_PROVIDER[event.reject_reason])
        case EventType.BOUNCED if _is_of_the_address(event):
            hard = event.bounce is BounceClass.HARD
            return Verdict(Cause.HARD_BOUNCE if hard else Cause.SOFT_BOUNCES, Reach.ALL)
    return None


def _is_of_the_address(event: DeliveryEvent) -> bool:
    if event.bounce is None or event.reject_reason in _POLICY:
        return False
    about = (event.status_code or "")[1:]
    return about not in _NOT_THE_MAILBOX and not about.startswith(_NOT_THE_ADDRESS)


def is_of_nobody(reason: str | None, code: str | None) -> bool:
    """Whether a bounce's reason and status code say that the recipient's address does not exist, or is none."""
    if (code or "")[1:] in _THE_SENDERS:
        return False
    return reason == RejectReason.INVALID or (code or "").startswith("5.1.")


def normalized(address: str) -> str:
    """The form in which addresses are compared: no mailbox host that matters tells upper from lower case."""
    return address.strip().lower()


def without(submission: Submission, left_out: Collection[Recipient]) -> Submission:
    """The email as it goes to the others."""
    envelope = submission.envelope
    kept = tuple(r for r in envelope.recipients if r not in left_out)
    return replace(submission, envelope=replace(envelope, recipients=kept))


def stopped_by(listings: Iterable[Listing], email_type: str, marketing: bool, now: datetime) -> Cause | None:
    """Why an email of this type does not go to somebody with these entries; None: it goes."""
    for one in listings:
        if one.expires_at is not None and one.expires_at <= now:
            continue
        if one.scope in (ALL, OF_TYPE + email_type) or (marketing and one.scope == MARKETING):
            return one.cause
    return None
