"""How many emails are claimed at once."""

import pytest

from domain.message import Lane
from workers.dispatcher import Knobs


@pytest.mark.parametrize(
    ("carried", "seconds", "claimed"),
    [
        (200, 0.2, 500),  # as many as go within half a second
        (500, 0.5, 500),
        (200, 0.01, 1000),  # never more than `batch`
        (200, 0.0, 1000),  # a clock may not have moved on
        (200, 20.0, 100),  # never less than what goes out at once
        (3, 0.5, 100),
    ],
)
def test_a_claim_lasts_about_half_a_second(carried: int, seconds: float, claimed: int) -> None:
    assert Knobs(batch=1000, bulk_window=100).next_claim(Lane.BULK, carried, seconds) == claimed


def test_a_small_batch_is_the_most_that_is_claimed() -> None:
    knobs = Knobs(batch=7, window=25)
    assert knobs.first_claim == 7
    assert knobs.next_claim(Lane.TRANSACTIONAL, 7, 10.0) == 7
    assert knobs.next_claim(Lane.TRANSACTIONAL, 7, 0.001) == 7
