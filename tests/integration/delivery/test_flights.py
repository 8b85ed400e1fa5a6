"""The bulk lane: two flights at a time, and no more in memory or in doubt than was said."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from db.repositories import claims
from domain.delivery import LeaseLost
from domain.message import Lane, Message
from providers.memory import Answer
from tests.builders import a_submission
from tests.integration.delivery.conftest import House


def bulk(count: int):
    return [a_submission(lane=Lane.BULK) for _ in range(count)]


def test_one_flight_is_on_the_wire_while_the_next_is_opened(house: House):
    provider = house.provider("one")
    real, both = provider.send, threading.Barrier(2)

    def meet(submission, attempt_id):
        both.wait(10)  # broken where the second flight waits for the first one's end
        return real(submission, attempt_id)

    provider.send = meet
    house.accept(*bulk(2))
    house.drain(Lane.BULK, bulk_window=2)
    assert len(provider.sent) == 2


@pytest.mark.parametrize("emails", [1, 5, 6, 7, 30])
def test_every_email_goes_once_however_many_flights_it_takes(house: House, emails: int):
    provider = house.provider("one")
    house.accept(*bulk(emails))
    house.drain(Lane.BULK, bulk_window=6)
    assert len(provider.sent) == emails
    assert house.one("SELECT count(*) FROM email_queue")[0] == 0
    assert house.all("SELECT 1 FROM delivery_attempts WHERE outcome IS DISTINCT FROM 'accepted'") == []


def test_what_one_provider_refuses_goes_to_the_next_with_a_later_flight(house: House):
    house.provider("cheap", "0.0001", answer=Answer.UNAVAILABLE)
    dear = house.provider("dear", "0.0020")
    house.accept(*bulk(12))
    house.drain(Lane.BULK, bulk_window=4)
    assert len(dear.sent) == 12


def test_no_more_attempts_are_open_than_the_window_has(house: House):
    provider = house.provider("one")
    real, most = provider.send, []

    def count(submission, attempt_id):
        most.append(house.one("SELECT count(*) FROM delivery_attempts WHERE outcome IS NULL")[0])
        return real(submission, attempt_id)

    provider.send = count
    house.accept(*bulk(20))
    house.drain(Lane.BULK, bulk_window=6)
    assert max(most) <= 6


def test_a_lease_that_passes_ends_all_flights_before_the_drain_does(house: House):
    provider = house.provider("one")
    real = provider.send

    def outlive(submission, attempt_id):
        house.kill(run)
        return real(submission, attempt_id)

    provider.send = outlive
    house.accept(*bulk(8))
    run = house.run()
    with pytest.raises(LeaseLost):
        house.drain(Lane.BULK, run=run, bulk_window=4)
    sent = len(provider.sent)
    assert 2 <= sent <= 4
    assert len(house.all("SELECT 1 FROM delivery_attempts")) == sent, "nothing that the ledger does not have"
    house.pool.submit(lambda: None).result()
    assert len(provider.sent) == sent, "nothing goes once the drain has ended"


def test_what_breaks_one_emails_way_does_not_lose_how_others_ended(house: House):
    """A later flight is on the wire when the record of an earlier one fails for a reason that nobody expected."""
    provider = house.provider("one")
    house.accept(*bulk(8))
    fine, calls = house.dispatcher.units, []

    class Broken(Exception):
        pass

    def units():
        calls.append(1)
        if len(calls) == 5:
            raise Broken
        return fine()

    house.dispatcher = replace(house.dispatcher, units=units)
    with pytest.raises(Broken):
        house.drain(Lane.BULK, bulk_window=4)
    gone = house.one("SELECT count(*) FROM delivery_attempts WHERE outcome = 'accepted'")[0]
    assert gone == len(provider.sent) > 0


def test_bodies_that_are_too_much_together_are_read_by_one_claim_after_the_other(house: House):
    provider = house.provider("one")
    house.accept(*(a_submission(message=Message("s", text=letter * 1000)) for letter in "abc"))
    house.drain(most_bytes=1500)
    assert sorted(s.submission.message.text[0] for s in provider.sent) == ["a", "b", "c"]
    with house.units() as unit:
        jobs = [row.id for row in house.all("SELECT id FROM email_jobs")]
        assert len(unit.delivery.load(jobs, 1500)) == 1, "never none"
        assert len(unit.delivery.load(jobs, 2500)) == 2
        assert len(unit.delivery.load(jobs)) == 3


def test_after_a_claim_that_was_too_much_to_read_no_more_is_claimed_than_was_read(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    asked: list[int] = []
    claim = claims.claim

    def noted(connection: Any, lane: Lane, run: UUID, limit: int, shuffle: Any) -> Any:
        asked.append(limit)
        return claim(connection, lane, run, limit, shuffle)

    monkeypatch.setattr(claims, "claim", noted)
    provider = house.provider("one")
    house.accept(*(a_submission(message=Message("s", text=letter * 1000)) for letter in "abcde"))
    house.drain(most_bytes=2500, batch=5)
    assert len(provider.sent) == 5
    assert asked[:2] == [5, 2]
