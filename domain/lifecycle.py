"""The statuses of an email, every way from one to the next, and what providers' events make of it.

Delivery advances a status by TRANSITIONS. What a provider tells later is evidence, and `fold` is the only reading of
it: the ledger's lines and the events in, statuses out. It looks at all of them together, so their order and their
repeats cannot matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.attempt import Outcome
from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason
from domain.suppression import normalized


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
    SUPPRESSED = "suppressed"


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
    **{(s, Event.SUPPRESSED): Status.SUPPRESSED for s in (*_WAITING, Status.SUPPRESSED)},
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


# A provider that says one of these had taken the email.
TAKEN = frozenset(
    {
        EventType.QUEUED, EventType.SENT, EventType.DEFERRED, EventType.DELIVERED, EventType.BOUNCED,
        EventType.AUTORESPONDED, EventType.OPENED, EventType.CLICKED, EventType.COMPLAINED,
    }
)  # fmt: skip
# By list: another provider would have to refuse these recipients too.
BY_LIST = frozenset(
    {RejectReason.INVALID, RejectReason.BOUNCED, RejectReason.SPAM, RejectReason.UNSUBSCRIBED}
)
_BECOMES = {
    EventType.DELIVERED: Status.DELIVERED,
    EventType.OPENED: Status.DELIVERED,
    EventType.CLICKED: Status.DELIVERED,
    EventType.BOUNCED: Status.BOUNCED,
    EventType.COMPLAINED: Status.COMPLAINED,
    EventType.FAILED: Status.FAILED,
}
_BY_EVENT = frozenset({Status.DELIVERED, Status.BOUNCED, Status.COMPLAINED})  # and by nothing else
# Within one attempt what stands further right holds: a bounce may follow a delivery, a complaint both.
_RANK = (Status.SENT, Status.FAILED, Status.SUPPRESSED, Status.DELIVERED, Status.BOUNCED, Status.COMPLAINED)
# Of several attempts the best holds: a late bounce of the first does not worsen the second.
_BEST = (Status.COMPLAINED, Status.DELIVERED, Status.SENT, Status.BOUNCED, Status.SUPPRESSED, Status.FAILED)
# Of several recipients the first of these holds: what somebody should look at, then what is still open.
_LOOK = (Status.COMPLAINED, Status.BOUNCED, Status.SENT, Status.DELIVERED, Status.SUPPRESSED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one recipient. `status` None: nothing is known of this one (`unresolved`)."""

    status: Status | None
    bounce: BounceClass | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger and the events say together.

    `status` None: they do not say more than delivery has written. `recipients` in the order asked for.
    `outcomes`: how each attempt ended, evidence included; `carriers`: the attempts that a provider took.
    """

    status: Status | None
    recipients: tuple[Fate, ...]
    outcomes: Mapping[UUID, Outcome | None]

    def lacks(self, status: Status) -> bool:
        """Whether an email has its status by records that are gone: they are not kept as long as the email is."""
        return status is not self.status and (
            status in _BY_EVENT or (status in TERMINAL and self.status is not None)
        )

    @property
    def carriers(self) -> frozenset[UUID]:
        return frozenset(i for i, outcome in self.outcomes.items() if outcome is Outcome.ACCEPTED)


def fold(
    recipients: Sequence[str],
    attempts: Mapping[UUID, Outcome | None],
    events: Iterable[tuple[UUID, DeliveryEvent]],
) -> Standing:
    """What became of an email. `recipients`: its addresses; `attempts`: the ledger; `events` with their attempts.

    Of an attempt that the ledger has no more, which may be kept for a shorter time, only the events speak.
    """
    told: dict[UUID, list[DeliveryEvent]] = {i: [] for i in attempts}
    for attempt_id, event in events:
        told.setdefault(attempt_id, []).append(event)
    places = {normalized(address): place for place, address in enumerate(recipients)}

    def place_of(event: DeliveryEvent) -> int | None:
        """Which recipient an event is of; None: it does not say, or names nobody that we know."""
        if event.partly:
            return None
        if len(recipients) == 1:
            return 0
        return places.get(normalized(event.recipient or ""))

    outcomes = {i: _outcome(attempts.get(i), told[i], place_of, len(recipients)) for i in told}
    found: list[list[Fate]] = [[] for _ in recipients]
    everybody: list[Fate] = []  # by events that do not say of whom they are
    for attempt_id, outcome in outcomes.items():
        if outcome is not Outcome.ACCEPTED:
            continue
        by_place: dict[int | None, list[DeliveryEvent]] = {}
        for event in told[attempt_id]:
            by_place.setdefault(place_of(event), []).append(event)
        of_nobody = by_place.get(None, ())
        unresolved = _fate(event for event in of_nobody if not event.partly)
        if unresolved.status is not Status.SENT:
            everybody.append(unresolved)
        partly = any(event.partly for event in of_nobody)  # who is named as taken is not among those
        for place in range(len(recipients)):
            told_of = by_place.get(place, ())
            fate = _fate(told_of)
            left_open = unresolved.status is not Status.SENT or (
                partly and not any(event.type in TAKEN for event in told_of)
            )
            found[place].append(Fate(None) if left_open and fate.status is Status.SENT else fate)
    fates = tuple(_best(of_one) for of_one in found)
    if not any(found):
        return Standing(None, tuple(Fate(None) for _ in recipients), outcomes)
    known = {f.status for f in (*fates, *([_best(everybody)] if everybody else [])) if f.status is not None}
    if Fate(None) in fates and not everybody:
        known.add(Status.SENT)  # it was taken for some of them
    return Standing(next(s for s in _LOOK if s in known), fates, outcomes)


def further(one: Status, other: Status) -> Status:
    """Which of two statuses of an email that a provider took happened later, as within one attempt."""
    return max(one, other, key=lambda status: _RANK.index(status) if status in _RANK else -1)


def _outcome(
    recorded: Outcome | None,
    told: Sequence[DeliveryEvent],
    place_of: Callable[[DeliveryEvent], int | None],
    recipients: int,
) -> Outcome | None:
    """How an attempt ended. Evidence that it was taken beats all; a refusal settles only what was unknown."""
    if any(e.type in TAKEN for e in told):
        return Outcome.ACCEPTED
    if recorded is Outcome.UNKNOWN:
        refusals = [e for e in told if e.type in (EventType.REJECTED, EventType.FAILED) and not e.partly]
        refused = {place_of(e) for e in refusals}
        if None in refused or len(refused) == recipients:
            return Outcome.NOT_SENT
    return recorded


def _fate(events: Iterable[DeliveryEvent]) -> Fate:
    """Of one recipient in one attempt that was taken."""
    found = [Fate(Status.SENT)]
    for event in events:
        if event.type is EventType.REJECTED:
            found.append(Fate(Status.SUPPRESSED if _is_by_list(event) else Status.FAILED))
        elif event.type in _BECOMES:
            found.append(
                Fate(_BECOMES[event.type], event.bounce if event.type is EventType.BOUNCED else None)
            )
    return max(found, key=lambda fate: (_RANK.index(fate.status or Status.SENT), _hardness(fate)))


def _best(fates: Iterable[Fate]) -> Fate:
    """Of one recipient in several attempts; what is known beats what is not."""
    known = [fate for fate in fates if fate.status is not None]
    return min(
        known, key=lambda fate: (_BEST.index(fate.status or Status.SENT), _hardness(fate)), default=Fate(None)
    )


def _hardness(fate: Fate) -> int:
    return (None, BounceClass.SOFT, BounceClass.HARD).index(fate.bounce)


def refused_by_list(events: Iterable[DeliveryEvent]) -> bool:
    """Whether a provider that did not send refused the recipients, and not this account's email."""
    refusals = [e for e in events if e.type in (EventType.REJECTED, EventType.FAILED)]
    return bool(refusals) and all(map(_is_by_list, refusals))


def _is_by_list(event: DeliveryEvent) -> bool:
    return event.listed or event.reject_reason in BY_LIST
