"""What providers charge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.pricing import UNLIMITED, PriceList, Segment, Tier, falling_edges, flat, graduated, in_force

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TIERED = graduated((20_000, 0.10), (UNLIMITED, 0.95))


@pytest.mark.parametrize(("volume", "price"), [(0, 0.10), (19_999, 0.10), (20_000, 0.95), (1e9, 0.95)])
def test_the_tier_that_a_recipient_falls_into_sets_its_price(volume, price):
    assert TIERED.price_at(volume) == price


def test_what_a_fee_includes_costs_nothing_more_and_counts_for_the_tiers():
    plan = PriceList((Tier(10_000, 1.0), Tier(UNLIMITED, 0.5)), monthly_fee=15, included=4_000)
    assert [plan.price_at(v) for v in (3_999, 4_000, 10_000)] == [0.0, 1.0, 0.5]
    assert plan.segments() == [Segment(4_000, 0.0), Segment(6_000, 1.0), Segment(UNLIMITED, 0.5)]
    assert plan.segments(9_000) == [Segment(1_000, 1.0), Segment(UNLIMITED, 0.5)]


def test_attachments_are_charged_by_the_gigabyte():
    assert PriceList((Tier(UNLIMITED, 0.0),), per_gigabyte=0.12).charge(0, 10, gigabytes=2) == pytest.approx(
        0.24
    )


@given(st.floats(0, 50_000), st.floats(0, 50_000), st.floats(0, 50_000))
def test_a_charge_does_not_depend_on_how_it_is_cut(start, first, second):
    whole = TIERED.charge(start, first + second)
    assert whole == pytest.approx(
        TIERED.charge(start, first) + TIERED.charge(start + first, second), abs=1e-9
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: PriceList(()),
        lambda: graduated((10, 1.0)),
        lambda: graduated((10, 1.0), (5, 2.0), (UNLIMITED, 3.0)),
        lambda: PriceList((Tier(UNLIMITED, -1.0),)),
    ],
)
def test_a_price_list_that_makes_no_sense_is_refused(make):
    with pytest.raises(ValueError):
        make()


def test_the_latest_price_list_that_has_begun_is_in_force():
    always = flat(1.0)
    now = PriceList((Tier(UNLIMITED, 2.0),), valid_from=NOW)
    later = PriceList((Tier(UNLIMITED, 3.0),), valid_from=NOW + timedelta(days=1))
    assert in_force([later, now, always], NOW) == now
    assert in_force([later, always], NOW) == always
    assert in_force([later], NOW) is None


def test_volume_has_to_be_earned_only_where_a_price_falls():
    assert falling_edges(TIERED.segments()) == []
    assert falling_edges(graduated((12_000, 0.9), (UNLIMITED, 0.15)).segments()) == [0]
