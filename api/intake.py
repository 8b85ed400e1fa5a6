"""Accepting emails: the one way in, whatever protocol brought them. Knows ports only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from domain.intake import (
    Accepted,
    Draft,
    Entry,
    Handover,
    KeyTaken,
    Memo,
    Objection,
    Once,
    Receipt,
    Refused,
    Sender,
    SenderGone,
    Surroundings,
)
from domain.lifecycle import Status
from domain.message import Lane, RecipientKind, Submission
from domain.ports import DeliveryQueue, IntakeWork

HORIZON = timedelta(days=366)  # how far ahead an email may be scheduled: a year, leap years included

log = logging.getLogger(__name__)


Result = Receipt | Refused | KeyTaken | SenderGone


def accept(
    units: Callable[[], IntakeWork],
    queue: DeliveryQueue,
    ids: Callable[[], UUID],
    handovers: Sequence[Handover],
) -> list[Result]:
    """Take over the emails of several requests in one transaction; one request is a group of one.

    A result for each: where it is a Receipt its emails are committed, and will be delivered or accounted for.
    All emails of a request are accepted, or none. A request that carries `once` and was answered before gets the
    same answer again, and nothing is accepted twice.

    Raises domain.intake.KeyInFlight, where nothing of the group was accepted, and StorageUnavailable: then the
    callers cannot know, and ask again with the same keys.
    """
    with units() as unit:
        around = _survey(unit, handovers)
        answers = [
            [Accepted(ids(), _first_status(d, around.now), d.item) for d in h.drafts] for h in handovers
        ]
        results: list[Result | None] = [_refusal(h, around) for h in handovers]
        # A request that was answered before gets its answer, whatever could be said against it now.
        asked = [
            place
            for place, h in enumerate(handovers)
            if h.once is not None and not isinstance(results[place], SenderGone)
        ]
        memos = [_memo(handovers[place], answers[place], around.now) for place in asked]
        for place, before in zip(asked, unit.intake.remember(memos) if memos else (), strict=True):
            if isinstance(before, KeyTaken):
                results[place] = before
            elif before is not None:
                results[place] = Receipt(tuple(before), replayed=True)
        refused = [m for place, m in zip(asked, memos, strict=True) if isinstance(results[place], Refused)]
        if refused:
            unit.intake.forget(refused)
        entries = [
            Entry(_submission(draft, email.id, h.sender, around), email.status, h.sender.api_key_id)
            for h, answer, result in zip(handovers, answers, results, strict=True)
            if result is None
            for draft, email in zip(h.drafts, answer, strict=True)
        ]
        if entries:
            unit.intake.add(entries)
            unit.commit()
    _ring(queue, {e.submission.lane for e in entries if e.status is Status.QUEUED})
    return [result or Receipt(tuple(answer)) for result, answer in zip(results, answers, strict=True)]


def review(unit: IntakeWork, sender: Sender, drafts: Sequence[Draft]) -> list[Objection]:
    """Say what `accept` would object to, writing nothing."""
    around = _survey(unit, [Handover(sender, drafts)])
    return [o for draft in drafts for o in _object(draft, sender.user_id, around)]


def draw_up(
    unit: IntakeWork, sender: Sender, draft: Draft, id: UUID
) -> tuple[Submission, datetime] | Sequence[Objection]:
    """The email that `accept` would take over, and the time; or what it would object to. Writes nothing."""
    around = _survey(unit, [Handover(sender, [draft])])
    objections = _object(draft, sender.user_id, around)
    return objections or (_submission(draft, id, sender, around), around.now)


def _survey(unit: IntakeWork, handovers: Sequence[Handover]) -> Surroundings:
    drafts = [draft for h in handovers for draft in h.drafts]
    return unit.intake.survey(
        {h.sender for h in handovers},
        {draft.email_type for draft in drafts},
        {name for draft in drafts for name in draft.wishes.pinned | draft.wishes.excluded},
    )


def _refusal(handover: Handover, around: Surroundings) -> Refused | SenderGone | None:
    sender = handover.sender
    if sender.api_key_id is not None and sender.api_key_id not in around.keys:
        return SenderGone()
    objections = [o for draft in handover.drafts for o in _object(draft, sender.user_id, around)]
    return Refused(objections) if objections else None


def _memo(handover: Handover, answer: Sequence[Accepted], now: datetime) -> Memo:
    assert handover.once is not None
    return Memo(handover.sender.user_id, _kept_long_enough(handover.once, handover.drafts, now), answer)


def _first_status(draft: Draft, now: datetime) -> Status:
    return Status.SCHEDULED if draft.send_at is not None and draft.send_at > now else Status.QUEUED


def _kept_long_enough(once: Once, drafts: Sequence[Draft], now: datetime) -> Once:
    """A scheduled email's key outlives its sending: the caller may ask again until then."""
    last = max((draft.send_at for draft in drafts if draft.send_at is not None), default=now)
    return Once(once.route, once.key, once.request_hash, once.keep + max(last - now, timedelta()))


def _object(draft: Draft, user_id: UUID, around: Surroundings) -> list[Objection]:
    found = list(draft.objections)
    item, now, send_at, expires_at = draft.item, around.now, draft.send_at, draft.expires_at
    terms = around.terms(user_id, draft.email_type)
    if terms is None:
        found.append(
            Objection(
                item, ("email_type",), "undeclared_type", f"no email type {draft.email_type!r} is declared"
            )
        )
    elif terms.marketing and len(draft.envelope.recipients) > 1:
        found.extend(_one_recipient(draft))
    if send_at is not None and send_at <= now:
        found.append(Objection(item, ("send_at",), "in_the_past", "send_at lies in the past"))
    if send_at is not None and send_at > now + HORIZON:
        found.append(Objection(item, ("send_at",), "too_far_ahead", "send_at is more than a year ahead"))
    if expires_at is not None and expires_at <= now:
        found.append(Objection(item, ("expires_at",), "in_the_past", "expires_at lies in the past"))
    for wish, names in (("pinned", draft.wishes.pinned), ("excluded", draft.wishes.excluded)):
        found.extend(
            Objection(item, ("routing", wish), "unknown_provider", f"there is no provider {name!r}")
            for name in sorted(names)
            if not around.has_provider(user_id, name)
        )
    return found


def _one_recipient(draft: Draft) -> Iterator[Objection]:
    """Each recipient of marketing may leave by a link of their own, and sees nobody else's address."""
    for kind in RecipientKind:
        if len(draft.envelope.of(kind)) > (kind is RecipientKind.TO):
            yield Objection(
                draft.item,
                (kind.value,),
                "one_recipient",
                "marketing goes to one recipient each: make a batch of it",
            )


def _submission(draft: Draft, id: UUID, sender: Sender, around: Surroundings) -> Submission:
    terms = around.terms(sender.user_id, draft.email_type)
    assert terms is not None  # or it would have been objected to
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
