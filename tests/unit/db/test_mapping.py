"""Events as they are kept, and read again."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from db.mapping import event_row, event_value
from domain.attempt import Outcome
from domain.events import DeliveryEvent, EventType
from domain.lifecycle import Status, fold

ATTEMPT, PEOPLE = UUID(int=1), ("ada@example.com", "bob@example.com")


@given(st.sampled_from(EventType), st.sampled_from([*PEOPLE, None]))
def test_an_event_is_read_as_it_was_kept(kind: EventType, recipient: str | None) -> None:
    event = DeliveryEvent(kind, recipient=recipient)
    assert event_value(event_row(event)) == event


@given(st.sampled_from([(), ("stranger@example.com",)]))
def test_a_refusal_of_some_says_nothing_to_a_process_that_does_not_know_of_such(who: tuple[str, ...]) -> None:
    """As while versions change: it reads all but `partly`."""
    event = DeliveryEvent(EventType.REJECTED, recipient=next(iter(who), None), partly=True)
    row = event_row(event)
    assert event_value(row) == event
    old = event_value({name: value for name, value in row.items() if name != "partly"})
    assert fold(PEOPLE, {ATTEMPT: Outcome.ACCEPTED}, [(ATTEMPT, old)]).status is Status.SENT
    assert fold(PEOPLE, {ATTEMPT: Outcome.UNKNOWN}, [(ATTEMPT, old)]).outcomes[ATTEMPT] is Outcome.UNKNOWN
