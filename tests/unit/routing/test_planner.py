"""What is scarce has a price, and only what is scarce."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from domain.message import OnUnknown
from routing.acceptance import Ends
from routing.allocation import Options, Tariff, Unsolved, allocate
from routing.forecasting import horizon
from routing.index import Worth
from routing.planner import SPENT, Demand, Supply, knapsack, plan
from routing.pricing import UNLIMITED, Segment, flat, graduated

FINE = Ends(1.0, 0.0, 0.1, 0.3, 1000)
SURE, PLAIN = Worth(60.0), Worth(5.0)


def a_supply(price, delivered=0.98, quota=None, rate=math.inf, prices=None, window=None):
    tariff = Tariff((prices or flat(price)).segments(), quota, window)
    return Supply(FINE, (delivered,), price, tariff, rate)


def demand(worth, providers=2):
    return Demand(worth, 0, (True,) * providers)


def planned(demands, emails, supplies, seconds=(3600.0,)):
    forecast = np.tile(np.array(emails, dtype=float), (len(seconds), 1))
    return plan(demands, forecast, np.array(seconds), supplies, OnUnknown.HOLD)


def test_plenty_costs_its_list_price():
    found = planned([demand(PLAIN)], [1000], [a_supply(0.1), a_supply(0.8)])
    assert found.shadow == pytest.approx((0.0, 0.0))
    assert found.rate == pytest.approx((0.0, 0.0))


def test_a_free_tier_that_does_not_suffice_is_worth_what_it_saves():
    found = planned([demand(PLAIN)], [1000], [a_supply(0.0, quota=400), a_supply(0.8)])
    assert found.shadow[0] == pytest.approx(SPENT * 0.8)


def test_what_is_left_of_a_day_competes_with_that_day_alone():
    """A hundred are left, and fifty emails come before there are more: keeping any for tomorrow would waste it."""
    free = a_supply(0.0, window=(1, 100.0))
    hours = (3600.0, 3600.0)
    assert planned([demand(PLAIN)], [50], [free, a_supply(0.8)], hours).shadow[0] == pytest.approx(0.0)
    scarce = planned([demand(PLAIN)], [500], [free, a_supply(0.8)], hours).shadow[0]
    assert scarce == pytest.approx(SPENT * 0.8)


def test_a_scarce_quota_is_used_and_not_kept_for_equals():
    """All emails gain the same by it: priced at the whole gain, none would be sent by it before the plan changes."""
    found = planned([demand(PLAIN)], [1000], [a_supply(0.0, quota=400), a_supply(0.8)])
    assert 0.0 + found.shadow[0] < 0.8


def test_a_quota_goes_to_those_who_gain_most_and_is_priced_by_those_who_do_not():
    """The good provider is worth 0.6 to SURE and 0.05 to PLAIN: the last of its emails decides."""
    supplies = [a_supply(0.1, delivered=0.99, quota=500), a_supply(0.1, delivered=0.98)]
    assert planned([demand(SURE), demand(PLAIN)], [400, 1000], supplies).shadow[0] == pytest.approx(
        SPENT * 0.05
    )
    assert planned([demand(SURE), demand(PLAIN)], [600, 1000], supplies).shadow[0] == pytest.approx(
        SPENT * 0.6
    )


def test_a_scarce_rate_has_a_price_in_the_first_bucket():
    found = planned([demand(PLAIN)], [3600], [a_supply(0.1, rate=0.5), a_supply(0.8)])
    assert found.rate[0] == pytest.approx(0.7)


def test_a_provider_that_the_plan_does_not_use_keeps_its_list_price():
    found = planned([demand(PLAIN)], [1000], [a_supply(0.1), a_supply(9.0, quota=5)])
    assert found.shadow[1] == 0.0


def test_a_discount_is_earned_where_the_volume_reaches_it():
    falling = a_supply(0.9, prices=graduated((12_000, 0.90), (UNLIMITED, 0.15)))
    much = planned([demand(PLAIN)], [60_000], [falling, a_supply(0.7)])
    little = planned([demand(PLAIN)], [10_000], [falling, a_supply(0.7)])
    assert much.shadow[0] == pytest.approx(0.15 - 0.9)  # each one brings the discount nearer
    assert little.shadow[0] == 0.0


def test_where_nothing_is_expected_nothing_is_scarce():
    """Also where all quotas are spent, and no program is left that could be solved."""
    for quota in (0.0, 5.0, None):
        found = planned([demand(PLAIN)], [0], [a_supply(0.1, quota=quota), a_supply(0.8, quota=quota)])
        assert (found.shadow, found.rate) == ((0.0, 0.0), (0.0, 0.0))


def test_without_a_solver_the_knapsack_gives_the_same_bid_price():
    supplies = [a_supply(0.1, delivered=0.99, quota=500), a_supply(0.1, delivered=0.98)]
    demands = [demand(SURE), demand(PLAIN)]
    for expected in ([400, 1000], [600, 1000], [100, 100]):
        bid = knapsack(demands, expected, supplies, OnUnknown.HOLD).shadow[0]
        assert bid == pytest.approx(planned(demands, expected, supplies).shadow[0], abs=1e-9)


def test_what_nobody_may_carry_is_left_over_and_not_an_error():
    found = planned([Demand(PLAIN, 0, (False, False))], [100], [a_supply(0.1), a_supply(0.2)])
    assert found.shadow == (0.0, 0.0)


def a_program(**more):
    one = np.zeros(1, dtype=np.int64)
    options = Options(one, one, one, np.array([1.0]), np.ones(1), np.ones(1))
    values: dict[str, Any] = {
        "demand": np.array([[10.0]]),
        "options": options,
        "capacity": np.array([[4.0]]),
        "tariffs": [Tariff([Segment(math.inf, 0.5)])],
        "penalty": np.array([9.0]),
    } | more
    return allocate(**values)


def test_what_does_not_fit_pays_the_penalty():
    found = a_program()
    assert found.given == pytest.approx([4.0])
    assert found.unserved == pytest.approx(np.array([[6.0]]))
    assert found.total == pytest.approx(4 * 1.5 + 6 * 9)
    assert found.capacity_price[0, 0] == pytest.approx(7.5)


def test_a_program_without_a_solution_says_so():
    with pytest.raises((Unsolved, ValueError)):
        a_program(capacity=np.array([[-1.0]]))


def test_the_horizon_holds_all_that_is_expected():
    emails, seconds = horizon(np.array([1.0, 3.0]), 3600.0, 1800.0, 7200.0)
    assert seconds.sum() == pytest.approx(5400)
    assert emails.sum() == pytest.approx(1800 + 3 * 3600)
    assert seconds[0] == 300
