"""What the ledger and providers' events make of an email: one reading, whatever their order and repeats."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attempt import Outcome
from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason
from domain.lifecycle import Fate, Status, fold

ADA, BOB = "Ada@example.com", "bob@example.com"
FIRST, SECOND = UUID(int=1), UUID(int=2)
HARD, SOFT = BounceClass.HARD, BounceClass.SOFT

events = st.builds(
    DeliveryEvent,
    type=st.sampled_from(EventType),
    recipient=st.sampled_from([ADA, "ada@EXAMPLE.com", BOB, "stranger@example.com", None]),
    bounce=st.sampled_from([HARD, SOFT]),
    reject_reason=st.one_of(st.none(), st.sampled_from(RejectReason)),
    partly=st.booleans(),
)
told = st.lists(st.tuples(st.sampled_from([FIRST, SECOND]), events), max_size=8)
ledgers = st.fixed_dictionaries(
    {FIRST: st.sampled_from([None, *Outcome]), SECOND: st.sampled_from([None, *Outcome])}
)
people = st.sampled_from([(ADA,), (ADA, BOB), (BOB, ADA, "carol@example.com")])


@given(people, ledgers, told, st.randoms(use_true_random=False))
def test_neither_order_nor_repeats_matter(recipients, ledger, news, chance: random.Random):
    shuffled = [*news, *(chance.choice(news) for _ in range(3))] if news else []
    chance.shuffle(shuffled)
    turned = dict(reversed(ledger.items()))
    assert fold(recipients, turned, shuffled) == fold(recipients, ledger, news)


@given(people, st.sampled_from([*Outcome]), told)
def test_a_late_event_of_one_attempt_never_worsens_another_that_was_delivered(recipients, first, news):
    """Whatever comes of the first: what the second delivered stays delivered, unless somebody complains."""
    late = [(FIRST, event) for _, event in news if event.type is not EventType.COMPLAINED]
    good = [(SECOND, DeliveryEvent(EventType.DELIVERED, recipient=r)) for r in recipients]
    standing = fold(recipients, {FIRST: first, SECOND: Outcome.ACCEPTED}, [*late, *good])
    assert {fate.status for fate in standing.recipients} == {Status.DELIVERED}


@given(people, ledgers, told)
def test_what_a_provider_says_of_an_attempt_settles_that_attempt_only(recipients, ledger, news):
    of_first = [(a, e) for a, e in news if a == FIRST]
    assert fold(recipients, ledger, of_first).outcomes[SECOND] is ledger[SECOND]


@given(people, ledgers)
def test_without_events_the_ledger_speaks(recipients, ledger):
    standing = fold(recipients, ledger, [])
    taken = Outcome.ACCEPTED in ledger.values()
    assert standing.status is (Status.SENT if taken else None)
    assert standing.outcomes == ledger


def of_one(
    *happened: tuple[EventType, BounceClass | None], outcome: Outcome | None = Outcome.ACCEPTED
) -> Fate:
    news = [(FIRST, DeliveryEvent(kind, recipient=ADA, bounce=bounce)) for kind, bounce in happened]
    standing = fold([ADA], {FIRST: outcome}, news)
    assert standing.status is standing.recipients[0].status
    return standing.recipients[0]


@pytest.mark.parametrize(
    ("happened", "status", "bounce"),
    [
        ([(EventType.QUEUED, None)], Status.SENT, None),
        ([(EventType.DEFERRED, None)], Status.SENT, None),
        ([(EventType.DEFERRED, None), (EventType.DELIVERED, None)], Status.DELIVERED, None),
        ([(EventType.OPENED, None)], Status.DELIVERED, None),
        ([(EventType.BOUNCED, HARD), (EventType.DELIVERED, None)], Status.BOUNCED, HARD),
        ([(EventType.BOUNCED, SOFT), (EventType.BOUNCED, HARD)], Status.BOUNCED, HARD),
        ([(EventType.COMPLAINED, None), (EventType.BOUNCED, HARD)], Status.COMPLAINED, None),
        ([(EventType.UNSUBSCRIBED, None)], Status.SENT, None),
        ([(EventType.UNKNOWN, None)], Status.SENT, None),
        ([(EventType.FAILED, None)], Status.FAILED, None),
    ],
)
def test_one_recipient(happened, status, bounce):
    assert of_one(*happened) == Fate(status, bounce)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (EventType.QUEUED, Outcome.ACCEPTED),
        (EventType.DELIVERED, Outcome.ACCEPTED),
        (EventType.DEFERRED, Outcome.ACCEPTED),
        (EventType.REJECTED, Outcome.NOT_SENT),
        (EventType.FAILED, Outcome.NOT_SENT),
        (EventType.UNSUBSCRIBED, Outcome.UNKNOWN),
        (EventType.UNKNOWN, Outcome.UNKNOWN),
    ],
)
def test_evidence_settles_what_was_unknown(kind, outcome):
    standing = fold([ADA], {FIRST: Outcome.UNKNOWN}, [(FIRST, DeliveryEvent(kind, recipient=ADA))])
    assert standing.outcomes[FIRST] is outcome


def test_a_refusal_of_some_recipients_does_not_say_that_nothing_was_sent():
    dropped = (FIRST, DeliveryEvent(EventType.REJECTED, recipient=ADA, reject_reason=RejectReason.BOUNCED))
    standing = fold([ADA, BOB], {FIRST: Outcome.UNKNOWN}, [dropped])
    assert standing.outcomes[FIRST] is Outcome.UNKNOWN
    both = (FIRST, DeliveryEvent(EventType.REJECTED, recipient=BOB))
    assert fold([ADA, BOB], {FIRST: Outcome.UNKNOWN}, [dropped, both]).outcomes[FIRST] is Outcome.NOT_SENT


def test_an_event_that_does_not_say_of_whom_it_is_leaves_the_recipients_unresolved():
    standing = fold(
        [ADA, BOB], {FIRST: Outcome.ACCEPTED}, [(FIRST, DeliveryEvent(EventType.BOUNCED, bounce=SOFT))]
    )
    assert standing.status is Status.BOUNCED
    assert standing.recipients == (Fate(None), Fate(None))
    known = (FIRST, DeliveryEvent(EventType.DELIVERED, recipient=BOB))
    standing = fold(
        [ADA, BOB], {FIRST: Outcome.ACCEPTED}, [(FIRST, DeliveryEvent(EventType.BOUNCED, bounce=SOFT)), known]
    )
    assert standing.recipients == (Fate(None), Fate(Status.DELIVERED))


def test_a_refusal_of_somebody_unnamed_leaves_open_who_is_not_named_as_taken():
    accepted = {FIRST: Outcome.ACCEPTED}
    some = (FIRST, DeliveryEvent(EventType.REJECTED, partly=True))
    standing = fold([ADA, BOB], accepted, [some])
    assert (standing.status, standing.recipients) == (Status.SENT, (Fate(None), Fate(None)))
    taken = (FIRST, DeliveryEvent(EventType.SENT, recipient=BOB))
    standing = fold([ADA, BOB], accepted, [some, taken])
    assert (standing.status, standing.recipients) == (Status.SENT, (Fate(None), Fate(Status.SENT)))
    news = [(FIRST, DeliveryEvent(EventType.DELIVERED, recipient=r)) for r in (ADA, BOB)]
    standing = fold([ADA, BOB], accepted, [some, news[0]])
    assert (standing.status, standing.recipients) == (Status.SENT, (Fate(Status.DELIVERED), Fate(None)))
    assert fold([ADA, BOB], accepted, [some, *news]).status is Status.DELIVERED
    assert fold([ADA], {FIRST: Outcome.UNKNOWN}, [some]).outcomes[FIRST] is Outcome.UNKNOWN


def test_an_address_with_space_around_it_is_the_same():
    """As a refusal's is compared with the recipients when it is stored."""
    refused = (FIRST, DeliveryEvent(EventType.REJECTED, recipient=f" {BOB.upper()}\r\n"))
    standing = fold([ADA, BOB], {FIRST: Outcome.ACCEPTED}, [refused])
    assert standing.recipients == (Fate(Status.SENT), Fate(Status.FAILED))


def test_the_email_is_what_somebody_should_look_at():
    delivered = (FIRST, DeliveryEvent(EventType.DELIVERED, recipient=ADA))
    bounced = (FIRST, DeliveryEvent(EventType.BOUNCED, recipient=BOB, bounce=HARD))
    accepted = {FIRST: Outcome.ACCEPTED}
    assert fold([ADA, BOB], accepted, [delivered]).status is Status.SENT
    assert fold([ADA, BOB], accepted, [delivered, bounced]).status is Status.BOUNCED
    spam = DeliveryEvent(EventType.REJECTED, recipient=BOB, reject_reason=RejectReason.SPAM)
    assert fold([ADA, BOB], accepted, [delivered, (FIRST, spam)]).status is Status.DELIVERED
    assert fold([BOB], accepted, [(FIRST, spam)]).status is Status.SUPPRESSED
    listed = DeliveryEvent(EventType.REJECTED, recipient=BOB, reject_reason=RejectReason.BLOCKED, listed=True)
    assert fold([BOB], accepted, [(FIRST, listed)]).status is Status.SUPPRESSED
