"""Events of emails whose records are gone in part: what was known stays known, and nothing stops the other events."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.events import BounceClass, EventType
from domain.message import OnUnknown
from providers.memory import Answer
from tests.builders import a_submission
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_events import apply, event, sent, states, tell
from workers import inbound


def forget(house: House, table: str, **where: Any) -> None:
    """As the purge does, which takes each kind of record in its own time."""
    with house.engine.begin() as connection:
        ((column, value),) = where.items()
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = %s", (str(value),))


@pytest.mark.parametrize(
    ("first", "then"),
    [(EventType.BOUNCED, EventType.OPENED), (EventType.COMPLAINED, EventType.CLICKED),
     (EventType.DELIVERED, EventType.DEFERRED)],
)  # fmt: skip
def test_a_late_event_takes_nothing_back_of_what_is_not_kept_any_more(
    house: House, first: EventType, then: EventType
) -> None:
    job, attempt = sent(house)
    tell(house, "one", event(first, attempt, bounce=BounceClass.HARD))
    apply(house)
    before = house.job(job).status
    assert before == {"bounced": "bounced", "complained": "complained"}.get(first.value, "delivered")
    forget(house, "inbound_events", attempt_id=attempt)
    tell(house, "one", event(then, attempt))
    apply(house)
    assert (house.job(job).status, states(house)) == (before, ["applied"])
    assert house.timeline(job)[-1] == before


def test_a_late_event_that_tells_more_still_counts(house: House) -> None:
    job, attempt = sent(house)
    tell(house, "one", event(EventType.DELIVERED, attempt))
    apply(house)
    forget(house, "inbound_events", attempt_id=attempt)
    tell(house, "one", event(EventType.COMPLAINED, attempt))
    apply(house)
    assert house.job(job).status == "complained"


def test_an_earlier_attempt_that_is_not_kept_any_more_stops_no_event(house: House) -> None:
    house.provider("doubtful", "0.0001", answer=Answer.TAKEN_BUT_UNKNOWN)
    house.provider("one", "0.0002")
    (job,) = house.accept(a_submission(on_unknown=OnUnknown.RESEND))
    house.drain()
    house.pass_time(100)
    house.drain()
    first, second = (line.id for line in house.ledger(job))
    tell(house, "doubtful", event(EventType.BOUNCED, first, bounce=BounceClass.SOFT))
    apply(house)
    forget(house, "delivery_attempts", id=first)
    other, of_other = sent(house)
    tell(house, "one", event(EventType.DELIVERED, second), event(EventType.DELIVERED, of_other))
    assert apply(house) is None
    assert (house.job(job).status, house.job(other).status) == ("delivered", "delivered")


def test_an_event_of_an_email_that_is_gone_is_left_in_the_end(house: House) -> None:
    job, attempt = sent(house)
    forget(house, "delivery_attempts", id=attempt)
    forget(house, "email_status", email_job_id=job)
    forget(house, "email_jobs", id=job)
    tell(house, "one", event(EventType.OPENED, attempt, provider_message_id=f"memory-{attempt}"))
    apply(house)
    house.pass_time(inbound.UNMATCHED_AFTER + 1)
    assert apply(house) is None
    assert states(house) == ["unmatched"]


def test_an_event_that_breaks_its_transaction_keeps_no_other_waiting(house: House) -> None:
    odd, of_odd = sent(house)
    jobs = [sent(house) for _ in range(3)]
    tell(house, "one", event(EventType.DELIVERED, of_odd))
    tell(house, "one", *(event(EventType.DELIVERED, attempt) for _, attempt in jobs))
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN RAISE EXCEPTION 'nobody had thought of that'; END$$;
                CREATE TRIGGER odd BEFORE UPDATE ON email_jobs FOR EACH ROW WHEN (OLD.id = '{odd}')
                EXECUTE FUNCTION refuse()"""
        )
    with capture_logs() as logs:
        due = apply(house)
    assert due == pytest.approx(300, abs=10), "it is not hammered"
    assert {house.job(job).status for job, _ in jobs} == {"delivered"}
    assert house.job(odd).status == "sent"
    assert [entry["event"] for entry in logs].count("event_broken") == 1
    with house.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER odd ON email_jobs")
    house.pass_time(301)
    assert apply(house) is None
    assert house.job(odd).status == "delivered", "nothing of it was lost"
