"""What a month would have cost: the cheapest split is the cheapest, and keeps to the quotas."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from routing.hindsight import Offer, look_back
from routing.pricing import UNLIMITED, PriceList, Tier, flat
from tests.builders import new_id

PRICE = st.integers(0, 9).map(lambda cents: cents * 100.0)  # $ per 1,000


@st.composite
def price_lists(draw: st.DrawFn) -> PriceList:
    ends = sorted(draw(st.sets(st.integers(1, 12), max_size=2)))
    tiers = tuple(Tier(end, draw(PRICE)) for end in (*ends, UNLIMITED))
    return PriceList(tiers, included=draw(st.integers(0, 4)))


OFFERS = st.lists(
    st.builds(
        Offer,
        provider_id=st.builds(new_id),
        prices=price_lists(),
        exchange=st.sampled_from([1.0, 1.5]),
        daily=st.none() | st.integers(0, 6),
        monthly=st.none() | st.integers(0, 15),
    ),
    min_size=1,
    max_size=3,
)


@given(st.lists(st.integers(0, 6), max_size=3), OFFERS)
def test_no_split_within_the_quotas_is_cheaper(days: list[int], offers: list[Offer]) -> None:
    total, rooms = sum(days), [offer.room(days) for offer in offers]
    costs = [
        sum(o.prices.charge(0, n) * o.exchange for o, n in zip(offers, parts, strict=True))
        for parts in product(*(range(room + 1) for room in rooms))
        if sum(parts) == total
    ]
    found = look_back(days, offers).cheapest
    if found is None:
        assert not costs
    else:
        exchange = {o.provider_id: o.exchange for o in offers}
        assert abs(sum(cost * exchange[p] for p, cost in found.items()) - min(costs)) < 1e-9


def test_one_provider_alone_is_charged_for_all_whether_its_quotas_fit_or_not() -> None:
    small, large = Offer(new_id(), flat(0.5), daily=10), Offer(new_id(), flat(1.0))
    found = look_back([5, 100], [small, large])
    assert {p: (round(s.cost, 6), s.fits) for p, s in found.single.items()} == {
        small.provider_id: (0.0525, False),
        large.provider_id: (0.105, True),
    }
    assert found.cheapest is not None
    assert {p: round(cost, 6) for p, cost in found.cheapest.items()} == {
        small.provider_id: 0.0075,  # 5 on the first day, 10 on the second
        large.provider_id: 0.09,
    }


def test_a_falling_tier_is_earned_where_that_is_cheaper() -> None:
    """100 recipients at 3, then at nothing: together dearer for 100 and cheaper for 1,000."""
    tiered = Offer(new_id(), PriceList((Tier(100, 3000.0), Tier(UNLIMITED, 0.0))))
    plain = Offer(new_id(), flat(1000.0))
    assert look_back([100], [tiered, plain]).cheapest == {plain.provider_id: 100.0}
    assert look_back([1000], [tiered, plain]).cheapest == {tiered.provider_id: 300.0}


def test_many_providers_with_many_tiers_are_split_at_once() -> None:
    def tiers(place: int) -> tuple[Tier, ...]:
        falling = (Tier(10_000.0 * 5**n, 1.0 / (n + place)) for n in range(1, 5))
        return (*falling, Tier(UNLIMITED, 0.1 / place))

    offers = [Offer(new_id(), PriceList(tiers(place)), daily=20_000 * place) for place in range(1, 9)]
    found = look_back([90_000] * 31, offers)
    assert found.cheapest is not None
    assert sum(found.cheapest.values()) <= min(one.cost for one in found.single.values())
