"""How fast a provider may be used."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.pacing import Pace


def sent(pace: Pace, start: float, seconds: float, limit: float = math.inf) -> int:
    """Ask a hundred times a second; the provider itself refuses above `limit` per second."""
    count, tokens = 0, max(1.0, limit)
    for i in range(int(seconds * 100)):
        now = start + i / 100
        tokens = min(max(1.0, limit), tokens + limit / 100) if limit != math.inf else 1e9
        if not pace.admits(now):
            continue
        pace.take(now)
        if tokens >= 1:
            tokens -= 1
            count += 1
            pace.answered(now)
        else:
            pace.throttled(now)
    return count


def test_without_a_rate_nothing_is_held_back():
    assert Pace().admits(0.0)
    assert Pace().free(0.0) == 1.0


@given(st.floats(0.5, 50), st.integers(5, 60))
def test_a_configured_rate_is_never_exceeded_by_more_than_a_burst(rate, seconds):
    assert sent(Pace(rate), 0.0, seconds) <= rate * seconds + max(1.0, rate) + 1


def test_a_configured_rate_can_be_used_up():
    assert sent(Pace(5.0), 0.0, 60) >= 5.0 * 59


def test_the_free_part_of_the_burst_falls_as_it_is_used():
    pace = Pace(10.0)
    before = pace.free(0.0)
    pace.take(0.0)
    assert pace.free(0.0) == pytest.approx(before - 0.1)


def test_refusals_teach_the_true_rate():
    pace = Pace()
    sent(pace, 0.0, 10, limit=3.0)
    used = sent(pace, 10.0, 120, limit=3.0)
    assert 0.8 * 3 * 120 <= used <= 3 * 120 + 3
    assert pace.rate < 5


def test_a_taught_rate_climbs_back_and_is_forgotten():
    pace = Pace()
    sent(pace, 0.0, 5, limit=3.0)
    taught = pace.rate
    assert taught < 10
    pace.free(65.0)
    assert pace.rate > 2 * taught
    pace.free(1000.0)
    assert pace.rate == math.inf
