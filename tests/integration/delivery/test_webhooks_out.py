"""Telling users' webhooks: on a real database, to a real HTTP server that answers as the test says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import insert, text
from standardwebhooks.webhooks import Webhook

from db import models
from db.sealing import ENDPOINT, Sealer
from domain.events import EventType
from domain.webhooks import WAITS, Notice, new_secret
from providers.world import Timeouts
from tests.builders import USER, new_id
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_events import apply, event, sent, tell
from tests.receiver import Receiver
from wiring.letters import letters
from wiring.settings import Settings
from wiring.webhooks import connector, opener
from workers.webhooks import Courier

SEALER = Sealer({"k": b"k" * 32}, "k")
OLD, NEW = new_secret(b"o" * 32), new_secret(b"n" * 32)
DAY = 86_400


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    made: list[Receiver] = []
    yield made
    for receiver in made:
        receiver.close()


@pytest.fixture
def courier(house: House) -> Iterator[Courier]:
    """Operators may have receivers inside the network."""
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET role = 'operator'")
    with ThreadPoolExecutor(4) as pool:
        connect = connector(house.clock, Timeouts(connect=1, read=0.3, total=0.3))
        yield Courier(
            house.units, connect, opener(SEALER), pool, 4, house.clock, structlog.get_logger("test"), new_id
        )


def endpoint(
    house: House, url: str, types: Sequence[str] = (), secrets: Sequence[str] = (NEW,), **more: Any
) -> UUID:
    id_ = new_id()
    sealed = SEALER.seal(
        dict(zip(("secret", "old"), secrets, strict=False)), owner=USER, kind=ENDPOINT, row=id_
    )
    row = {"id": id_, "user_id": USER, "url": url, "types": list(types), "secret": sealed, **more}
    with house.engine.begin() as connection:
        connection.execute(insert(models.WebhookEndpoint), row)
    return id_


def work(courier: Courier) -> None:
    """Until nothing is due."""
    while courier.step():
        pass


def state(house: House, id_: UUID) -> Any:
    return house.one("SELECT * FROM webhook_endpoints WHERE id = :id", id=id_)


def messages(house: House, id_: UUID) -> list[Any]:
    return house.all("SELECT * FROM webhook_messages WHERE endpoint_id = :id ORDER BY id", id=id_)


def test_every_change_of_an_email_is_told_and_signed(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(receiver := Receiver())
    here = endpoint(house, receiver.url)
    job, attempt = sent(house)
    kinds = (EventType.QUEUED, EventType.SENT, EventType.DELIVERED)
    tell(house, "one", *(event(kind, attempt) for kind in kinds))
    apply(house)
    work(courier)
    assert sorted(receiver.types) == ["email.delivered", "email.sent"]
    for headers, body in receiver.got:
        said = Webhook(NEW).verify(body, headers)
        assert (said["data"]["email_id"], said["data"]["attempt_id"]) == (str(job), str(attempt))
    delivered = next(json.loads(b) for _, b in receiver.got if b'"email.delivered"' in b)
    assert delivered["data"]["recipient"] == "ada@example.com"
    assert [m.state for m in messages(house, here)] == ["told", "told"]
    work(courier)
    assert len(receiver.got) == 2


def test_only_the_wished_types_and_only_the_owners_emails_are_told(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(receiver := Receiver())
    stranger = new_id()
    with house.engine.begin() as connection:
        connection.execute(
            insert(models.User), {"id": stranger, "email": "s@x.example", "password_hash": "-"}
        )
    theirs = endpoint(house, receiver.url, user_id=stranger)
    mine = endpoint(house, receiver.url, ["email.bounced"])
    sent(house)
    assert messages(house, theirs) == messages(house, mine) == []


def test_a_failing_receiver_is_told_again_by_the_schedule_under_the_same_name(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(receiver := Receiver([500, 302, 200]))
    here = endpoint(house, receiver.url)
    sent(house)
    work(courier)
    [message] = messages(house, here)
    assert (message.state, message.tries, message.answer) == ("waiting", 1, 500)
    assert state(house, here).failing_since is not None
    for tries, wait in ((2, WAITS[1]), (3, WAITS[2])):
        house.pass_time(wait * 0.8)
        work(courier)
        assert messages(house, here)[0].tries == tries - 1
        house.pass_time(wait * 0.4)
        work(courier)
        assert messages(house, here)[0].tries == tries
    assert messages(house, here)[0].state == "told"
    assert state(house, here).failing_since is None
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_retry_after_is_heeded(house: House, courier: Courier, receivers: list[Receiver]) -> None:
    receivers.append(receiver := Receiver([429, 200], {"Retry-After": "60"}))
    here = endpoint(house, receiver.url)
    sent(house)
    work(courier)
    house.pass_time(50)
    work(courier)
    assert messages(house, here)[0].tries == 1
    house.pass_time(11)
    work(courier)
    assert messages(house, here)[0].state == "told"


def test_a_receiver_that_is_gone_is_disabled_and_its_owner_told(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers += [gone := Receiver([410]), other := Receiver()]
    here, there = endpoint(house, gone.url), endpoint(house, other.url, ["webhook.disabled"])
    sent(house)
    work(courier)
    assert (state(house, here).enabled, state(house, here).disabled_reason) == (False, "it answered 410 Gone")
    assert other.types == ["webhook.disabled"]
    assert json.loads(other.got[0][1])["data"]["webhook_id"] == str(here)
    assert state(house, there).enabled
    sent(house)
    assert len(messages(house, here)) == 1


def test_a_receiver_that_takes_nothing_for_three_days_is_disabled(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(receiver := Receiver([500]))
    here = endpoint(house, receiver.url)
    sent(house)
    work(courier)
    for _ in WAITS:
        assert state(house, here).enabled
        house.pass_time(DAY * 0.7)
        work(courier)
        if not state(house, here).enabled:
            break
    assert state(house, here).disabled_reason == "it took nothing for three days"


def test_an_endpoint_whose_secret_cannot_be_read_says_so_and_is_given_up(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers += [receiver := Receiver(), other := Receiver()]
    here = endpoint(house, receiver.url)
    endpoint(house, other.url, ["webhook.disabled"])
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE webhook_endpoints SET secret = 'v1.gone.x' WHERE id = %s", (str(here),)
        )
    sent(house)
    work(courier)
    [message] = messages(house, here)
    assert (message.state, message.tries, message.error) == (
        "waiting", 1, "its secret cannot be read: rotate it",
    )  # fmt: skip
    house.clock.move(100)
    house.pass_time(3.1 * DAY)
    work(courier)
    assert (receiver.got, other.types) == ([], ["webhook.disabled"])
    assert not state(house, here).enabled


def test_one_that_never_answers_keeps_the_others_waiting_for_nothing(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers += [dead := Receiver([0]), well := Receiver()]
    here, there = endpoint(house, dead.url), endpoint(house, well.url)
    sent(house)
    for _ in range(5):
        house.accept()
    house.drain()
    work(courier)
    assert len(well.got) == 6
    assert len(dead.got) == 1
    assert {m.state for m in messages(house, there)} == {"told"}
    assert sorted(m.tries for m in messages(house, here)) == [0, 0, 0, 0, 0, 1]
    house.pass_time(0.5)
    house.clock.move(0.4)
    work(courier)
    assert len(dead.got) == 1


def test_both_secrets_sign_until_the_overlap_ends(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(receiver := Receiver())
    hour = "mm_now() + interval '1 hour'"
    here = endpoint(house, receiver.url, secrets=(NEW, OLD))
    with house.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE webhook_endpoints SET old_secret_until = {hour}")
    sent(house)
    work(courier)
    headers, body = receiver.got[0]
    assert Webhook(OLD).verify(body, headers) == Webhook(NEW).verify(body, headers)
    house.pass_time(3700)
    sent(house)
    work(courier)
    assert [len(h["webhook-signature"].split()) for h, _ in receiver.got] == [2, 1]
    assert len(messages(house, here)) == 2


def test_what_a_dead_process_had_taken_is_told_later(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(receiver := Receiver())
    here = endpoint(house, receiver.url)
    sent(house)
    with house.units() as unit:
        assert len(unit.webhooks.take(here, 10, 120.0)) == 1
        unit.commit()
    work(courier)
    assert receiver.got == []
    house.pass_time(121)
    work(courier)
    assert len(receiver.got) == 1


def test_a_members_receiver_inside_the_network_is_not_called(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(receiver := Receiver())
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET role = 'member'")
    here = endpoint(house, receiver.url)
    sent(house)
    work(courier)
    assert receiver.got == []
    assert "public address" in messages(house, here)[0].error


def test_a_change_that_is_rolled_back_is_not_told(house: House) -> None:
    here = endpoint(house, "https://app.example.com/")
    job, _ = sent(house)
    before = len(messages(house, here))
    line = "INSERT INTO email_status (id, email_job_id, status) VALUES (gen_random_uuid(), '%s', 'failed')"
    with house.engine.connect() as connection:
        connection.exec_driver_sql(line % job)
        connection.rollback()
    assert len(messages(house, here)) == before


@pytest.fixture
def writing(house: House) -> Iterator[Courier]:
    """Writes to the owners, from an address of the house."""
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET role = 'operator'")
    settings = Settings.from_env(
        {
            "DATABASE_URL": "postgresql://u:p@h/d",
            "REDIS_URL": "redis://h/0",
            "MAILMUX_ENCRYPTION_KEYS": "k:" + base64.b64encode(b"k" * 32).decode(),
            "MAILMUX_NOTICES_FROM": "Mailmux <mailmux@example.com>",
        }
    )
    with ThreadPoolExecutor(4) as pool:
        connect = connector(house.clock, Timeouts(connect=1, read=0.3, total=0.3))
        yield Courier(
            house.units, connect, opener(SEALER), pool, 4, house.clock, structlog.get_logger("test"), new_id,
            letters(settings, house.units, house.bell),
        )  # fmt: skip


def letters_written(house: House) -> list[Any]:
    return house.all("SELECT * FROM email_jobs WHERE subject = 'A webhook of yours was disabled'")


def test_the_owner_of_a_disabled_webhook_is_written_to_once(
    house: House, writing: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(gone := Receiver([410]))
    here = endpoint(house, f"{gone.url}?secret=hidden")
    sent(house)
    work(writing)
    assert (state(house, here).enabled, state(house, here).notice_owed) == (False, True)
    for _ in range(2):
        house.clock.move(31)
        work(writing)
    [letter] = letters_written(house)
    assert not state(house, here).notice_owed
    assert letter.email_type == "transactional"
    with house.engine.begin() as connection:  # as if the process had died before it wrote that down
        connection.exec_driver_sql("UPDATE webhook_endpoints SET notice_owed = true")
    house.clock.move(31)
    work(writing)
    assert len(letters_written(house)) == 1


def test_a_webhook_that_is_enabled_again_before_is_no_news(house: House, writing: Courier) -> None:
    here = endpoint(house, "https://a.example/", enabled=False, disabled_reason="it failed", notice_owed=True)
    with house.units() as unit:
        unit.webhooks.change(here, "https://a.example/", "", [], True)
        unit.commit()
    house.clock.move(31)
    work(writing)
    assert letters_written(house) == []


def test_an_owner_is_written_to_once_a_day_about_a_webhook_and_about_few_of_them(
    house: House, writing: Courier
) -> None:
    at = "date_trunc('day', mm_now()) + interval '1 minute'"
    gone = [
        endpoint(house, "https://a.example/", enabled=False, disabled_reason="it answered 410 Gone")
        for _ in range(8)
    ]

    def again(which: Sequence[UUID], later: str) -> int:
        """Enabled, tested and disabled once more."""
        with house.engine.begin() as connection:
            connection.execute(
                text(f"""UPDATE webhook_endpoints SET notice_owed = true, disabled_at = {at} + CAST(:later AS interval)
                    WHERE id = ANY(CAST(:which AS uuid[]))"""),
                {"later": later, "which": [str(id_) for id_ in which]},
            )
        house.clock.move(31)
        work(writing)
        assert house.all("SELECT FROM webhook_endpoints WHERE notice_owed") == []
        return len(letters_written(house))

    assert again(gone[:2], "0") == 2
    assert again(gone[:2], "1 minute") == 2
    assert again(gone, "2 minutes") == 5
    assert again(gone[:1], "1 day") == 6


def test_a_notice_that_breaks_stops_neither_the_others_nor_the_webhooks(
    house: House, courier: Courier, receivers: list[Receiver]
) -> None:
    receivers.append(receiver := Receiver())
    first, second = (
        endpoint(house, "https://a.example/", enabled=False, disabled_reason="it failed", notice_owed=True,
                 disabled_at=house.one("SELECT mm_now() AS now").now)
        for _ in range(2)
    )  # fmt: skip
    tried: list[UUID] = []

    def write(notice: Notice) -> None:
        tried.append(notice.webhook_id)
        if notice.webhook_id == first and tried.count(first) == 1:
            raise OverflowError("nobody knows why")

    with ThreadPoolExecutor(1) as pool:
        connect = connector(house.clock, Timeouts(connect=1, read=0.3, total=0.3))
        log = structlog.get_logger("test")
        writing = Courier(
            house.units, connect, opener(SEALER), pool, 1, house.clock, log, new_id, write
        )  # fmt: skip
        endpoint(house, receiver.url)
        sent(house)
        work(writing)
        assert (tried, receiver.types) == ([first, second], ["email.sent"])
        house.clock.move(31)
        work(writing)
        assert tried == [first, second], "it rests"
        house.clock.move(300)
        work(writing)
    assert tried == [first, second, first]
    assert house.all("SELECT FROM webhook_endpoints WHERE notice_owed") == []
