"""Sender domains are checked when they are due, by one process at a time, and hold where nobody answers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.errors import ProviderUnavailable
from domain.sender_domains import SenderDomain
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
    return check_domains(house.units, dispatcher.fleet, dispatcher.sender.adapter, Zone())


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
