"""The statuses of an email and every way from one to the next, in one table."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What the user sees. `sending` is a queued email that a worker holds; it is read, never stored."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNKNOWN = "unknown"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Event(StrEnum):
    """What happens to an email, seen from its status."""

    ACCEPTED = "accepted"
    POSTPONED = "postponed"
    LOST_SIGHT = "lost_sight"
    GAVE_UP = "gave_up"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class IllegalTransition(ValueError):
    """The event cannot happen to an email in this status."""


_WAITING = (Status.SCHEDULED, Status.QUEUED, Status.DEFERRED)

TRANSITIONS: dict[tuple[Status, Event], Status] = {
    **{(s, Event.ACCEPTED): Status.SENT for s in (*_WAITING, Status.UNKNOWN, Status.SENT)},
    **{(s, Event.POSTPONED): Status.DEFERRED for s in (*_WAITING, Status.UNKNOWN)},
    **{(s, Event.LOST_SIGHT): Status.UNKNOWN for s in (*_WAITING, Status.UNKNOWN)},
    **{(s, Event.GAVE_UP): Status.FAILED for s in (*_WAITING, Status.UNKNOWN, Status.FAILED)},
    **{(s, Event.CANCELLED): Status.CANCELLED for s in (*_WAITING, Status.CANCELLED)},
    **{(s, Event.EXPIRED): Status.EXPIRED for s in (*_WAITING, Status.EXPIRED)},
}

TERMINAL = frozenset(
    {
        Status.DELIVERED,
        Status.BOUNCED,
        Status.COMPLAINED,
        Status.FAILED,
        Status.SUPPRESSED,
        Status.CANCELLED,
        Status.EXPIRED,
    }
)


def advance(status: Status, event: Event) -> Status:
    """Return the status after the event. A repeated event is a transition to itself.

    Raises IllegalTransition where the table has no way.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransition(f"{event} cannot happen to an email that is {status}") from None
