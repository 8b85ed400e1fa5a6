"""Who is not written to any more: events fill the list, and it is looked at again when an email is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from db.repositories.suppressions import Entry
from domain.events import BounceClass, EventType, InboundEvent, RejectReason
from domain.message import Address, Envelope, OnUnknown, Recipient, RecipientKind, Submission
from domain.suppression import Cause
from providers.memory import Answer
from tests.builders import USER, a_submission
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_events import apply, event, sent, tell

ADA, BOB = "ada@example.com", "bob@example.com"
DAY = 86_400


def entries(house: House) -> list[tuple[str, str, str]]:
    return [(e.address, e.scope, e.cause) for e in house.all("SELECT * FROM suppressions ORDER BY id")]


def stop(house: House, address: str = ADA, scope: str = "all", **more: Any) -> int:
    with house.units() as unit:
        added = unit.suppressions.add([Entry(USER, address, scope, Cause.MANUAL, "test", **more)])
        unit.commit()
    return added


def to(*people: str, **more: Any) -> Submission:
    """An email: the first in To, the second in Cc, the third in Bcc."""
    kinds = (RecipientKind.TO, RecipientKind.CC, RecipientKind.BCC)
    recipients = tuple(Recipient(Address(a), kind) for a, kind in zip(people, kinds, strict=False))
    return replace(a_submission(**more), envelope=Envelope(Address("shop@news.example"), recipients))


# From a refusal


@pytest.mark.parametrize(
    ("kind", "scope"), [("transactional", "type:transactional"), ("marketing", "marketing")]
)
def test_whom_a_provider_refuses_by_its_list_is_on_ours(house: House, kind: str, scope: str) -> None:
    """Postmark's 406: it does not say for what, so that only emails of the same kind stop."""
    house.provider("one", answer=Answer.RECIPIENT_SUPPRESSED)
    other = house.provider("two", cost="1")
    (job,) = house.accept(to(ADA, BOB, email_type=kind))
    house.drain()
    assert house.job(job).status == "suppressed"
    assert entries(house) == [(ADA, scope, "provider"), (BOB, scope, "provider")]
    assert not other.sent


# From events


@pytest.mark.parametrize(
    ("kind", "more", "found"),
    [
        (EventType.BOUNCED, {"bounce": BounceClass.HARD}, [(ADA, "all", "hard_bounce")]),
        (EventType.COMPLAINED, {}, [(ADA, "type:transactional", "complaint")]),
        (EventType.UNSUBSCRIBED, {}, [(ADA, "marketing", "unsubscribed")]),
        (EventType.REJECTED, {"reject_reason": RejectReason.BOUNCED}, [(ADA, "all", "provider")]),
        (EventType.BOUNCED, {"bounce": BounceClass.HARD, "reject_reason": RejectReason.BLOCKED}, []),
        (EventType.DELIVERED, {}, []),
    ],
)
def test_events_fill_the_list(
    house: House, kind: EventType, more: dict[str, Any], found: list[tuple[str, str, str]]
) -> None:
    _, attempt = sent(house)
    tell(house, "one", event(kind, attempt, **more))
    apply(house)
    assert entries(house) == found


@pytest.mark.parametrize("named", ["@", "no-at-sign", "x\u2028y@", "stranger@example.org"])
def test_only_those_who_were_written_to_get_on_the_list(house: House, named: str) -> None:
    _, alone = sent(house)
    (job,) = house.accept(to(ADA, BOB))
    house.drain()
    for attempt in (alone, house.ledger(job)[0].id):
        tell(
            house, "one", replace(event(EventType.BOUNCED, attempt, bounce=BounceClass.HARD), recipient=named)
        )
    apply(house)
    assert entries(house) == [(ADA, "all", "hard_bounce")], "of the one email that had one recipient"


def soft_bounce(house: House) -> None:
    _, attempt = sent(house)
    tell(house, "one", event(EventType.BOUNCED, attempt, bounce=BounceClass.SOFT))
    apply(house)


def test_three_soft_bounces_in_seven_days_stop_an_address_for_seven(house: House) -> None:
    for _ in range(2):
        soft_bounce(house)
        assert entries(house) == []
        house.pass_time(DAY)
    soft_bounce(house)
    assert entries(house) == [(ADA, "all", "soft_bounces")]
    row = house.one("SELECT expires_at - mm_now() AS still FROM suppressions")
    assert 6.9 * DAY < row.still.total_seconds() <= 7 * DAY
    stopped, _ = house.accept(to(ADA), to(BOB))
    house.drain()
    assert house.job(stopped).status == "suppressed"
    house.pass_time(7 * DAY)
    (free,) = house.accept(to(ADA))
    house.drain()
    assert house.job(free).status == "sent"


def test_soft_bounces_that_are_far_apart_are_counted_anew(house: House) -> None:
    for _ in range(4):
        soft_bounce(house)
        house.pass_time(4 * DAY)
    assert entries(house) == []


def test_a_repeated_event_is_counted_once(house: House) -> None:
    _, attempt = sent(house)
    account = house.one("SELECT id FROM providers").id
    bounce = event(EventType.BOUNCED, attempt, bounce=BounceClass.SOFT)
    for _ in range(3):
        with house.units() as unit:
            unit.inbound.keep([(account, InboundEvent("same", bounce, "{}"))])
            unit.commit()
        apply(house)
    assert house.one("SELECT strikes FROM soft_bounces").strikes == 1


def test_an_entry_for_good_is_not_shortened(house: House) -> None:
    assert stop(house) == 1
    now = house.one("SELECT mm_now() AS now").now
    assert stop(house, expires_at=now) == 0
    assert house.one("SELECT expires_at FROM suppressions").expires_at is None


# When an email is sent


def test_somebody_who_leaves_while_an_email_waits_does_not_get_it(house: House) -> None:
    provider = house.provider("one")
    (job,) = house.accept(to(ADA))
    stop(house)
    house.drain()
    assert (house.job(job).status, house.timeline(job)[-1]) == ("suppressed", "suppressed")
    assert "manual" in house.job(job).status_reason
    assert house.ledger(job) == []
    assert list(provider.sent) == []


def test_the_others_get_it(house: House) -> None:
    provider = house.provider("one")
    (job,) = house.accept(to(ADA, BOB.upper(), "eve@example.com"))
    stop(house, BOB)
    house.drain()
    (taken,) = provider.sent
    assert [r.address.email for r in taken.submission.envelope.recipients] == [ADA, "eve@example.com"]
    envelope = house.one("SELECT envelope FROM email_jobs WHERE id = :id", id=job).envelope
    assert [r["email"] for r in envelope["recipients"]] == [ADA, "eve@example.com"]
    left_out = [(r["email"], r["kind"], r["cause"]) for r in envelope["left_out"]]
    assert left_out == [(BOB.upper(), "cc", "manual")]
    assert house.job(job).status == "sent"


@pytest.mark.parametrize(
    ("scope", "status"),
    [("marketing", "sent"), ("type:other", "sent"), ("type:transactional", "suppressed")],
)
def test_only_what_the_scope_says_is_stopped(house: House, scope: str, status: str) -> None:
    house.provider("one")
    (job,) = house.accept(to(ADA))
    stop(house, scope=scope)
    house.drain()
    assert house.job(job).status == status


def test_anothers_list_stops_nothing(house: House) -> None:
    house.provider("one")
    (job,) = house.accept(to(ADA))
    stop(house)
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'o@x', '-')"
        )
        connection.exec_driver_sql(
            "UPDATE suppressions SET user_id = (SELECT id FROM users WHERE email = 'o@x')"
        )
    house.drain()
    assert house.job(job).status == "sent"


def test_one_that_may_have_been_sent_stays_unknown_and_is_not_sent_again(house: House) -> None:
    house.provider("one", answer=Answer.UNKNOWN)
    (job,) = house.accept(to(ADA, on_unknown=OnUnknown.RESEND))
    house.drain()
    assert house.job(job).status == "unknown"
    stop(house)
    house.pass_time(100)
    house.drain()
    assert house.job(job).status == "unknown"
    assert len(house.ledger(job)) == 1
    assert "suppression list" in house.job(job).status_reason
