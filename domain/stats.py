"""What is counted of emails, and by what: the words of the statistics.

Everything is counted by attempts (one email given to one provider), in the quarter hour in which it was opened,
however late it is told of: shares of what was sent are shares, and a late bounce corrects the hour of its email.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.events import BounceClass, DeliveryEvent, EventType

SLOT_MINUTES, BLOCK_MINUTES, DAY_MINUTES = 15, 120, 1440
"""The grains. Days of every time zone of today are made of whole slots; days and blocks are UTC's."""

STEPS = 32
"""Of the scale of latencies: each ends at √2 times the milliseconds of the one before; the first at √2, the last never.
Counts of two rows add up to those of both, which percentiles do not.
"""


class Measure(StrEnum):
    """What an attempt is counted as. The first three are the ledger's outcomes, the others what was told of it."""

    ACCEPTED = "accepted"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    HARD_BOUNCED = "hard_bounced"
    SOFT_BOUNCED = "soft_bounced"
    COMPLAINED = "complained"
    OPENED = "opened"
    CLICKED = "clicked"


class Dimension(StrEnum):
    """What emails are counted by, beside the provider and the time. ALL: by nothing more."""

    ALL = "all"
    EMAIL_TYPE = "email_type"
    SENDER_DOMAIN = "sender_domain"
    MAILBOX_GROUP = "mailbox_group"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class Tick:
    """An attempt that is counted once more (1), or once less (-1), as something."""

    attempt_id: UUID
    measure: Measure
    by: int


_SAYS: Mapping[EventType, frozenset[Measure]] = {
    EventType.DELIVERED: frozenset({Measure.DELIVERED}),
    # Whoever opened it has got it.
    EventType.OPENED: frozenset({Measure.DELIVERED, Measure.OPENED}),
    EventType.CLICKED: frozenset({Measure.DELIVERED, Measure.CLICKED}),
    EventType.COMPLAINED: frozenset({Measure.COMPLAINED}),
}


def marks(events: Iterable[DeliveryEvent]) -> frozenset[Measure]:
    """What an attempt counts as by all its events, each thing once however often it was told.

    What a program did that looked at an email is not counted. A hard bounce takes the place of soft ones. One without a
    class is soft: nobody said that it is for good.
    """
    found: set[Measure] = set()
    for event in events:
        if event.type is EventType.BOUNCED:
            hard = event.bounce is BounceClass.HARD
            found.add(Measure.HARD_BOUNCED if hard else Measure.SOFT_BOUNCED)
        elif event.machine is None:
            found |= _SAYS.get(event.type, frozenset())
    if Measure.HARD_BOUNCED in found:
        found.discard(Measure.SOFT_BOUNCED)
    return frozenset(found)


def ticks(
    before: Sequence[tuple[UUID, DeliveryEvent]], news: Sequence[tuple[UUID, DeliveryEvent]]
) -> list[Tick]:
    """What news of one email's attempts change, where `before` is already counted."""
    found: list[Tick] = []
    for attempt in sorted({attempt for attempt, _ in news}):
        old = marks(event for of, event in before if of == attempt)
        now = marks(event for of, event in (*before, *news) if of == attempt)
        found += [Tick(attempt, measure, 1) for measure in sorted(now - old)]
        found += [Tick(attempt, measure, -1) for measure in sorted(old - now)]
    return found


def step_of(milliseconds: float) -> int:
    """The place of a latency on the scale."""
    return min(STEPS - 1, math.floor(2 * math.log2(max(milliseconds, 1.0))))


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Milliseconds that this share of latencies does not pass, by their counts on the scale; None: there are none.

    Within its step it is taken to lie as evenly as the step's latencies, so it is off by less than √2 times, and by a
    few percent where many were counted.
    """
    wanted = share * sum(counts)
    for step, count in enumerate(counts):
        if count and wanted <= count:
            return float(2 ** ((step + wanted / count) / 2))
        wanted -= count
    return None
