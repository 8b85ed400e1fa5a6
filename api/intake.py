"""Accepting emails: the one way in, whatever protocol brought them. Knows ports only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from domain.intake import (
    Accepted,
    Draft,
    Entry,
    Objection,
    Once,
    Receipt,
    Refused,
    Sender,
    Surroundings,
)
from domain.lifecycle import Status
from domain.message import Lane, Submission
from domain.ports import DeliveryQueue, IntakeWork

HORIZON = timedelta(days=366)  # how far ahead an email may be scheduled: a year, leap years included

log = logging.getLogger(__name__)


def accept(
    units: Callable[[], IntakeWork],
    queue: DeliveryQueue,
    ids: Callable[[], UUID],
    sender: Sender,
    drafts: Sequence[Draft],
    once: Once | None = None,
) -> Receipt:
    """Take emails over: when this returns they are committed, and will be delivered or accounted for.

    All or none. A request that carries `once` and was answered before gets the same answer again, and
    nothing is accepted twice. Raises domain.intake.Refused, KeyTaken or KeyInFlight, and
    domain.errors.StorageUnavailable; then nothing was accepted (after StorageUnavailable the caller
    cannot know: it asks again with the same key).
    """
    with units() as unit:
        around = unit.intake.survey(
            sender.user_id,
            sorted({draft.email_type for draft in drafts}),
            sorted({name for draft in drafts for name in draft.wishes.pinned | draft.wishes.excluded}),
        )
        answer = [Accepted(ids(), _first_status(draft, around.now)) for draft in drafts]
        if once is not None:
            before = unit.intake.remember(sender.user_id, _kept_long_enough(once, drafts, around.now), answer)
            if before is not None:
                return Receipt(tuple(before), replayed=True)
        objections = [o for item, draft in enumerate(drafts) for o in _object(item, draft, around)]
        if objections:
            raise Refused(objections)
        entries = [
            Entry(_submission(draft, email.id, sender, around), email.status, ids())
            for draft, email in zip(drafts, answer, strict=True)
        ]
        unit.intake.add(sender, entries)
        unit.commit()
    _ring(queue, {e.submission.lane for e in entries if e.status is Status.QUEUED})
    return Receipt(tuple(answer))


def review(unit: IntakeWork, user_id: UUID, drafts: Sequence[Draft]) -> list[Objection]:
    """Say what `accept` would object to, writing nothing."""
    types = sorted({draft.email_type for draft in drafts})
    names = sorted({name for draft in drafts for name in draft.wishes.pinned | draft.wishes.excluded})
    around = unit.intake.survey(user_id, types, names)
    return [o for item, draft in enumerate(drafts) for o in _object(item, draft, around)]


def _first_status(draft: Draft, now: datetime) -> Status:
    return Status.SCHEDULED if draft.send_at is not None and draft.send_at > now else Status.QUEUED


def _kept_long_enough(once: Once, drafts: Sequence[Draft], now: datetime) -> Once:
    """A scheduled email's key outlives its sending: the caller may ask again until then."""
    last = max((draft.send_at for draft in drafts if draft.send_at is not None), default=now)
    return Once(once.route, once.key, once.request_hash, once.keep + max(last - now, timedelta()))


def _object(item: int, draft: Draft, around: Surroundings) -> list[Objection]:
    found: list[Objection] = []
    now, send_at, expires_at = around.now, draft.send_at, draft.expires_at
    if draft.email_type not in around.types:
        found.append(
            Objection(
                item, ("email_type",), "undeclared_type", f"no email type {draft.email_type!r} is declared"
            )
        )
    if send_at is not None and send_at <= now:
        found.append(Objection(item, ("send_at",), "in_the_past", "send_at lies in the past"))
    if send_at is not None and send_at > now + HORIZON:
        found.append(Objection(item, ("send_at",), "too_far_ahead", "send_at is more than a year ahead"))
    if expires_at is not None and expires_at <= now:
        found.append(Objection(item, ("expires_at",), "in_the_past", "expires_at lies in the past"))
    for wish, names in (("pinned", draft.wishes.pinned), ("excluded", draft.wishes.excluded)):
        found.extend(
            Objection(item, ("routing", wish), "unknown_provider", f"there is no provider {name!r}")
            for name in sorted(names - around.providers)
        )
    return found


def _submission(draft: Draft, id: UUID, sender: Sender, around: Surroundings) -> Submission:
    terms = around.types[draft.email_type]
    return Submission(
        id=id,
        user_id=sender.user_id,
        message=draft.message,
        envelope=draft.envelope,
        email_type=draft.email_type,
        lane=terms.lane,
        on_unknown=draft.on_unknown or terms.on_unknown,
        tags=draft.tags,
        metadata=draft.metadata,
        tracking=draft.tracking,
        wishes=draft.wishes,
        send_at=draft.send_at,
        expires_at=draft.expires_at,
    )


def _ring(queue: DeliveryQueue, lanes: set[Lane]) -> None:
    """The emails are committed and the sweeper finds them: no failure here may turn the answer into an error."""
    for lane in sorted(lanes):
        try:
            queue.ring(lane)
        except Exception:
            log.warning("ring failed", extra={"lane": lane.value}, exc_info=True)
