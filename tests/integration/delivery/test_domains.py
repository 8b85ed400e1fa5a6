"""Sender domains are checked when they are due, by one process at a time, and hold where nobody answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.errors import ProviderUnavailable
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import House
from tests.zone import Zone
from workers.domains import check_domains

NAME = "shop.example"  # what the builder's emails come from


def declare(house: House, name: str = NAME) -> UUID:
    domain = new_id()
    with house.units() as unit:
        unit.domains.add(domain, USER, name)
        unit.commit()
    return domain


def check(house: House) -> int:
    dispatcher = house.dispatcher
    dispatcher.fleet.outdate()
    return check_domains(house.units, dispatcher.fleet, dispatcher.sender.adapter, Zone(), house.clock)


def teach(provider: Any, says: Any) -> None:
    def sender_domain(name: str) -> SenderDomain | None:
        if isinstance(says, Exception):
            raise says
        return says if name == NAME else None

    provider.sender_domain = sender_domain


def test_a_new_domain_is_checked_at_once_then_every_quarter_then_daily(house: House):
    teach(house.provider("one"), SenderDomain(verified=False))
    declare(house)
    assert [check(house), check(house)] == [1, 0]
    house.pass_time(15 * 60)
    assert [check(house), check(house)] == [1, 0]
    house.pass_time(3 * 86_400)
    assert check(house) == 1
    house.pass_time(3600)
    assert check(house) == 0
    house.pass_time(86_400)
    assert check(house) == 1


def test_an_email_goes_where_its_domain_is_verified(house: House):
    cheap, dear = house.provider("cheap", "0.0001"), house.provider("dear", "0.0020")
    teach(cheap, SenderDomain(verified=False))
    teach(dear, SenderDomain(verified=True))
    declare(house)
    check(house)
    (job,) = house.accept(a_submission())
    house.drain()
    assert (len(cheap.sent), len(dear.sent)) == (0, 1)
    (attempt,) = house.ledger(job)
    assert [(name, because) for name, because, *_ in attempt.decision["excluded"]] == [
        ("cheap", "SENDER_NOT_VERIFIED")
    ]
    teach(cheap, SenderDomain(verified=True))
    house.pass_time(86_400)
    check(house)
    house.accept(a_submission())
    house.drain()
    assert len(cheap.sent) == 1


def test_an_email_that_waits_leaves_a_quarter_of_an_hour_after_its_domain_was_verified(house: House):
    one = house.provider("one")
    teach(one, SenderDomain(verified=False))
    declare(house)
    check(house)
    (job,) = house.accept()
    house.drain()
    assert (house.job(job).status, len(one.sent)) == ("deferred", 0)
    teach(one, SenderDomain(verified=True))
    house.pass_time(15 * 60)
    check(house)
    house.dispatcher.fleet.outdate()
    house.drain()
    assert house.job(job).status == "sent"


def test_an_account_that_does_not_answer_changes_nothing(house: House):
    one = house.provider("one")
    teach(one, SenderDomain(verified=True))
    declare(house)
    check(house)
    teach(one, ProviderUnavailable("one", "timed out"))
    house.pass_time(86_400)
    assert check(house) == 1
    house.accept()
    house.drain()
    assert len(one.sent) == 1


def test_where_nobody_checks_any_more_the_provider_is_asked_by_an_email_again(house: House):
    one = house.provider("one")
    teach(one, SenderDomain(verified=False))
    declare(house)
    check(house)
    house.pass_time(27 * 3600)
    house.dispatcher.fleet.outdate()
    house.accept()
    house.drain()
    assert len(one.sent) == 1


def test_what_a_dead_process_took_is_checked_by_another(house: House):
    house.provider("one")
    declare(house)
    with house.units() as unit:
        assert len(unit.domains.take_due(5)) == 1
        unit.commit()
    assert check(house) == 0
    house.pass_time(601)
    assert check(house) == 1
    with house.engine.connect() as connection:
        assert connection.scalar(text("SELECT report->'spf'->>'ok' FROM domains")) == "false"


def test_accounts_that_hang_use_up_a_rounds_time_and_no_more_and_the_rest_is_due_at_once(house: House):
    asked: list[str] = []

    def hang(name: str) -> SenderDomain | None:
        asked.append(name)
        house.clock.move(10)
        raise ProviderUnavailable("hangs", "timed out")

    house.provider("hangs").sender_domain = hang
    for number in range(5):
        declare(house, f"shop{number}.example")
    assert check(house) == 5
    assert len(asked) == 1, "its answer is waited for once in a round"
    house.pass_time(15 * 60)
    for name in ("too", "three", "four"):
        house.provider(name).sender_domain = hang
    asked.clear()
    began = house.clock.monotonic()
    assert check(house) == 1
    assert house.clock.monotonic() - began < 40
    assert len(asked) == 2
    assert check(house) == 1, "the other four are due, and the next round begins with one of them"


def test_an_account_that_refuses_at_once_is_asked_about_every_domain(house: House):
    one = house.provider("one")
    asked: list[str] = []

    def refuse(name: str) -> SenderDomain | None:
        asked.append(name)
        raise ProviderUnavailable("one", "not now")

    one.sender_domain = refuse
    for number in range(3):
        declare(house, f"shop{number}.example")
    assert check(house) == 3
    assert len(asked) == 3


def test_a_dns_that_answers_slowly_ends_no_round_by_force(house: House):
    class Slow(Zone):
        def look_up(self, name: str, type: str) -> Sequence[str]:
            house.clock.move(4)
            return super().look_up(name, type)

    records = tuple(DomainRecord(RecordKind.DKIM, "TXT", f"k{n}.{NAME}", "v") for n in range(30))
    teach(house.provider("one"), SenderDomain(verified=False, records=records))
    declare(house)
    dispatcher, began = house.dispatcher, house.clock.monotonic()
    check_domains(house.units, dispatcher.fleet, dispatcher.sender.adapter, Slow(), house.clock)
    assert house.clock.monotonic() - began < 30
