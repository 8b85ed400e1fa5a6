"""Emails in doubt, looked for at the providers: real adapters against the sandbox's searches, a real database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import structlog

from domain.capabilities import Search
from domain.errors import ProviderError
from domain.events import BounceClass, EventType
from domain.lookups import SearchingProvider, Sought
from domain.message import OnUnknown
from providers import registry
from providers.world import Timeouts, World
from tests.builders import a_submission, new_id
from tests.integration.delivery.conftest import House
from tests.integration.sandbox_driver import Driver, running_accounts
from workers.inbound import apply_events
from workers.lookups import look_up
from workers.recovery import hold_suspects
from workers.upkeep import Units

BY_EMAIL = ("mailgun", "postmark", "sendgrid", "sparkpost")
KINDS = (*BY_EMAIL, "mailjet")
log = structlog.get_logger("test")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with running_accounts(tmp_path_factory.mktemp("sandbox"), *KINDS, "resend") as driver:
        yield driver


@pytest.fixture
def sandbox(shared: Driver) -> Iterator[Driver]:
    shared.clear()
    yield shared
    shared.heal_all()


def adapter(sandbox: Driver, kind: str, clock: Any, **config: Any) -> Any:
    account = sandbox.account(kind)
    world = World(clock, lambda: datetime.now(UTC), Timeouts(connect=2, read=2, total=4))
    valid = registry.validate(kind, {"base_url": account["base_url"], **config}, account["credentials"])
    return registry.build(kind, kind, *valid, world)


def connect(house: House, sandbox: Driver, kind: str, **config: Any) -> None:
    house.provider(kind)
    house.adapters[kind] = adapter(sandbox, kind, house.clock, **config)


def look(house: House) -> int:
    """What the clock's duty does, and then the applying of events."""
    found = look_up(
        house.units, house.dispatcher.fleet, house.dispatcher.sender.adapter, house.bell, house.clock, log
    )
    apply_events(house.units, house.bell, house.clock, log)
    return found


def in_doubt(house: House, sandbox: Driver, kind: str, to: str, mode: str = "drop", **more: Any) -> UUID:
    """An email that the provider took, or did not, while its answer was lost."""
    sandbox.fail(kind, mode, count=1)
    (job,) = house.accept(a_submission(to=(to,), **more))
    house.drain()
    assert house.job(job).status == "unknown"
    return job


def wait_for_a_lock(house: House) -> None:
    end = time.monotonic() + 10
    while not house.all("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
        assert time.monotonic() < end, "nobody waits"
        time.sleep(0.02)


# -- what the adapters find ----------------------------------------------------------------------------------


def test_those_that_can_be_asked_say_so_and_no_others() -> None:
    asked = {
        kind.name
        for kind in registry.kinds()
        if kind.capabilities(kind.Config.model_construct()).search is not None
    }
    assert asked == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_says_that_it_can_be_asked_can_be_asked(house: House, sandbox: Driver, kind: str) -> None:
    provider = adapter(sandbox, kind, house.clock)
    assert isinstance(provider, SearchingProvider)
    assert provider.capabilities.search is (Search.EMAIL if kind in BY_EMAIL else Search.ATTEMPT)
    provider.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("to", "type_", "bounce"),
    [
        ("delivered", EventType.DELIVERED, None),
        ("bounce-hard", EventType.BOUNCED, BounceClass.HARD),
        ("bounce-soft", EventType.BOUNCED, BounceClass.SOFT),
        ("deferred", EventType.DEFERRED, None),
        ("opened", EventType.OPENED, None),
    ],
)
def test_the_search_tells_what_the_webhook_would(
    house: House, sandbox: Driver, kind: str, to: str, type_: EventType, bounce: BounceClass | None
) -> None:
    provider = adapter(sandbox, kind, house.clock)
    address, attempt = f"{to}+{new_id().hex[-8:]}@example.com", new_id()
    submission = a_submission(to=(address,))
    result = provider.send(submission, attempt)
    sought = Sought(
        new_id(), submission.id, attempt, submission.envelope.sender.domain, (address,), datetime.now(UTC)
    )
    found = [e.event for e in provider.find(sought)]
    assert {(e.attempt_id, e.email_id) for e in found} == {(attempt, submission.id)}
    assert {e.provider_message_id for e in found} == {result.provider_message_id}
    (told,) = [e for e in found if e.type is type_]
    assert told.bounce is bounce
    assert told.recipient == address
    provider.close()


@pytest.mark.parametrize("kind", KINDS)
def test_another_attempt_of_the_same_address_is_not_taken_for_it(
    house: House, sandbox: Driver, kind: str
) -> None:
    provider = adapter(sandbox, kind, house.clock)
    submission = a_submission(to=("delivered@example.com",))
    provider.send(submission, new_id())
    sender = submission.envelope.sender.domain
    for email, attempt in ((submission.id, new_id()), (new_id(), None)):
        sought = Sought(new_id(), email, attempt, sender, ("delivered@example.com",), datetime.now(UTC))
        assert list(provider.find(sought)) == []
    provider.close()


@pytest.mark.parametrize("kind", BY_EMAIL)
def test_an_attempt_that_is_not_known_is_found_by_its_email(house: House, sandbox: Driver, kind: str) -> None:
    provider = adapter(sandbox, kind, house.clock)
    submission, attempt = a_submission(to=("quiet@example.com",)), new_id()
    provider.send(submission, attempt)
    sender, since = submission.envelope.sender.domain, datetime.now(UTC) - timedelta(hours=1)
    found = provider.find(Sought(new_id(), submission.id, None, sender, ("quiet@example.com",), since))
    assert {(e.event.attempt_id, e.event.email_id) for e in found} == {(attempt, submission.id)}
    provider.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["unavailable", "auth", "garbage", "timeout"])
def test_a_provider_that_does_not_answer_the_search_raises_and_tells_nothing(
    house: House, sandbox: Driver, kind: str, mode: str
) -> None:
    provider = adapter(sandbox, kind, house.clock)
    sandbox.fail(kind, mode)
    sought = Sought(new_id(), new_id(), new_id(), "x.example", ("a@example.com",), datetime.now(UTC))
    with pytest.raises(ProviderError):
        list(provider.find(sought))
    provider.close()


def test_postmark_is_asked_for_bulk_email_in_its_own_stream(house: House, sandbox: Driver) -> None:
    provider = adapter(sandbox, "postmark", house.clock, message_stream="broadcasts")
    submission, attempt = a_submission(to=("delivered@example.com",)), new_id()
    provider.send(submission, attempt)
    sought = Sought(
        new_id(), submission.id, attempt, "x.example", ("delivered@example.com",), datetime.now(UTC)
    )
    assert provider.find(sought)
    provider.close()
    both = adapter(sandbox, "postmark", house.clock, broadcast_stream="broadcasts")
    assert both.find(sought)
    both.close()
    other = adapter(sandbox, "postmark", house.clock)
    assert not other.find(sought)
    other.close()


# -- what becomes of emails in doubt -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_answer_is_settled_by_asking_though_no_webhook_comes(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    job = in_doubt(house, sandbox, kind, "delivered@example.com")
    house.pass_time(11)
    assert look(house) == 1
    assert house.job(job).status == "delivered"
    assert house.queued(job) is None
    (attempt,) = house.ledger(job)
    (received,) = sandbox.received()
    assert (attempt.outcome, attempt.provider_message_id) == ("accepted", received["message_id"])
    assert house.all("SELECT 1 FROM stats_due WHERE measure = 'unknown' AND change = -1")
    house.pass_time(500)
    assert look(house) == 0, "what is settled is not looked for"


@pytest.mark.parametrize("kind", KINDS)
def test_an_email_that_nobody_tells_of_yet_is_sent_as_far_as_we_know(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    job = in_doubt(house, sandbox, kind, "quiet@example.com")
    house.pass_time(11)
    look(house)
    assert house.job(job).status == "sent"


@pytest.mark.parametrize("kind", ["mailgun", "postmark", "sendgrid", "sparkpost"])
def test_what_the_provider_did_not_send_after_all_goes_to_the_next_one(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    house.provider("next", "0.9")
    job = in_doubt(house, sandbox, kind, "dropped@example.com")
    house.pass_time(11)
    assert look(house) == 1
    assert [a.outcome for a in house.ledger(job)] == ["not_sent"]
    house.drain()
    assert [a.outcome for a in house.ledger(job)] == ["not_sent", "accepted"]


@pytest.mark.parametrize("kind", KINDS)
def test_that_a_provider_does_not_know_of_an_email_proves_nothing(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    job = in_doubt(house, sandbox, kind, "delivered@example.com")
    sandbox.clear()  # as a search that is behind, or has lost it
    for _ in range(8):
        house.pass_time(100)
        assert look(house) == 0
    assert house.job(job).status == "unknown"
    assert house.ledger(job)[0].outcome == "unknown"
    assert house.queued(job).held


def test_looks_become_rarer_and_end_with_the_day(house: House, sandbox: Driver) -> None:
    connect(house, sandbox, "postmark")
    in_doubt(house, sandbox, "postmark", "delivered@example.com")
    sandbox.clear()
    times, passed = [], 0
    while passed < 90_000:
        house.pass_time(5 if passed < 2000 else 500)
        passed += 5 if passed < 2000 else 500
        before = house.all("SELECT looks FROM lookups")
        look(house)
        if house.all("SELECT looks FROM lookups") != before:
            times.append(passed)
    assert len(times) == 8
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert times[0] <= 15
    assert times[-1] <= 86_400


def test_an_email_that_was_resent_meanwhile_has_its_first_attempt_settled_too(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "postmark")
    job = in_doubt(house, sandbox, "postmark", "delivered@example.com", on_unknown=OnUnknown.RESEND)
    house.pass_time(61)
    house.drain()
    assert len(house.ledger(job)) == 2
    look(house)
    assert [a.outcome for a in house.ledger(job)] == ["accepted", "accepted"]


def test_a_silent_account_is_asked_once_and_stops_no_other(house: House, sandbox: Driver) -> None:
    connect(house, sandbox, "postmark")
    silent = [in_doubt(house, sandbox, "postmark", f"delivered+{n}@example.com") for n in range(3)]
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE providers SET status = false")
    connect(house, sandbox, "mailgun")
    told = in_doubt(house, sandbox, "mailgun", "delivered@example.com")
    house.pass_time(11)
    sandbox.fail("postmark", "unavailable")
    assert look(house) == 1
    assert house.job(told).status == "delivered"
    assert {house.job(job).status for job in silent} == {"unknown"}
    assert sorted(r.looks for r in house.all("SELECT looks FROM lookups")) == [0, 0, 1, 1]
    sandbox.heal("postmark")
    house.pass_time(31)
    assert look(house) == 3
    assert {house.job(job).status for job in silent} == {"delivered"}


def test_an_account_that_may_not_be_asked_is_asked_no_more_often_than_one_that_knows_nothing(
    house: House, sandbox: Driver
) -> None:
    connect(house, sandbox, "sendgrid")
    for n in range(3):
        in_doubt(house, sandbox, "sendgrid", f"delivered+{n}@example.com")
    house.pass_time(11)
    sandbox.fail("sendgrid", "auth")
    assert look(house) == 0
    assert [r.looks for r in house.all("SELECT looks FROM lookups")] == [1, 1, 1]


def test_two_processes_do_not_look_for_the_same(house: House, sandbox: Driver) -> None:
    connect(house, sandbox, "postmark")
    in_doubt(house, sandbox, "postmark", "delivered@example.com")
    house.pass_time(11)
    accounts = [p.id for p in house.dispatcher.fleet.snapshot().providers]
    with house.units() as one, house.units() as other:
        assert len(one.lookups.take(accounts, accounts)) == 1
        one.commit()
        assert other.lookups.take(accounts, accounts) == []


def test_two_processes_that_ask_at_once_do_not_look_for_the_same(house: House, sandbox: Driver) -> None:
    connect(house, sandbox, "postmark")
    in_doubt(house, sandbox, "postmark", "delivered@example.com")
    house.pass_time(11)
    accounts = [p.id for p in house.dispatcher.fleet.snapshot().providers]
    took: list[int] = []

    def take() -> None:
        with house.units() as other:
            took.append(len(other.lookups.take(accounts, accounts)))
            other.commit()

    with house.units() as one:
        took.append(len(one.lookups.take(accounts, accounts)))
        second = threading.Thread(target=take)
        second.start()  # it sees the attempt as never looked for, and waits for the first one's row
        wait_for_a_lock(house)
        one.commit()
    second.join(10)
    assert took == [1, 0]


def test_a_provider_that_cannot_be_asked_is_not(house: House, sandbox: Driver) -> None:
    connect(house, sandbox, "resend")
    in_doubt(house, sandbox, "resend", "delivered@example.com")
    house.pass_time(11)
    assert look(house) == 0
    assert house.all("SELECT 1 FROM lookups") == []


# -- after a restore -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*BY_EMAIL, "mailjet"])
def test_what_a_recovery_holds_is_looked_for_by_its_email_since_its_attempt_is_lost(
    house: House, sandbox: Driver, kind: str
) -> None:
    connect(house, sandbox, kind)
    sent, unsent = house.accept(
        a_submission(to=("delivered@example.com",)), a_submission(to=("never@example.com",))
    )
    restored_to = datetime.now(UTC)
    house.adapters[kind].send(
        a_submission(id=sent, to=("delivered@example.com",)), new_id()
    )  # the world that was lost
    hold(house.units, house, restored_to)
    assert {house.job(sent).status, house.job(unsent).status} == {"unknown"}
    house.pass_time(11)
    look(house)
    assert house.job(unsent).status == "unknown"
    if kind == "mailjet":  # it finds attempts only, by an id that nobody knows any more
        assert house.job(sent).status == "unknown"
        return
    assert house.job(sent).status == "delivered"
    assert [a.outcome for a in house.ledger(sent)] == ["accepted"]


def hold(units: Units, house: House, since: datetime) -> None:
    house.kill_all()
    hold_suspects(units, house.units, since, house.patience)
