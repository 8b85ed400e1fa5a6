"""What is remembered of emails that are alike changes no decision."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.decide import emails_of, fleet_of
from routing.router import decide
from routing.snapshot import QuotaLeft, Snapshot
from tests.builders import NOW, a_provider, a_submission, an_attempt, chance
from tests.unit.routing.test_router import learned, standing

FLEET = fleet_of(6, random.Random(6))
EMAILS = emails_of(30, random.Random(7))

changes = st.one_of(
    st.tuples(st.just("room"), st.integers(0, 5), st.sampled_from((0.0, 0.4, 1.0))),
    st.tuples(st.just("quota"), st.integers(0, 5), st.sampled_from((None, 0, 1))),
    st.tuples(st.just("probe"), st.integers(0, 5), st.booleans()),
)


def changed(snapshot: Snapshot, what: str, k: int, value: Any) -> Snapshot:
    provider = snapshot.providers[k]
    if what == "room":
        provider = replace(provider, room=value)
    elif what == "quota":
        provider = replace(provider, quota=QuotaLeft(today=value))
    else:
        provider = replace(provider, probe_taken=value)
    fleet = [*snapshot.providers]
    fleet[k] = provider
    return replace(snapshot, providers=tuple(fleet))  # it goes on with the same memory


@given(
    st.lists(
        st.tuples(
            st.none() | changes, st.integers(0, 29), st.none() | st.integers(0, 5), st.integers(0, 300)
        ),
        max_size=30,
    )
)
def test_with_a_memory_and_without_decisions_are_the_same(steps):
    snapshot = replace(FLEET, settled={})
    for change, email, failed, seed in steps:
        if change is not None:
            snapshot = changed(snapshot, *change)
        history = () if failed is None else (an_attempt(snapshot.providers[failed]),)
        with_memory = decide(EMAILS[email], snapshot, history, NOW, chance(seed))
        afresh = decide(EMAILS[email], replace(snapshot, settled={}), history, NOW, chance(seed))
        assert with_memory.kept() == afresh.kept()
        assert with_memory.candidates == afresh.candidates


def test_a_rate_that_is_used_up_is_seen_by_the_next_decision():
    costly = replace(standing(2.0, 0.985), rate_price=5.0)
    full = learned(a_provider("scarce", standing=costly, rate_per_second=10.0))
    spent = replace(full, providers=(replace(full.providers[0], room=0.2),))

    def index(fleet):
        return decide(a_submission(), fleet, (), NOW, chance()).as_json()["candidates"][0]["index"]

    assert index(spent) > index(full) + 3
