"""The index: one number that ranks the first choice and the fallbacks."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.message import OnUnknown
from routing.acceptance import Ends
from routing.index import DOUBT_SECONDS, KAPPA, LOST_SECONDS, coefficients

MODES = pytest.mark.parametrize("mode", list(OnUnknown))


def index(ends, price, delivered, mode, value=20.0, wait=0.05):
    c = coefficients(ends, price, 0.0, (delivered,), mode)
    return c.fixed + value * c.loss[0] + wait * c.time


@st.composite
def providers(draw):
    accepted = draw(st.floats(0.05, 0.99))
    timed_out = draw(st.floats(0, 1)) * (1 - accepted)
    ends = Ends(accepted, timed_out, draw(st.floats(0.01, 5)), draw(st.floats(0, 1)), 100)
    return ends, draw(st.floats(0, 2)), draw(st.floats(0.3, 1))


def expected_cost_under_hold(order, value, wait):
    """Try in this order; what is left over costs its value."""
    cost, reach = 0.0, 1.0
    for e, price, delivered in order:
        doubt = e.timed_out
        cost += reach * (KAPPA + wait * e.seconds)
        cost += reach * e.accepted * (price + value * (1 - delivered))
        cost += (
            reach
            * doubt
            * (
                e.taken * (price + value * (1 - delivered) + wait * DOUBT_SECONDS)
                + (1 - e.taken) * (value + wait * LOST_SECONDS)
            )
        )
        reach *= 1 - e.accepted - doubt
    return cost + reach * 1000.0


@given(st.lists(providers(), min_size=2, max_size=4))
def test_under_hold_ascending_order_is_the_cheapest_of_all_orders(fleet):
    ranked = sorted(fleet, key=lambda p: index(p[0], p[1], p[2], OnUnknown.HOLD))
    best = min(expected_cost_under_hold(order, 20.0, 0.05) for order in permutations(fleet))
    assert expected_cost_under_hold(ranked, 20.0, 0.05) == pytest.approx(best, rel=1e-9, abs=1e-9)


@MODES
@given(providers(), st.floats(0.001, 1))
def test_all_else_equal_a_lower_price_never_ranks_later(mode, provider, cheaper):
    ends, price, delivered = provider
    assert index(ends, price, delivered, mode) <= index(ends, price + cheaper, delivered, mode)


@MODES
@given(providers(), st.floats(0, 0.3))
def test_all_else_equal_better_delivery_never_ranks_later(mode, provider, less):
    ends, price, delivered = provider
    assert index(ends, price, delivered, mode) <= index(ends, price, delivered - less, mode) + 1e-12


def test_under_hold_a_timeout_costs_the_email_unless_it_had_been_taken():
    lost = index(Ends(0.9, 0.1, 0.1, 0.0, 100), 0.1, 1.0, OnUnknown.HOLD)
    taken = index(Ends(0.9, 0.1, 0.1, 1.0, 100), 0.1, 1.0, OnUnknown.HOLD)
    assert lost - taken == pytest.approx(0.1 * 20 + 0.1 * 30 * 0.05 - 0.1 * 0.1, rel=0.01)


def test_under_resend_a_timeout_costs_the_price_and_the_duplicate():
    never = index(Ends(0.9, 0.1, 0.1, 0.0, 100), 0.1, 1.0, OnUnknown.RESEND)
    taken = index(Ends(0.9, 0.1, 0.1, 1.0, 100), 0.1, 1.0, OnUnknown.RESEND)
    assert taken - never == pytest.approx(0.1 / 0.9 * (0.1 + 2.0))
