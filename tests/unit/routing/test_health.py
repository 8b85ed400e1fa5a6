"""Opened by failures in a row, closed by probes that are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.health import TRIP_AFTER, Health
from routing.signs import End


def tripped(now: float = 0.0) -> Health:
    health = Health()
    for attempt in range(TRIP_AFTER):
        health.ended(attempt, End.FAILED, now)
    return health


def probe(health: Health, attempt: int, end: End, now: float) -> None:
    assert health.probe_due(now)
    health.probing(attempt, now)
    health.ended(attempt, end, now + 0.1)


def test_it_opens_at_the_fifth_failure_in_a_row():
    health = Health()
    for attempt in range(TRIP_AFTER - 1):
        health.ended(attempt, End.FAILED, 0)
    assert not health.open
    health.ended(9, End.ACCEPTED, 0)
    health.ended(10, End.FAILED, 0)
    assert not health.open
    assert tripped().open
    assert tripped().share(0.0) == 0


def test_an_account_fault_opens_it_at_once():
    health = Health()
    health.ended(1, End.ACCOUNT_FAULT, 0)
    assert health.open


@pytest.mark.parametrize("end", [End.THROTTLED, End.QUOTA_SPENT])
def test_a_refusal_for_rate_or_quota_says_nothing_of_health(end):
    health = Health()
    for attempt in range(50):
        health.ended(attempt, end, 0)
    assert not health.open


def test_attempts_that_hang_open_it_before_they_time_out():
    health = Health()
    for attempt in range(TRIP_AFTER):
        health.overdue(attempt, 1.0)
    assert health.open
    for attempt in range(TRIP_AFTER):
        health.ended(attempt, End.TIMED_OUT, 10.0)  # counted already
    assert health.probe_due(10.0)


def test_a_late_success_of_an_overdue_attempt_means_slow_and_not_down():
    health = Health()
    for attempt in range(TRIP_AFTER):
        health.overdue(attempt, 1.0)
    health.ended(0, End.ACCEPTED, 4.0)
    assert not health.open


def test_one_probe_at_a_time_and_failures_back_off_up_to_a_cap():
    health = tripped()
    assert not health.probe_due(0.5)
    waits, now = [], 1.0
    for attempt in range(100, 108):
        health.probing(attempt, now)
        assert not health.probe_due(now + 50)
        health.ended(attempt, End.FAILED, now)
        waits.append(health.next_probe_at - now)
        now = health.next_probe_at
    assert waits[:4] == [2, 4, 8, 15]
    assert set(waits[4:]) == {15}


def test_two_probes_that_are_taken_close_it_and_traffic_ramps_up():
    health = tripped()
    probe(health, 100, End.ACCEPTED, 1.0)
    assert health.share(1.2) == 0
    probe(health, 101, End.ACCEPTED, 1.5)
    assert not health.open
    assert 0.2 < health.share(1.6) < health.share(6.0) < health.share(20.0) == 1.0


def test_a_probe_that_does_not_answer_counts_as_failed_at_its_deadline():
    health = tripped()
    health.probing(100, 1.0)
    health.overdue(100, 2.5)
    assert health.next_probe_at == pytest.approx(2.5 + 2.0)


def test_a_success_that_began_before_it_opened_does_not_close_it():
    health = tripped()
    health.ended(77, End.ACCEPTED, 0.3)
    assert health.open


@given(st.lists(st.tuples(st.sampled_from(list(End)), st.booleans()), max_size=60))
def test_whatever_happens_an_open_one_is_probed_again_within_a_bounded_time(story):
    health, now = Health(), 0.0
    for attempt, (end, overdue) in enumerate(story):
        now += 0.5
        if health.probe_due(now):
            health.probing(attempt, now)
        if overdue:
            health.overdue(attempt, now)
        health.ended(attempt, end, now)
    assert not health.open or health.probe_due(now + 61)
