"""When a campaign stops by itself, and how long it still takes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.campaigns import Limits, Progress, why_stop

LIMITS = Limits(Decimal(10), 0.001, 0.05, 100)


def progress(
    spent: str = "0",
    hard: int = 0,
    lately: int = 0,
    span: float = 300,
    taken: int | None = None,
    **statuses: int,
) -> Progress:
    """`taken`: as many as there are, unless some of them are deleted since."""
    return Progress(
        statuses, lately, span, sum(statuses.values()) if taken is None else taken, hard, Decimal(spent)
    )


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (progress(sent=1000), None),
        (progress("9.99", sent=1000), None),
        (progress("10", sent=1), "spend cap of 10"),
        (progress(sent=99, complained=1), "complaints: 1.00% of 100"),
        (progress(sent=98, complained=1), None),
        (progress(sent=5000, complained=4), None),
        (progress(delivered=900, bounced=100, hard=49), None),
        (progress(delivered=900, bounced=100, hard=50), "hard bounces: 5.00% of 1000"),
        (progress(delivered=900, bounced=100, hard=60, taken=12_000), None),  # most are deleted since
    ],
)
def test_it_stops_where_it_costs_or_harms_too_much(seen: Progress, says: str | None) -> None:
    reason = why_stop(LIMITS, seen)
    assert reason is None if says is None else says in (reason or "")


def test_without_a_cap_nothing_is_too_dear() -> None:
    assert why_stop(Limits(None, 1, 1, 100), progress("1000000", sent=1)) is None


@pytest.mark.parametrize(
    ("seen", "per_minute", "left"),
    [
        (progress(sent=10), None, 0.0),
        (progress(queued=100), None, None),
        (progress(queued=100), 60, 100.0),
        (progress(lately=300, queued=50, deferred=50), None, 100.0),
        (progress(lately=3000, queued=100), 60, 100.0),
        (progress(lately=20, span=20, queued=100), None, 100.0),
        (progress(lately=3, span=2, queued=60), 60, 100.0),
    ],
)
def test_how_long_it_still_takes(seen: Progress, per_minute: int | None, left: float | None) -> None:
    assert seen.seconds_left(per_minute) == left
