"""Applying what providers tell later: match → fold → record. The webhook stored the events before it answered.

An event of an attempt whose end is not recorded yet, or of an email that a worker holds, waits a moment. One that
matches no attempt may only be early; after a while it is left as unmatched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from domain.attempt import Outcome
from domain.errors import StorageUnavailable
from domain.events import DeliveryEvent, EventType
from domain.inbound import Change, Dossier, Match, Note, Waiting
from domain.lifecycle import TAKEN, Event, Standing, Status, advance, fold, further, refused_by_list
from domain.message import Lane
from domain.ports import Clock, DeliveryQueue, InboundStore, Log
from domain.stats import ticks
from domain.suppression import Report, is_of_nobody, judge, normalized
from routing.mailbox_groups import group_number
from routing.news import Heard, News, Newsroom, Silent, number_of
from workers.upkeep import Units

SILENT = Silent()

_BATCH = 200  # events per transaction
_SECONDS = 2.0  # at most in one go: an OTP may wait for the worker that does it
_BUSY_WAITS = (
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
)  # seconds until an event is looked at again whose email is in hand
_UNMATCHED_WAITS = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)  # … whose attempt is not known
_BROKEN_WAIT = 300.0  # … that could not be applied
UNMATCHED = "unmatched"
UNMATCHED_AFTER = 3600.0  # seconds after which an event without an attempt is left


@dataclass(frozen=True, slots=True)
class Applied:
    """What one round did, in events."""

    applied: int = 0
    postponed: int = 0
    unmatched: int = 0
    told: tuple[tuple[UUID, str], ...] = ()  # what was done with: the account, and the event, or UNMATCHED

    @property
    def seen(self) -> int:
        return self.applied + self.postponed + self.unmatched

    def __add__(self, other: Applied) -> Applied:
        return Applied(
            self.applied + other.applied,
            self.postponed + other.postponed,
            self.unmatched + other.unmatched,
            self.told + other.told,
        )


def apply_events(
    units: Units,
    queue: DeliveryQueue,
    clock: Clock,
    log: Log,
    seconds: float = _SECONDS,
    newsroom: Newsroom = SILENT,
    count: Callable[[UUID, str], None] = lambda *_: None,
) -> float | None:
    """Apply the events that are due, for at most `seconds`. Returns the seconds until more are due; None: none wait.

    `count` is told of each that is done with: the account, and the event's type or UNMATCHED.
    """
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        try:
            done = _round(units, queue, log, newsroom, _BATCH, [])
        except StorageUnavailable:
            raise
        # Whatever one event breaks, the others are not to wait for it.
        except Exception:
            log.exception("events_apart")
            done = _one_by_one(units, queue, log, newsroom)
        for account, event in done.told:
            count(account, event)
        if done.seen < _BATCH:
            break
    with units() as unit:
        return unit.inbound.next_due()


def _one_by_one(units: Units, queue: DeliveryQueue, log: Log, newsroom: Newsroom) -> Applied:
    """A round in which each event has a transaction of its own. One that breaks it is looked at again much later."""
    total = Applied()
    for _ in range(_BATCH):
        taken: list[UUID] = []
        try:
            done = _round(units, queue, log, newsroom, 1, taken)
        except StorageUnavailable:
            raise
        except Exception:  # as above
            if not taken:
                raise
            log.exception("event_broken", inbound_event=str(taken[0]))
            with units() as unit:
                unit.inbound.postpone({taken[0]: _BROKEN_WAIT})
                unit.commit()
            done = Applied(postponed=1)
        total += done
        if not done.seen:
            break
    return total


def _round(
    units: Units, queue: DeliveryQueue, log: Log, newsroom: Newsroom, most: int, taken: list[UUID]
) -> Applied:
    """One transaction. `taken` gets the events that it is about, also where it breaks off."""
    with units() as unit:
        waiting = unit.inbound.take(most)
        taken += [w.id for w in waiting]
        done, lanes, news = _apply(unit.inbound, waiting)
        unit.commit()
    newsroom.tell(news)
    for lane in lanes:
        queue.ring(lane)
    if done.unmatched:
        log.warning("events_unmatched", events=done.unmatched)
    return done


def _apply(store: InboundStore, waiting: Sequence[Waiting]) -> tuple[Applied, set[Lane], list[News]]:
    if not waiting:
        return Applied(), set(), []
    matches = dict(store.match([w.id for w in waiting]))
    if lost := [w.id for w in waiting if w.id not in matches and tells_of_sending(w.event)]:
        matches |= store.adopt(lost)
    settled = {w.id: matches[w.id] for w in waiting if w.id in matches and not matches[w.id].open}
    dossiers = store.hold(sorted({m.job_id for m in settled.values()}))
    ready: dict[UUID, list[tuple[Waiting, Match]]] = defaultdict(list)
    later: dict[UUID, float] = {}
    strangers: list[Waiting] = []
    for w in waiting:
        match = matches.get(w.id)
        if match is None:
            if w.age >= UNMATCHED_AFTER:
                strangers.append(w)
            else:
                later[w.id] = _UNMATCHED_WAITS[min(w.tries, len(_UNMATCHED_WAITS) - 1)]
        elif match.open or match.job_id not in dossiers:
            later[w.id] = _BUSY_WAITS[min(w.tries, len(_BUSY_WAITS) - 1)]
        else:
            ready[match.job_id].append((w, match))
    notes: list[Note] = []
    changes: list[Change] = []
    lanes: set[Lane] = set()
    for job_id, news in ready.items():
        dossier = dossiers[job_id]
        told_now = [(match.attempt_id, w.event) for w, match in news]
        change = replace(weigh(dossier, told_now), ticks=ticks(dossier.events, told_now))
        notes += [Note(w.id, job_id, m.attempt_id, w.provider_id, w.event, change.status) for w, m in news]
        changes.append(change)
        if change.retry:
            lanes.add(dossier.lane)
    store.record(notes, changes)
    store.report([r for n in notes if (r := _report(n, dossiers[n.job_id].recipients)) is not None])
    store.postpone(later)
    store.leave([w.id for w in strangers])
    lessons: list[News] = [
        heard
        for job_id, news in ready.items()
        for w, match in news
        if (heard := hear(dossiers[job_id].recipients, match, w.event)) is not None
    ]
    told = [(n.provider_id, n.event.type.value) for n in notes] + [
        (w.provider_id, UNMATCHED) for w in strangers
    ]
    return Applied(len(notes), len(later), len(strangers), tuple(told)), lanes, lessons


def _report(note: Note, recipients: Sequence[str]) -> Report | None:
    """What an event says of an address, for the list of whoever had written to it.

    Of those that were written to only, as `fold` reads it: who the event names otherwise may be nobody, or a stranger.
    """
    verdict = judge(note.event)
    named = normalized(note.event.recipient or "")
    written_to = {normalized(recipient) for recipient in recipients}
    address = next(iter(written_to)) if len(written_to) == 1 else named
    if verdict is None or address not in written_to:
        return None
    said = note.event.mta_response or note.event.description
    source = f"event of {note.provider_id}"
    return Report(note.job_id, address, verdict.cause, verdict.reach, source, said and said[:500])


def tells_of_sending(event: DeliveryEvent) -> bool:
    """Whether an event proves that the provider took the email, and names it and the attempt."""
    return event.type in TAKEN and None not in (event.email_id, event.attempt_id)


def hear(recipients: Sequence[str], match: Match, event: DeliveryEvent) -> Heard | None:
    """What an event teaches of the provider, if anything: whether a mailbox host took what the provider had accepted.

    That an address does not exist is the address's matter; of one that the provider lists no host was asked.
    """
    delivered = event.type is EventType.DELIVERED
    nobody = event.listed or is_of_nobody(event.reject_reason, event.status_code)
    refused = event.type is EventType.BOUNCED and not nobody
    if match.settled_at is None or not (delivered or refused):
        return None
    recipient = event.recipient or recipients[0]
    group = group_number(recipient.rpartition("@")[2].lower())
    number = number_of(match.attempt_id)
    return Heard(match.provider_id, match.received_at, number, group, delivered, match.settled_at)


def weigh(dossier: Dossier, news: Sequence[tuple[UUID, DeliveryEvent]]) -> Change:
    """What an email becomes by events, together with those applied before."""
    events = [*dossier.events, *news]
    standing = fold(dossier.recipients, dossier.attempts, events)
    outcomes = {
        attempt: outcome
        for attempt, outcome in standing.outcomes.items()
        if outcome is not None
        and dossier.attempts.get(attempt) is Outcome.UNKNOWN
        and outcome is not Outcome.UNKNOWN
    }
    if standing.status is not None:
        carrier = dossier.providers.get(max(standing.carriers))  # None: its line is not kept any more
        status, reason = standing.status, _reason(standing, events)
        if fold(dossier.recipients, dossier.attempts, dossier.events).lacks(dossier.status):
            status = further(dossier.status, status)
        return Change(
            dossier.job_id,
            status,
            reason,
            carrier,
            outcomes,
            close=dossier.queued,
        )
    doubtful = Outcome.UNKNOWN in standing.outcomes.values()
    settled = dossier.status is not Status.UNKNOWN or dossier.queued != dossier.held
    # After a restore, what came after an attempt that was refused may be lost.
    if not outcomes or doubtful or settled or dossier.restored:
        return Change(dossier.job_id, dossier.status, None, None, outcomes)
    return _refused(dossier, events, outcomes)


def _refused(
    dossier: Dossier, events: Sequence[tuple[UUID, DeliveryEvent]], outcomes: Mapping[UUID, Outcome]
) -> Change:
    """Nothing was sent after all: it is tried again, unless the recipients themselves were refused."""
    about = [event for attempt, event in events if attempt in outcomes]
    said = next((e.description for e in about if e.description), None)
    if refused_by_list(about) or not dossier.queued:
        status = advance(dossier.status, Event.GAVE_UP)
        reason = f"the provider did not send it: {said or about[0].reject_reason or about[0].type}"
        return Change(dossier.job_id, status, reason, None, outcomes, close=dossier.queued)
    status = advance(dossier.status, Event.POSTPONED)
    reason = f"the provider says that it did not send it: {said or about[0].type}"
    return Change(dossier.job_id, status, reason, None, outcomes, retry=True)


def _reason(standing: Standing, events: Sequence[tuple[UUID, DeliveryEvent]]) -> str | None:
    """Why a status that nobody wished for is what it is; the same for any order of the events."""
    if standing.status not in (Status.BOUNCED, Status.FAILED, Status.SUPPRESSED):
        return None
    said = {
        e.description or e.mta_response or (e.reject_reason and e.reject_reason.value)
        for _, e in events
        if e.bounce is not None or e.reject_reason is not None
    }
    return min((s for s in said if s), default=None)
