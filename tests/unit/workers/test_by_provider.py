"""Parting what is told of a window by provider."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from workers.reporting import by_provider

A, B, C = (UUID(int=n) for n in range(3))


@given(st.lists(st.sampled_from([A, B, C, UUID(int=0)])))  # A again, as another object
def test_each_is_with_its_own_in_the_order_that_they_came(providers: list[UUID]) -> None:
    found = by_provider(providers, range(len(providers)))
    assert found == {p: [n for n, own in enumerate(providers) if own == p] for p in set(providers)}
