"""Accepting emails: the one way in, whatever protocol brought them. Knows ports only."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from api.keeping import Book, Result
from domain.intake import (
    Accepted,
    Draft,
    Entry,
    Handover,
    HouseRules,
    Objection,
    Receipt,
    Refused,
    Sender,
    SenderGone,
    Surroundings,
)
from domain.lifecycle import Status
from domain.message import Lane, RecipientKind, Submission
from domain.ports import DeliveryQueue, IntakeWork
from domain.sender_domains import lineage
from domain.suppression import LeftOut, normalized, stopped_by, without
from domain.tracking import resolved
from domain.unsubscribe import (
    HEADERS,
    PLACEHOLDER,
    asks_for_link,
    has_way_out,
    headers_of,
    link_in,
    token_of,
)

HORIZON = timedelta(days=366)  # how far ahead an email may be scheduled: a year, leap years included
_NO_LINK = (
    f"{PLACEHOLDER} is of marketing where MAILMUX_PUBLIC_URL is set, or of emails whose own List-Unsubscribe has a web "
    "address"
)
_NO_WAY_OUT = (
    "recipients of marketing must be able to leave: give a List-Unsubscribe header with <https://…> or <mailto:…>, or "
    "have MAILMUX_PUBLIC_URL set, for links of the service's own"
)

_NO_ID = UUID(int=0)

log = logging.getLogger(__name__)


def accept(
    units: Callable[[], IntakeWork],
    queue: DeliveryQueue,
    ids: Callable[[], UUID],
    handovers: Sequence[Handover],
    rules: HouseRules,
) -> list[Result]:
    """Take over the emails of several requests in one transaction; one request is a group of one.

    A result for each: where it is a Receipt its emails are committed, and will be delivered or accounted for.
    All emails of a request are accepted, or none. A request that carries `once` and was answered before gets the
    same answer again, and nothing is accepted twice. Marketing bears a link to unsubscribe by: one of the sender's,
    else ours, where the rules say under which address people reach us; without either it is refused.

    Raises domain.intake.KeyInFlight, where nothing of the group was accepted, and StorageUnavailable: then the
    callers cannot know, and ask again with the same keys.
    """
    with units() as unit:
        around = _survey(unit, handovers, rules)
        stops = _stops(unit, handovers, around)
        answers = [
            [Accepted(ids(), _first_status(d, around.now, stops.get(id(d), ())), d.item) for d in h.drafts]
            for h in handovers
        ]
        book = Book(unit.intake, around.now)
        wrong = _objections(handovers, answers, around, book)
        results: list[Result | None] = [
            _result(h.sender, found, around) for h, found in zip(handovers, wrong, strict=True)
        ]
        book.requests(handovers, answers, results)
        entries = [
            _entry(draft, email, h.sender, around, stops.get(id(draft), ()))
            for h, answer, result in zip(handovers, answers, results, strict=True)
            if result is None
            for draft, email in zip(h.drafts, answer, strict=True)
            if not email.replayed
        ]
        if entries:
            unit.intake.add(_spread(unit, entries, around))
        if None in results:
            unit.commit()
    _ring(queue, {e.submission.lane for e in entries if e.status is Status.QUEUED})
    return [result or Receipt(tuple(answer)) for result, answer in zip(results, answers, strict=True)]


def review(unit: IntakeWork, sender: Sender, drafts: Sequence[Draft], rules: HouseRules) -> list[Objection]:
    """Say what `accept` would object to, writing nothing."""
    asked = [Handover(sender, drafts)]
    around = _survey(unit, asked, rules)
    # The unit is left without a commit, and what the book has kept with it.
    nobody = [[Accepted(_NO_ID, Status.QUEUED, draft.item) for draft in drafts]]
    return list(_objections(asked, nobody, around, Book(unit.intake, around.now))[0])


def draw_up(
    unit: IntakeWork, asked: Handover, ids: Callable[[], UUID], rules: HouseRules
) -> tuple[Result | list[tuple[Submission, Status] | Accepted | Sequence[Objection]], datetime]:
    """What `accept` would answer to a request that was answered before, that uses another's key, or whose sender is
    gone; else, for each of its emails, the email as it would be taken over with its status, the one that was accepted
    before under its entry's key, or what would be objected to. And the time.

    Writes nothing as long as the unit is left without a commit: until then it holds the request's keys. Raises
    KeyInFlight.
    """
    around = _survey(unit, [asked], rules)
    stops = _stops(unit, [asked], around)
    answers = [
        Accepted(ids(), _first_status(d, around.now, stops.get(id(d), ())), d.item) for d in asked.drafts
    ]
    book = Book(unit.intake, around.now)
    wrong = _objections([asked], [answers], around, book)[0]
    results = [_result(asked.sender, wrong, around)]
    book.requests([asked], [answers], results)
    if results[0] is not None and not isinstance(results[0], Refused):
        return results[0], around.now
    drawn: list[tuple[Submission, Status] | Accepted | Sequence[Objection]] = []
    for draft, email in zip(asked.drafts, answers, strict=True):
        if email.replayed:
            drawn.append(email)
        elif objections := [o for o in wrong if o.item == draft.item]:
            drawn.append(objections)
        else:
            entry = _entry(draft, email, asked.sender, around, stops.get(id(draft), ()))
            drawn.append((entry.submission, entry.status))
    return drawn, around.now


def _survey(unit: IntakeWork, handovers: Sequence[Handover], rules: HouseRules) -> Surroundings:
    drafts = [draft for h in handovers for draft in h.drafts]
    found = unit.intake.survey(
        {h.sender for h in handovers},
        {draft.email_type for draft in drafts},
        {name for draft in drafts for name in draft.wishes.pinned | draft.wishes.excluded},
        {draft.campaign_id for draft in drafts if draft.campaign_id is not None},
        {name for domain in {d.envelope.sender.domain for d in drafts} for name in lineage(domain)},
        {draft.wishes.residency for draft in drafts if draft.wishes.residency is not None},
    )
    return replace(found, rules=rules)


def _objections(
    handovers: Sequence[Handover], answers: Sequence[list[Accepted]], around: Surroundings, book: Book
) -> list[list[Objection]]:
    """What is wrong with each request's entries. Those that were accepted before get their places in `answers`, and
    nothing is said against them.
    """
    wrong = book.entries(handovers, answers)
    return [
        [
            o
            for draft, email in zip(h.drafts, answer, strict=True)
            if not email.replayed
            for o in _object(draft, h.sender, around)
        ]
        + list(keys)
        for h, answer, keys in zip(handovers, answers, wrong, strict=True)
    ]


def _result(sender: Sender, wrong: Sequence[Objection], around: Surroundings) -> Result | None:
    if sender.api_key_id is not None and sender.api_key_id not in around.keys:
        return SenderGone()
    return Refused(wrong) if wrong else None


def _stops(
    unit: IntakeWork, handovers: Sequence[Handover], around: Surroundings
) -> dict[int, Sequence[LeftOut]]:
    """By the draft's identity, the recipients who may not be written to."""
    asked = [
        (h.sender, draft) for h in handovers if h.sender.user_id in around.with_lists for draft in h.drafts
    ]
    if not asked:
        return {}
    listed = unit.intake.listed(
        {(s.user_id, normalized(r.address.email)) for s, draft in asked for r in draft.envelope.recipients}
    )
    found: dict[int, Sequence[LeftOut]] = {}
    for sender, draft in asked if listed else ():
        terms = around.terms(sender, draft.email_type)
        marketing = terms is not None and terms.marketing
        causes = (
            (
                r,
                stopped_by(
                    listed.get((sender.user_id, normalized(r.address.email)), ()),
                    draft.email_type,
                    marketing,
                    around.now,
                ),
            )
            for r in draft.envelope.recipients
        )
        if left_out := [LeftOut(r, cause) for r, cause in causes if cause is not None]:
            found[id(draft)] = left_out
    return found


def _entry(
    draft: Draft,
    email: Accepted,
    sender: Sender,
    around: Surroundings,
    left_out: Sequence[LeftOut],
) -> Entry:
    submission = _submission(draft, email.id, sender, around)
    terms = around.terms(sender, draft.email_type)
    if terms is not None and terms.marketing and around.rules.public_url is not None:
        submission = _with_way_out(submission, around.link_secrets[sender.user_id], around.rules.public_url)
    if left_out and email.status is not Status.SUPPRESSED:
        submission = without(submission, {one.recipient for one in left_out})
    return Entry(
        submission,
        email.status,
        sender.api_key_id,
        left_out,
        draft.campaign_id,
        files=draft.files,
        resend_of=draft.resend_of,
    )


def _spread(unit: IntakeWork, entries: Sequence[Entry], around: Surroundings) -> Sequence[Entry]:
    """Give the emails of throttled campaigns their places in time, one after the other.

    Those that are planned for later get theirs when they are due (workers.loading).
    """
    waiting = Counter(
        e.campaign_id for e in entries if e.campaign_id is not None and e.status is Status.QUEUED
    )
    rates = {c: rate for c in waiting if (rate := around.campaigns[c][1]) is not None}
    if not rates:
        return entries
    places = {c: unit.intake.book(c, waiting[c]) for c in sorted(rates)}
    spread = []
    for entry in entries:
        campaign = entry.campaign_id
        if campaign in places and entry.status is Status.QUEUED:
            entry = replace(entry, due_at=places[campaign])
            places[campaign] += timedelta(minutes=1) / rates[campaign]
        spread.append(entry)
    return spread


def _with_way_out(submission: Submission, secret: bytes, public_url: str) -> Submission:
    """RFC 8058's headers, unless the sender has a way out of their own."""
    message = submission.message
    if any(name.lower() == HEADERS[0].lower() for name, _ in message.headers):
        return submission
    (recipient,) = submission.envelope.recipients  # marketing goes to one
    token = token_of(secret, submission.id, recipient.address.email)
    named = {
        name.lower() for name in HEADERS
    }  # each stands once, also where the sender gave the second of them alone
    own = [header for header in message.headers if header[0].lower() not in named]
    headers = (*own, *headers_of(f"{public_url}/u/{token}"))
    return replace(submission, message=replace(message, headers=headers))


def _first_status(draft: Draft, now: datetime, left_out: Sequence[LeftOut] = ()) -> Status:
    if len(left_out) == len(draft.envelope.recipients):
        return Status.SUPPRESSED
    return Status.SCHEDULED if draft.send_at is not None and draft.send_at > now else Status.QUEUED


def _object(draft: Draft, sender: Sender, around: Surroundings) -> list[Objection]:
    found, user_id = list(draft.objections), sender.user_id
    if not sender.limits.may_send_as(draft.envelope.sender.email):
        detail = "the API key may not send from this address"
        found.append(Objection(draft.item, ("from",), "sender_not_allowed", detail))
    domain = draft.envelope.sender.domain
    if not around.may_send_from(sender, domain):
        detail = f"prove that {domain} is yours: declare it at /v1/domains, and put its record into the DNS"
        found.append(Objection(draft.item, ("from",), "sender_domain_not_yours", detail))
    item, now, send_at, expires_at = draft.item, around.now, draft.send_at, draft.expires_at
    terms = around.terms(sender, draft.email_type)
    if terms is None:
        found.append(
            Objection(
                item, ("email_type",), "undeclared_type", f"no email type {draft.email_type!r} is declared"
            )
        )
    elif terms.marketing:
        found.extend(_of_marketing(draft, around))
    if asks_for_link(draft.message) and not (
        link_in(draft.message.headers)
        or (terms is not None and terms.marketing and _bears_link(draft, around))
    ):
        place = "text" if PLACEHOLDER in (draft.message.text or "") else "html"
        found.append(
            Objection(item, ("template" if draft.template else place,), "no_unsubscribe_link", _NO_LINK)
        )
    if draft.campaign_id is not None and around.campaigns.get(draft.campaign_id, (None,))[0] != user_id:
        found.append(
            Objection(
                item, ("campaign_id",), "unknown_campaign", "there is no such campaign, or it was cancelled"
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
            for name in sorted(names)
            if not around.has_provider(sender, name)
        )
    residency = draft.wishes.residency
    if residency is not None and not around.has_region(sender, residency):
        detail = f"no provider says that it is in the region {residency!r}"
        found.append(Objection(item, ("routing", "residency"), "no_provider_there", detail))
    return found


def _bears_link(draft: Draft, around: Surroundings) -> bool:
    """Whether a marketing email gets a link of ours."""
    own = any(name.lower() == HEADERS[0].lower() for name, _ in draft.message.headers)
    return around.rules.public_url is not None and not own


def _of_marketing(draft: Draft, around: Surroundings) -> Iterator[Objection]:
    """Each recipient of marketing may leave by a link of their own, and sees nobody else's address."""
    if not (_bears_link(draft, around) or has_way_out(draft.message.headers)):
        yield Objection(draft.item, ("headers", HEADERS[0]), "no_unsubscribe_link", _NO_WAY_OUT)
    if len(draft.envelope.recipients) == 1:
        return
    for kind in RecipientKind:
        if len(draft.envelope.of(kind)) > (kind is RecipientKind.TO):
            yield Objection(
                draft.item,
                (kind.value,),
                "one_recipient",
                "marketing goes to one recipient each: make a batch of it",
            )


def _submission(draft: Draft, id: UUID, sender: Sender, around: Surroundings) -> Submission:
    terms = around.terms(sender, draft.email_type)
    assert terms is not None  # or it would have been objected to
    base, secret = around.rules.public_url, around.link_secrets.get(sender.user_id)
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
        tracking=resolved(draft.tracking, base, secret, id, html=bool(draft.message.html)),
        wishes=draft.wishes,
        send_at=draft.send_at,
        expires_at=draft.expires_at,
        test=sender.is_test,
    )


def _ring(queue: DeliveryQueue, lanes: set[Lane]) -> None:
    """The emails are committed and the sweeper finds them: no failure here may turn the answer into an error."""
    for lane in sorted(lanes):
        try:
            queue.ring(lane)
        except Exception:
            log.warning("ring failed", extra={"lane": lane.value}, exc_info=True)
