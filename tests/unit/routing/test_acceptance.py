"""How likely and how quickly a provider takes an email."""

from __future__ import annotations

import pytest

from routing.acceptance import DOUBT_SETTLES, Acceptance
from routing.signs import End


def fed(ends: str, seconds: float = 0.2) -> Acceptance:
    """One attempt a tenth of a second: a accepted, f failed, t timed out."""
    words = {"a": End.ACCEPTED, "f": End.FAILED, "t": End.TIMED_OUT}
    acceptance = Acceptance()
    for i, letter in enumerate(ends):
        acceptance.ended(i, words[letter], seconds, i / 10)
    return acceptance


def test_nothing_known_is_the_prior():
    ends = Acceptance().ends(0.0)
    assert ends.accepted == pytest.approx(0.995)
    assert ends.sample == 0


def test_it_learns_what_is_accepted_and_what_times_out():
    ends = fed("aaafaaaat" * 100).ends(90.0)
    assert ends.accepted == pytest.approx(7 / 9, abs=0.02)
    assert ends.timed_out == pytest.approx(1 / 9, abs=0.02)


def test_a_provider_that_rests_is_forgiven_with_time():
    acceptance = fed("t" * 50)
    after = [acceptance.ends(now).timed_out for now in (5.0, 600.0, 3600.0)]
    assert after == sorted(after, reverse=True)
    assert after[-1] < 0.002


def test_the_failures_that_opened_the_breaker_are_taken_back():
    acceptance = fed("a" * 100 + "ttfft")
    acceptance.forgive(10.5)
    assert acceptance.ends(10.5).accepted > 0.99
    assert acceptance.ends(10.5).timed_out < 0.001


def test_what_happens_while_it_is_down_does_not_count_but_says_how_it_fails():
    acceptance = fed("a" * 100)
    for attempt in range(200, 220):
        acceptance.ended(attempt, End.TIMED_OUT, 10.0, 11.0, counts=False)
    assert acceptance.ends(11.0).timed_out < 0.001
    assert acceptance.hung_share(11.0)[0] > 0.75


def test_events_tell_which_timeouts_had_been_accepted():
    acceptance = fed("t" * 40)
    for attempt in range(40):
        assert acceptance.confirmed(attempt)
    assert not acceptance.confirmed(41)
    assert acceptance.ends(10.0).taken == pytest.approx(0.3)  # nothing has settled yet
    assert acceptance.ends(DOUBT_SETTLES + 10).taken > 0.85


def test_patience_follows_the_latency_and_is_never_under_the_shortest():
    assert fed("a" * 200, 0.01).patience(20.0) == pytest.approx(0.8)
    assert 3.0 < fed("a" * 200, 3.0).patience(20.0) < 20.0


def test_a_late_success_tells_how_slow_it_is_even_while_it_counts_as_down():
    acceptance = fed("a" * 20)
    for attempt in range(100, 140):
        acceptance.ended(attempt, End.ACCEPTED, 4.0, 5.0, counts=False)
    assert acceptance.ends(5.0).seconds > 2.0
    assert acceptance.patience(5.0) > 4.0
