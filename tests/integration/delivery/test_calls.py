"""Calls with several emails, and calls made again: real adapters against the providers' dialects, a real database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog

from domain.message import Lane, OnUnknown, Submission
from domain.ports import Call
from providers import registry
from providers.world import Timeouts, World
from tests.builders import a_submission
from tests.integration.delivery.conftest import House
from tests.integration.sandbox_driver import Driver, running_accounts
from workers.inbound import apply_events
from workers.repeats import repeat_calls

BATCHING = ("postmark", "resend", "mailjet", "mailtrap")
REPEATABLE = ("resend", "brevo")
SHARING = ("sendgrid", "mailgun")  # one call with several recipients, where the account is set so
log = structlog.get_logger("test")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with running_accounts(
        tmp_path_factory.mktemp("sandbox"), *sorted({*BATCHING, *REPEATABLE, *SHARING})
    ) as driver:
        yield driver


@pytest.fixture
def sandbox(shared: Driver) -> Iterator[Driver]:
    shared.clear()
    yield shared
    shared.heal_all()


def connect(house: House, sandbox: Driver, kind: str, **config: Any) -> None:
    """An account of the sandbox's as the house's only provider."""
    house.provider(kind)
    account = sandbox.account(kind)
    world = World(house.clock, lambda: datetime.now(UTC), Timeouts(connect=2, read=2, total=4))
    valid = registry.validate(kind, {"base_url": account["base_url"], **config}, account["credentials"])
    house.adapters[kind] = registry.build(kind, kind, *valid, world)  # type: ignore[assignment]


def newsletters(count: int, lane: Lane = Lane.BULK, **more: Any) -> list[Submission]:
    return [a_submission(to=(f"reader{n}@x.example",), lane=lane, **more) for n in range(count)]


def calls(house: House) -> list[Any]:
    return house.all("SELECT * FROM provider_calls ORDER BY opened_at")


def ask_again(house: House) -> int:
    """What the clock's duty does, and then the applying of events."""
    learnt = repeat_calls(house.units, house.dispatcher.sender.adapter, house.bell, house.clock, log)
    apply_events(house.units, house.bell, house.clock, log)
    return learnt


def statuses(house: House, jobs: list[UUID]) -> list[str]:
    return [house.job(job).status for job in jobs]


# -- several emails in one call ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BATCHING)
def test_bulk_emails_share_a_call_that_is_written_down_with_its_members_in_order(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    jobs = house.accept(*newsletters(5))
    house.drain(Lane.BULK)
    assert statuses(house, jobs) == ["sent"] * 5
    (call,) = calls(house)
    attempts = [house.ledger(job)[0] for job in jobs]
    assert sorted(call.attempt_ids) == sorted(a.id for a in attempts)
    assert len(call.payload_hash) == 32
    received = sandbox.received()
    told = {m["message_id"] for m in received}
    assert len(received) == 5
    assert {a.provider_message_id for a in attempts} == told


@pytest.mark.parametrize("kind", BATCHING)
def test_a_transactional_email_never_shares_a_call(house: House, sandbox: Driver, kind: str) -> None:
    connect(house, sandbox, kind)
    jobs = house.accept(*newsletters(3, Lane.TRANSACTIONAL))
    house.drain(Lane.TRANSACTIONAL)
    assert statuses(house, jobs) == ["sent"] * 3
    assert all(len(call.attempt_ids) == 1 for call in calls(house))


@pytest.mark.parametrize("kind", ["postmark", "mailjet", "mailtrap"])
def test_a_lost_answer_to_a_call_leaves_its_emails_in_doubt_and_sends_none_twice(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    sandbox.fail(kind, "drop", count=1)
    jobs = house.accept(*newsletters(4))
    house.drain(Lane.BULK)
    house.pass_time(120)
    house.drain(Lane.BULK)
    assert statuses(house, jobs) == ["unknown"] * 4
    assert ask_again(house) == 0
    assert len(sandbox.received()) == 4


@pytest.mark.parametrize("kind", SHARING)
def test_a_call_for_several_recipients_is_made_only_where_the_account_is_set_so(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    jobs = house.accept(*newsletters(3))
    house.drain(Lane.BULK)
    assert statuses(house, jobs) == ["sent"] * 3
    assert calls(house) == []


@pytest.mark.parametrize("kind", SHARING)
def test_emails_of_one_content_share_a_call_and_each_recipient_sees_only_himself(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind, shared_calls=True)
    jobs = house.accept(*newsletters(4), *newsletters(1, subject="Another"))
    house.drain(Lane.BULK)
    assert statuses(house, jobs) == ["sent"] * 5
    (call,) = calls(house)
    assert len(call.attempt_ids) == 4
    received = sandbox.received()
    attempts = {str(house.ledger(job)[0].id) for job in jobs}
    assert {m["custom_args"]["mailmux_attempt"] for m in received} == attempts
    assert {m["custom_args"]["mailmux_email"] for m in received} == {str(job) for job in jobs}
    assert all(len(m["to"]) == 1 and not m["cc"] and not m["bcc"] for m in received)


@pytest.mark.parametrize("kind", SHARING)
def test_a_recipient_who_spoils_a_shared_call_spoils_no_other(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind, shared_calls=True)
    sandbox.fail(kind, "reject", count=1)
    jobs = house.accept(*newsletters(4))
    house.drain(Lane.BULK)
    assert statuses(house, jobs) == ["sent"] * 4
    assert len(sandbox.received()) == 4


# -- a call made again ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REPEATABLE)
@pytest.mark.parametrize("on_unknown", OnUnknown)
def test_a_call_whose_answer_was_lost_is_made_again_and_settles_the_email(
    house: House, sandbox: Driver, kind: str, on_unknown: OnUnknown
) -> None:
    connect(house, sandbox, kind)
    sandbox.fail(kind, "drop", count=1)
    (job,) = house.accept(a_submission(on_unknown=on_unknown))
    house.drain()
    assert house.job(job).status == "unknown"
    assert ask_again(house) == 0, "it waits a moment first"
    house.pass_time(6)
    assert ask_again(house) == 1
    assert house.job(job).status == "sent"
    assert house.queued(job) is None
    (attempt,) = house.ledger(job)
    assert attempt.outcome == "accepted"
    assert len(sandbox.received()) == 1
    house.pass_time(600)
    assert ask_again(house) == 0


def test_a_call_of_several_is_made_again_as_a_whole(house: House, sandbox: Driver) -> None:
    connect(house, sandbox, "resend")
    sandbox.fail("resend", "drop", count=1)
    jobs = house.accept(*newsletters(5))
    house.drain(Lane.BULK)
    assert statuses(house, jobs) == ["unknown"] * 5
    house.pass_time(6)
    assert ask_again(house) == 5
    assert statuses(house, jobs) == ["sent"] * 5
    assert len(sandbox.received()) == 5


def test_an_email_that_the_provider_never_got_is_sent_by_the_call_made_again(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "resend")
    sandbox.fail("resend", "bare500", count=1)
    (job,) = house.accept()
    house.drain()
    assert (house.job(job).status, sandbox.received()) == ("unknown", [])
    house.pass_time(6)
    ask_again(house)
    assert house.job(job).status == "sent"
    assert len(sandbox.received()) == 1


def test_a_provider_that_does_not_answer_again_leaves_the_doubt_and_is_asked_later(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "resend")
    sandbox.fail("resend", "drop", count=1)
    (job,) = house.accept()
    house.drain()
    sandbox.fail("resend", "unavailable")
    house.pass_time(6)
    assert ask_again(house) == 0
    assert house.job(job).status == "unknown"
    sandbox.heal("resend")
    assert ask_again(house) == 0, "not at once: the pauses grow"
    house.pass_time(21)
    assert ask_again(house) == 1
    assert house.job(job).status == "sent"
    assert len(sandbox.received()) == 1


@pytest.mark.parametrize("kind", REPEATABLE)
def test_a_call_made_again_and_refused_for_its_email_shows_that_it_was_never_taken(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    sandbox.fail(kind, "bare500", count=1)
    (job,) = house.accept()
    house.drain()
    assert house.job(job).status == "unknown"
    sandbox.fail(kind, "reject")
    house.pass_time(6)
    assert ask_again(house) == 1
    (attempt,) = house.ledger(job)
    assert attempt.outcome == "not_sent"
    assert house.job(job).status != "unknown"
    assert sandbox.received() == []


@pytest.mark.parametrize("fault", ["auth", "sender", "ratelimit"])
def test_a_refusal_that_may_come_before_the_key_is_looked_at_proves_nothing(
    house: House, sandbox: Driver, fault: str
) -> None:
    connect(house, sandbox, "resend")
    sandbox.fail("resend", "bare500", count=1)
    (job,) = house.accept()
    house.drain()
    sandbox.fail("resend", fault)
    house.pass_time(6)
    assert ask_again(house) == 0
    assert house.job(job).status == "unknown"
    assert house.ledger(job)[0].outcome == "unknown"


def test_a_call_is_made_again_after_the_death_of_the_worker_that_made_it(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "resend")
    sandbox.fail("resend", "drop", count=1)
    (job,) = house.accept()
    house.drain()
    (attempt,) = house.ledger(job)
    with house.engine.begin() as connection:  # as if it had died before it could write how the call ended
        values = {"id": attempt.id, "job": job, "run": attempt.run, "token": attempt.token}
        for statement in (
            "UPDATE delivery_attempts SET outcome = NULL, settled_at = NULL, error = NULL WHERE id = :id",
            "UPDATE email_queue SET run = :run, token = :token, held = false, claims = 1 WHERE job_id = :job",
            "UPDATE email_jobs SET status = 'queued' WHERE id = :job",
        ):
            connection.exec_driver_sql(_positional(statement), values)
    house.kill_all()
    house.sweep()
    assert house.job(job).status == "unknown"
    house.pass_time(6)
    assert ask_again(house) == 1
    assert house.job(job).status == "sent"
    assert len(sandbox.received()) == 1


def _positional(statement: str) -> str:
    for name in ("id", "job", "run", "token"):
        statement = statement.replace(f":{name}", f"%({name})s")
    return statement


def test_a_call_is_not_made_again_once_the_provider_may_have_forgotten_it(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "brevo")
    sandbox.fail("brevo", "drop", count=1)
    (job,) = house.accept()
    house.drain()
    house.pass_time(1600)
    assert ask_again(house) == 0
    assert house.job(job).status == "unknown"


def test_a_call_is_not_made_again_for_an_email_that_was_tried_again_since(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "resend")
    sandbox.fail("resend", "drop", count=2)
    (job,) = house.accept(a_submission(on_unknown=OnUnknown.RESEND))
    house.drain()
    house.pass_time(61)
    house.drain()  # sent once more, as its type asks for, before anybody made the first call again
    assert len(house.ledger(job)) == 2
    sent = len(sandbox.received())
    house.pass_time(6)
    ask_again(house)
    assert [a.outcome for a in house.ledger(job)] == ["unknown", "accepted"]
    assert len(sandbox.received()) == sent


@pytest.mark.parametrize("kind", REPEATABLE)
def test_a_call_that_would_no_longer_be_the_same_is_not_made(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    sandbox.fail(kind, "drop", count=1)
    (job,) = house.accept()
    house.drain()
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE email_jobs SET subject = subject || '!'")
    house.pass_time(6)
    assert ask_again(house) == 0
    assert house.job(job).status == "unknown"
    assert len(sandbox.received()) == 1


# -- how long a round of calls made again may take -------------------------------------------------------------


def in_doubt(house: House, sandbox: Driver, kind: str, count: int) -> list[UUID]:
    """Emails that the account took while its answers were lost; now their calls may be made again."""
    sandbox.fail(kind, "drop", count=count)
    jobs = house.accept(*(a_submission(to=(f"reader{n}@x.example",)) for n in range(count)))
    house.drain()
    assert statuses(house, jobs) == ["unknown"] * count
    return jobs


def slowed(house: House, kind: str, seconds: float, seen: Callable[[Call], None]) -> None:
    """Every call of the account takes so long, by the house's clocks."""
    adapter: Any = house.adapters[kind]
    fast = adapter.send_many

    def slow(call: Call) -> Any:
        seen(call)
        house.pass_time(seconds)
        return fast(call)

    adapter.send_many = slow


def test_a_round_ends_by_the_clock_and_each_call_has_its_emails_for_itself(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "resend")
    jobs = in_doubt(house, sandbox, "resend", 5)
    house.pass_time(6)
    held: list[bool] = []

    def see(call: Call) -> None:
        (letter,) = call.letters
        now = house.one("SELECT mm_now() AS now").now
        held.append(house.queued(letter.submission.id).due_at > now + timedelta(seconds=30))

    slowed(house, "resend", 15, see)
    began = house.clock.monotonic()
    assert ask_again(house) == 3, "after forty seconds no other call is begun"
    assert house.clock.monotonic() - began < 50
    assert ask_again(house) == 2
    assert held == [True] * 5, "nobody else may send what is being asked about"
    assert statuses(house, jobs) == ["sent"] * 5
    assert len(sandbox.received()) == 5


def test_an_account_that_hangs_is_asked_once_in_a_round_and_stops_no_other(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "resend")
    silent = in_doubt(house, sandbox, "resend", 4)
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE providers SET status = false")
    connect(house, sandbox, "brevo")
    (told,) = in_doubt(house, sandbox, "brevo", 1)
    house.pass_time(6)
    asked: list[Call] = []
    slowed(house, "resend", 30, asked.append)
    sandbox.fail("resend", "unavailable")
    assert ask_again(house) == 1
    assert len(asked) == 1
    assert house.job(told).status == "sent"
    assert statuses(house, silent) == ["unknown"] * 4
