"""How attempts are counted by what is told of them, and what latencies add up to."""

from __future__ import annotations

import math
from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.events import BounceClass, DeliveryEvent, EventType
from domain.stats import STEPS, Measure, marks, percentile, step_of, ticks

ATTEMPTS = [UUID(int=n) for n in range(2)]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(ATTEMPTS),
        st.builds(DeliveryEvent, st.sampled_from(EventType), bounce=st.none() | st.sampled_from(BounceClass)),
    ),
    max_size=12,
)


@given(EVENTS, st.randoms(), st.lists(st.integers(1, 3), max_size=12))
def test_what_is_counted_depends_neither_on_the_order_of_events_nor_on_who_comes_together(
    events: list[tuple[UUID, DeliveryEvent]], random: object, sizes: list[int]
) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    counted: Counter[tuple[UUID, Measure]] = Counter()
    before: list[tuple[UUID, DeliveryEvent]] = []
    while shuffled:
        size = sizes.pop() if sizes else 1
        news, shuffled = shuffled[:size], shuffled[size:]
        for tick in ticks(before, news):
            counted[tick.attempt_id, tick.measure] += tick.by
        before += news
    assert +counted == Counter(
        (attempt, mark) for attempt in ATTEMPTS for mark in marks(e for of, e in events if of == attempt)
    )
    assert min(counted.values(), default=0) >= 0


def test_a_hard_bounce_takes_the_place_of_a_soft_one() -> None:
    soft = DeliveryEvent(EventType.BOUNCED, bounce=BounceClass.SOFT)
    hard = DeliveryEvent(EventType.BOUNCED, bounce=BounceClass.HARD)
    found = ticks([(ATTEMPTS[0], soft)], [(ATTEMPTS[0], hard)])
    assert [(t.measure, t.by) for t in found] == [(Measure.HARD_BOUNCED, 1), (Measure.SOFT_BOUNCED, -1)]
    assert marks([DeliveryEvent(EventType.BOUNCED)]) == {Measure.SOFT_BOUNCED}


def test_who_opened_it_has_got_it() -> None:
    assert marks([DeliveryEvent(EventType.CLICKED)]) == {Measure.DELIVERED, Measure.CLICKED}


@given(st.lists(st.floats(0.01, 40_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_percentile_of_the_scale_is_within_a_step_of_the_true_one(
    values: list[float], share: float
) -> None:
    counts = [0] * STEPS
    for value in values:
        counts[step_of(value)] += 1
    found = percentile(counts, share)
    true = max(sorted(values)[math.ceil(len(values) * share) - 1], 1.0)
    assert found is not None
    assert true / 2**0.5 - 1e-9 <= found <= true * 2**0.5 + 1e-9


def test_nothing_has_no_percentile() -> None:
    assert percentile([0] * STEPS, 0.5) is None
