"""Applying providers' events on a real database: early ones wait, evidence settles doubts, strangers are left."""

from __future__ import annotations

import random
import threading
from typing import Any
from uuid import UUID

import pytest
import structlog

from domain.attempt import Outcome, SendResult
from domain.events import BounceClass, DeliveryEvent, EventType, InboundEvent, RejectReason
from domain.lifecycle import fold
from domain.message import Submission
from providers.memory import Answer, MemoryProvider
from providers.partial import taken_but_for
from tests.builders import a_submission, new_id
from tests.integration.delivery.conftest import House
from workers.inbound import UNMATCHED_AFTER, apply_events

LOG = structlog.get_logger("test")


def tell(house: House, provider: str, *events: DeliveryEvent) -> None:
    """What the webhook stores."""
    account = house.one("SELECT id FROM providers WHERE name = :name", name=provider).id
    with house.units() as unit:
        unit.inbound.keep([(account, InboundEvent(str(new_id()), event, "{}")) for event in events])
        unit.commit()


def apply(house: House) -> float | None:
    return apply_events(house.units, house.bell, house.clock, LOG)


def sent(
    house: House, answer: Answer = Answer.ACCEPTED, provider: str = "one", **more: Any
) -> tuple[UUID, UUID]:
    """An email after its first try, and that attempt's id."""
    if not house.all("SELECT 1 FROM providers WHERE name = :name", name=provider):
        house.provider(provider, answer=answer)
    (job,) = house.accept(a_submission(**more))
    house.drain()
    return job, house.ledger(job)[0].id


def event(kind: EventType, attempt: UUID | None = None, **more: Any) -> DeliveryEvent:
    return DeliveryEvent(kind, attempt_id=attempt, recipient="ada@example.com", **more)


def states(house: House) -> list[str]:
    return [row.state for row in house.all("SELECT state FROM inbound_events ORDER BY id")]


def test_an_event_is_applied_by_our_attempt_id(house: House) -> None:
    job, attempt = sent(house)
    tell(
        house,
        "one",
        event(EventType.BOUNCED, attempt, bounce=BounceClass.HARD, mta_response="550 no such user"),
    )
    assert apply(house) is None
    assert (house.job(job).status, house.job(job).status_reason) == ("bounced", "550 no such user")
    assert house.timeline(job)[-1] == "bounced"
    line = house.one(
        "SELECT detail FROM email_status WHERE email_job_id = :id AND detail IS NOT NULL", id=job
    )
    assert line.detail == {"event": "bounced", "bounce": "hard", "recipient": "ada@example.com"}


def test_an_event_is_applied_by_the_providers_message_id(house: House) -> None:
    job, attempt = sent(house)
    tell(house, "one", event(EventType.DELIVERED, provider_message_id=f"memory-{attempt}"))
    apply(house)
    assert house.job(job).status == "delivered"


class Choosy(MemoryProvider):
    """Takes an email, but for one recipient whom it lists."""

    def send(self, submission: Submission, attempt_id: UUID) -> SendResult:
        super().send(submission, attempt_id)
        refused = [("bob@example.com", RejectReason.BLOCKED)]
        return taken_but_for(f"choosy-{attempt_id}", refused, "one is suppressed", listed=True)


def test_whom_the_answer_to_the_send_refuses_is_refused_and_the_email_is_sent(house: House) -> None:
    house.provider("choosy")
    house.adapters["choosy"] = Choosy("choosy")
    (job,) = house.accept(a_submission(to=("ada@example.com", "bob@example.com")))
    house.drain()
    apply(house)
    (attempt,) = house.ledger(job)
    assert (attempt.outcome, attempt.error) == (Outcome.ACCEPTED, None)
    assert house.job(job).status == "sent"
    with house.units() as unit:
        dossier = unit.inbound.hold([job])[job]
    standing = fold(dossier.recipients, dossier.attempts, dossier.events)
    fates = dict(zip(dossier.recipients, standing.recipients, strict=True))
    assert (fates["ada@example.com"].status, fates["bob@example.com"].status) == ("sent", "suppressed")
    listed = house.all("SELECT address, cause FROM suppressions")
    assert [(row.address, row.cause) for row in listed] == [("bob@example.com", "provider")]


class Vague(MemoryProvider):
    """Takes an email, but for somebody whom it does not name, and gives the email no name either."""

    def __init__(self, name: str, refused: list[str]) -> None:
        super().__init__(name)
        self.refused = [(address, RejectReason.BLOCKED) for address in refused]

    def send(self, submission: Submission, attempt_id: UUID) -> SendResult:
        super().send(submission, attempt_id)
        return taken_but_for(None, self.refused, "one is suppressed", others=not self.refused)


@pytest.mark.parametrize("refused", [[], ["B. Somebody"]])
def test_who_may_have_been_refused_is_unresolved(house: House, refused: list[str]) -> None:
    """Also where the answer names the refused in words that are none of the addresses."""
    house.provider("vague")
    house.adapters["vague"] = Vague("vague", refused)
    jobs = house.accept(*[a_submission(to=("ada@example.com", "bob@example.com")) for _ in range(2)])
    house.drain()
    apply(house)
    assert states(house) == ["applied", "applied"]
    for job in jobs:
        assert house.job(job).status == "sent"
        with house.units() as unit:
            dossier = unit.inbound.hold([job])[job]
        standing = fold(dossier.recipients, dossier.attempts, dossier.events)
        assert [fate.status for fate in standing.recipients] == [None, None]


def test_nobody_elses_webhook_speaks_of_an_email(house: House) -> None:
    job, attempt = sent(house)
    house.provider("other")
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE providers SET user_id = (SELECT id FROM users LIMIT 1) WHERE name = 'other'"
        )
    tell(house, "other", event(EventType.BOUNCED, attempt, provider_message_id=f"memory-{attempt}"))
    apply(house)
    assert house.job(job).status == "sent"
    assert states(house) == ["waiting"]


def test_another_account_of_the_same_owner_may_speak_of_it(house: House) -> None:
    """One account at the provider may stand here twice, with two keys and one webhook."""
    job, attempt = sent(house)
    house.provider("again")
    tell(house, "again", event(EventType.DELIVERED, attempt))
    apply(house)
    assert house.job(job).status == "delivered"


def test_an_event_that_comes_before_the_end_of_its_attempt_waits(house: House) -> None:
    job, attempt = sent(house)
    house.all("SELECT 1")
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE delivery_attempts SET outcome = NULL, settled_at = NULL")
    tell(house, "one", event(EventType.DELIVERED, attempt))
    assert apply(house) is not None
    assert (house.job(job).status, states(house)) == ("sent", ["waiting"])
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE delivery_attempts SET outcome = 'accepted', settled_at = mm_now()")
    house.pass_time(1)
    assert apply(house) is None
    assert house.job(job).status == "delivered"


def test_an_event_of_an_unknown_message_is_looked_at_for_a_while_and_then_left(house: House) -> None:
    house.provider("one")
    tell(house, "one", event(EventType.DELIVERED, provider_message_id="nobody's"))
    due = apply(house)
    assert due is not None
    assert 0 < due <= 0.5
    house.pass_time(1)
    apply(house)
    assert house.one("SELECT tries FROM inbound_events").tries == 2
    house.pass_time(UNMATCHED_AFTER)
    assert apply(house) is None
    assert states(house) == ["unmatched"]


@pytest.mark.parametrize("kind", [EventType.DELIVERED, EventType.QUEUED, EventType.BOUNCED])
def test_evidence_settles_a_doubt_and_nothing_is_sent_again(house: House, kind: EventType) -> None:
    job, attempt = sent(house, Answer.TAKEN_BUT_UNKNOWN)
    assert house.job(job).status == "unknown"
    tell(house, "one", event(kind, attempt, provider_message_id="m-7"))
    apply(house)
    assert house.job(job).status == {"queued": "sent"}.get(kind.value, kind.value)
    assert house.queued(job) is None
    (line,) = house.ledger(job)
    assert (line.outcome, line.error, line.provider_message_id) == ("accepted", None, "m-7")
    house.pass_time(2000)
    house.drain()
    assert len(house.adapters["one"].calls) == 1


def test_what_a_provider_says_it_did_not_send_is_tried_again(house: House) -> None:
    house.provider("one", "0.0001", {"daily_quota": 10}, answer=Answer.UNKNOWN)
    other = house.provider("two", "0.0002")
    job, attempt = sent(house)
    used = "SELECT used_today FROM provider_quota"
    assert house.one(used).used_today == 1
    tell(house, "one", event(EventType.REJECTED, attempt, reject_reason=RejectReason.BLOCKED))
    apply(house)
    assert house.job(job).status == "deferred"
    assert house.one(used).used_today == 0, "what was not sent is given back"
    house.drain()
    assert house.job(job).status == "sent"
    assert len(other.sent) == 1
    assert [line.outcome for line in house.ledger(job)] == ["not_sent", "accepted"]


def test_a_refused_recipient_is_refused_by_all(house: House) -> None:
    house.provider("two", "0.0009")
    job, attempt = sent(house, Answer.UNKNOWN)
    tell(house, "one", event(EventType.REJECTED, attempt, reject_reason=RejectReason.UNSUBSCRIBED))
    apply(house)
    assert (house.job(job).status, house.queued(job)) == ("failed", None)


def test_a_doubt_that_is_final_is_settled_all_the_same(house: House) -> None:
    job, attempt = sent(house, Answer.TAKEN_BUT_UNKNOWN)
    house.pass_time(1001)
    house.drain()
    assert (house.job(job).status, house.queued(job)) == ("unknown", None)
    tell(house, "one", event(EventType.DELIVERED, attempt))
    apply(house)
    assert house.job(job).status == "delivered"


def test_an_email_that_a_worker_holds_is_left_to_it(house: House) -> None:
    job, attempt = sent(house, Answer.TAKEN_BUT_UNKNOWN)
    run = house.run()
    with house.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE email_queue SET run = '{run.id}', token = 1")
    tell(house, "one", event(EventType.DELIVERED, attempt))
    due = apply(house)
    assert due is not None
    assert house.job(job).status == "unknown"
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE email_queue SET run = NULL, token = NULL")
    house.pass_time(1)
    apply(house)
    assert house.job(job).status == "delivered"


def test_any_order_and_any_number_of_appliers_make_the_same(house: House) -> None:
    """Events of many emails, repeated and shuffled, applied by several workers at once and while others deliver."""
    jobs = [sent(house) for _ in range(20)]
    story = [
        (EventType.QUEUED, None), (EventType.DEFERRED, None), (EventType.DELIVERED, None),
        (EventType.BOUNCED, BounceClass.SOFT), (EventType.BOUNCED, BounceClass.HARD), (EventType.OPENED, None),
    ]  # fmt: skip
    told = [
        event(kind, attempt, bounce=bounce) for _, attempt in jobs for kind, bounce in story for _ in range(2)
    ]
    random.Random(7).shuffle(told)
    errors: list[BaseException] = []
    stop = threading.Event()

    def work(step: Any) -> None:
        try:
            while not stop.is_set():
                step()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    more = house.accept(*(a_submission() for _ in range(100)))
    threads = [threading.Thread(target=work, args=(lambda: apply(house),)) for _ in range(3)]
    threads.append(threading.Thread(target=work, args=(lambda: house.drain(),)))
    for thread in threads:
        thread.start()
    for place in range(0, len(told), 16):
        tell(house, "one", *told[place : place + 16])
    for _ in range(200):
        waiting = house.one("SELECT count(*) AS n FROM inbound_events WHERE state = 'waiting'").n
        if waiting == 0 and all(house.job(job).status == "sent" for job in more):
            break
        stop.wait(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert waiting == 0
    assert {house.job(job).status for job, _ in jobs} == {"bounced"}
    assert {row.outcome for job, _ in jobs for row in house.ledger(job)} == {Outcome.ACCEPTED.value}


def test_events_are_applied_for_two_seconds_at_a_time_and_the_rest_is_due(house: House) -> None:
    """The worker that does it may be the one that an OTP waits for."""
    _, attempt = sent(house)
    tell(house, "one", *(event(EventType.OPENED, attempt) for _ in range(700)))
    began = house.clock.monotonic()

    def slow_units() -> Any:
        house.clock.move(0.9)
        return house.units()

    due_in = apply_events(slow_units, house.bell, house.clock, LOG)
    assert house.clock.monotonic() - began < 10
    assert due_in is not None
    assert due_in <= 0
    assert 200 <= states(house).count("applied") < 700
