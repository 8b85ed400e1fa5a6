"""A sender domain that warms up at a provider has its share of each day there; the rest goes by warm ones, or waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.delivery import Opening
from providers.memory import Answer
from routing.policy import Patience
from tests.builders import a_submission, new_id
from tests.integration.delivery.conftest import House

NEW, OLD = "news@new.example", "news@old.example"
DAY = 86_400.0


def warm_up(house: House, name: str, *daily: int, domain: str = "new.example") -> UUID:
    provider: UUID = house.one("SELECT id FROM providers WHERE name = :name", name=name).id
    with house.units() as unit:
        unit.warm_ups.begin(provider, domain, daily)
        unit.commit()
    return provider


def used(house: House) -> int:
    count: int = house.one("SELECT used FROM warm_ups").used
    return count


def send(house: House, count: int, sender: str = NEW, **more: Any) -> list[UUID]:
    jobs = house.accept(*(a_submission(sender=sender, **more) for _ in range(count)))
    house.drain()
    return jobs


def test_what_is_beyond_a_days_share_goes_by_the_next_provider_with_the_reason(house: House) -> None:
    cheap, dear = house.provider("cheap", "0.0001"), house.provider("dear", "0.0020")
    warm_up(house, "cheap", 3, 5)
    send(house, 5)
    send(house, 4, OLD)
    assert (len(cheap.sent), len(dear.sent), used(house)) == (3 + 4, 2, 3)
    reasons = house.all("SELECT decision->'excluded'->0->>1 AS b FROM delivery_attempts")
    assert [r.b for r in reasons].count("WARMING_UP") == 2
    house.pass_time(DAY)
    send(house, 6)
    assert (len(cheap.sent), len(dear.sent), used(house)) == (7 + 5, 3, 5)
    house.pass_time(DAY)
    send(house, 20)
    assert len(cheap.sent) == 12 + 20, "it is warm now"


def test_without_another_provider_the_rest_waits_for_the_next_day(house: House) -> None:
    only = house.provider("only")
    warm_up(house, "only", 2, 100)
    patient = Patience(give_up_after=3 * DAY)
    house.accept(*(a_submission(sender=NEW) for _ in range(5)))
    house.drain(patience=patient)
    assert len(only.sent) == 2
    house.pass_time(DAY + 1)
    house.drain(patience=patient)
    assert len(only.sent) == 5


def test_recipients_are_counted_and_given_back_where_nothing_was_sent(house: House) -> None:
    house.provider("cheap", "0.0001", answer=Answer.UNAVAILABLE)
    house.provider("dear", "0.0020")
    warm_up(house, "cheap", 10)
    send(house, 1, to=("a@x.example", "b@x.example", "c@x.example"))
    assert used(house) == 0
    house.adapters["cheap"] = house.adapters["dear"]  # it is well again
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE providers SET version = version + 1")
    house.redis.flushall()
    send(house, 1, to=("a@x.example", "b@x.example", "c@x.example"))
    assert used(house) == 3


def test_workers_that_reserve_at_once_never_exceed_a_days_share(house: House) -> None:
    house.provider("only")
    provider = warm_up(house, "only", 25)
    run = house.run()

    def reserve(_: int) -> int:
        with house.units() as unit:
            claim = unit.delivery.claim(a_submission().lane, run.id, 10, lambda _: None)
            openings = [
                Opening(new_id(), j.job_id, provider, 0, 1, Decimal(0), "USD", warming="new.example")
                for j in claim.jobs
            ]
            opened = unit.delivery.open(run.id, claim.token, openings)
            unit.commit()
        return len(opened.attempts)

    house.accept(*(a_submission(sender=NEW) for _ in range(60)))
    with ThreadPoolExecutor(6) as pool:
        granted = sum(pool.map(reserve, range(6)))
    assert (granted, used(house)) == (25, 25)
