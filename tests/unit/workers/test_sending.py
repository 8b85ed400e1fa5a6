"""Sending a window: in series where a provider is quick, side by side where it is not; each email once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.attempt import SendResult
from domain.errors import ProviderError, ProviderUnavailable, Rejected
from domain.ports import Letter, Provider
from tests.unit.workers.sending_house import (
    APART,
    ENDS,
    FORGOTTEN,
    QUICK,
    SLOW,
    STUCK,
    House,
    InTurn,
    One,
    Several,
    Together,
    attempts,
    codes,
    emails,
    sent_ids,
)
from workers.sending import Outgoing, Sender


@pytest.fixture
def house() -> House:
    return House()


# -- order, and what a reply says ----------------------------------------------------------------------------


def test_replies_come_in_the_windows_order_whatever_the_providers(house: House) -> None:
    quick, slow, single = house.familiar(), house.familiar(SLOW), house.one()
    mixed = [
        email
        for trio in zip(emails(quick, 7), emails(slow, 7), emails(single, 7), strict=True)
        for email in trio
    ]
    replies = house.send(mixed)
    assert sent_ids(replies) == [f"<{attempt}>" for attempt in attempts(mixed)]
    assert sorted(quick.told + slow.told + single.told) == sorted(attempts(mixed))


def test_an_empty_window_has_no_replies(house: House) -> None:
    assert house.send([]) == []


def test_a_refusal_is_its_emails_own_reply(house: House) -> None:
    adapter = house.familiar()
    window = emails(adapter, 5)
    refusal = Rejected("the-provider", "550 no such user")
    adapter.fates[attempts(window)[2]] = refusal
    replies = house.send(window)
    assert codes(replies) == ["sent", "sent", "rejected", "sent", "sent"]
    assert replies[2].error is refusal
    assert adapter.series == [attempts(window)]


@pytest.mark.parametrize("kind", ["several", "one"])
def test_a_reply_tells_how_long_its_own_email_took(house: House, kind: str) -> None:
    adapter = house.familiar() if kind == "several" else house.one()
    window = emails(adapter, 3)
    adapter.fates[attempts(window)[1]] = 0.2
    assert [r.latency_ms for r in house.send(window)] == pytest.approx([QUICK * 1000, 200, QUICK * 1000])


# -- how long a series is ------------------------------------------------------------------------------------


def lengths(adapter: Several) -> list[int]:
    return [len(series) for series in adapter.series]


def test_an_unknown_provider_gets_short_series(house: House) -> None:
    adapter = house.several()
    house.send(emails(adapter, 6))
    assert lengths(adapter) == [2, 2, 2]


@pytest.mark.parametrize(("pace", "expected"), [
    (QUICK, [14, 14, 13]), (0.0098, [5, 5, 5, 5, 5, 4, 4, 4, 4]), (0.03, [1] * 41), (0.3, [1] * 41),
])  # fmt: skip
def test_a_series_is_as_long_as_the_provider_is_quick(house: House, pace: float, expected: list[int]) -> None:
    adapter = house.familiar(pace)
    house.send(emails(adapter, 41))
    assert sorted(lengths(adapter), reverse=True) == expected  # they go side by side, in any order


def test_the_pace_is_each_providers_own(house: House) -> None:
    quick, slow = house.familiar(QUICK), house.familiar(SLOW)
    house.send([*emails(quick, 10), *emails(slow, 10)])
    assert (lengths(quick), lengths(slow)) == ([10], [1] * 10)


def test_series_follow_a_provider_that_becomes_slow_and_quick_again(house: House) -> None:
    adapter = house.familiar(QUICK)

    def longest() -> int:
        adapter.series.clear()
        house.send(emails(adapter, 20))
        return max(lengths(adapter))

    assert longest() == 20
    adapter.pace = SLOW
    assert longest() == 20  # it is not known before it was met
    assert longest() == 1
    adapter.pace = QUICK
    assert longest() == 1
    recovering = [longest() for _ in range(6)]
    assert recovering == sorted(recovering)
    assert recovering[-1] == 20


def test_a_provider_that_takes_no_measurable_time_gets_everything_in_one_series(house: House) -> None:
    adapter = house.familiar(0.0)
    assert codes(house.send(emails(adapter, 100))) == ["sent"] * 100
    assert lengths(adapter) == [100]


def test_a_provider_without_series_gets_all_at_once() -> None:
    together = Barrier(4, timeout=5)

    class Meeting(One):
        def take(self, letter: Letter) -> SendResult | ProviderError:
            together.wait()
            return super().take(letter)

    with ThreadPoolExecutor(4) as pool:
        house = House(pool)
        adapter = Meeting(house.clock)
        house.adapters[adapter.id] = adapter
        assert codes(house.send(emails(adapter, 4))) == ["sent"] * 4


def test_series_of_a_slow_provider_go_side_by_side() -> None:
    together = Barrier(3, timeout=5)

    class Meeting(Several):
        def take(self, letter: Letter) -> SendResult | ProviderError:
            together.wait()
            return super().take(letter)

    with ThreadPoolExecutor(3) as pool:
        house = House(pool)
        adapter = Meeting(house.clock)
        house.adapters[adapter.id] = adapter
        assert codes(house.send(emails(adapter, 6))) == ["sent"] * 6
    assert lengths(adapter) == [2, 2, 2]


# -- being stopped -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["several", "one"])
def test_nothing_is_sent_once_the_lease_has_passed(house: House, kind: str) -> None:
    adapter = house.familiar() if kind == "several" else house.one()
    assert codes(house.send(emails(adapter, 5), lambda: False)) == ["not made"] * 5
    assert adapter.told == []


@pytest.mark.parametrize("kind", ["several", "one"])
def test_a_lease_that_passes_on_the_way_stops_what_is_left(house: House, kind: str) -> None:
    adapter = house.familiar() if kind == "several" else house.one()
    window = emails(adapter, 6)
    replies = house.send(window, lambda: len(adapter.told) < 4)
    assert codes(replies) == ["sent"] * 4 + ["not made"] * 2
    assert adapter.told == attempts(window)[:4]


def test_a_stop_holds_for_emails_that_wait_behind_a_stuck_one(house: House) -> None:
    adapter = house.familiar()
    window = emails(adapter, 6)
    adapter.fates[attempts(window)[1]] = STUCK
    lease = house.clock.now + STUCK / 2
    assert codes(house.send(window, lambda: house.clock.now < lease)) == ["sent"] * 2 + ["not made"] * 4
    assert adapter.told == attempts(window)[:2]


def test_no_series_is_begun_once_the_lease_has_passed(house: House) -> None:
    adapter = house.familiar()
    window = emails(adapter, 4)
    adapter.fates[attempts(window)[1]] = KeyError("x")
    replies = house.send(window, lambda: len(adapter.told) < 2)
    assert codes(replies) == ["sent", "outcome_unknown", "not made", "not made"]
    assert adapter.series == [attempts(window)]


# -- a provider that gets stuck ------------------------------------------------------------------------------


def test_behind_a_stuck_email_the_rest_goes_side_by_side(house: House) -> None:
    adapter = house.familiar()
    window = emails(adapter, 10)
    adapter.fates[attempts(window)[2]] = STUCK
    assert codes(house.send(window)) == ["sent"] * 10
    assert adapter.series == [attempts(window), *([attempt] for attempt in attempts(window)[3:])]
    assert adapter.told == attempts(window)
    assert adapter.left == len(adapter.series)


def test_a_stuck_email_that_is_refused_frees_the_rest_as_well(house: House) -> None:
    class Slow(Several):
        def take(self, letter: Letter) -> SendResult | ProviderError:
            result = super().take(letter)
            if isinstance(result, ProviderError):
                self.clock.sleep(STUCK)
            return result

    adapter = Slow(house.clock)
    house.adapters[adapter.id] = adapter
    house.send(emails(adapter, 2))
    window = emails(adapter, 5)
    adapter.fates[attempts(window)[0]] = ProviderUnavailable("the-provider", "timed out")
    assert codes(house.send(window)) == ["provider_unavailable", "sent", "sent", "sent", "sent"]
    assert lengths(adapter)[-4:] == [1, 1, 1, 1]


# -- an adapter that breaks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("fate", [KeyError("x"), ENDS], ids=["raises", "ends early"])
def test_an_adapter_that_breaks_leaves_one_doubt_and_the_rest_goes_once(
    house: House, place: int, fate: object
) -> None:
    adapter = house.familiar()
    window = emails(adapter, 5)
    adapter.fates[attempts(window)[place]] = fate
    replies = house.send(window)
    assert codes(replies) == ["outcome_unknown" if n == place else "sent" for n in range(5)]
    expected = [a for n, a in enumerate(attempts(window)) if n != place or fate is not ENDS]
    assert adapter.told == expected
    assert house.log.events == [
        ("adapter_broke", {"attempt": str(attempts(window)[place]), "provider": "the-provider"})
    ]


def test_an_adapter_without_series_that_breaks_leaves_one_doubt(house: House) -> None:
    adapter = house.one()
    window = emails(adapter, 3)
    adapter.fates[attempts(window)[1]] = KeyError("x")
    assert codes(house.send(window)) == ["sent", "outcome_unknown", "sent"]
    assert [event for event, _ in house.log.events] == ["adapter_broke"]


def test_an_adapter_that_cannot_begin_a_series_leaves_doubts_and_hinders_nobody_else(house: House) -> None:
    class Unable(Several):
        def send_series(self, *_: object) -> Any:
            raise KeyError("x")

    adapter, other = Unable(house.clock), house.familiar()
    house.adapters[adapter.id] = adapter
    replies = house.send([*emails(adapter, 2), *emails(other, 2)])
    assert codes(replies) == ["outcome_unknown"] * 2 + ["sent"] * 2


def test_an_adapter_that_fails_to_leave_a_series_changes_no_reply(house: House) -> None:
    class Sticky(Several):
        def send_series(
            self, letters: Sequence[Letter], go_on: Callable[[], bool]
        ) -> Generator[SendResult | ProviderError, None, None]:
            try:
                yield from super().send_series(letters, go_on)
            finally:
                raise KeyError("x")

    adapter = Sticky(house.clock)
    house.adapters[adapter.id] = adapter
    window = emails(adapter, 4)
    adapter.fates[attempts(window)[0]] = STUCK
    assert codes(house.send(window)) == ["sent"] * 4
    assert Counter(adapter.told) == Counter(attempts(window))
    assert "adapter_broke" in [event for event, _ in house.log.events]


# -- a provider that is taken away ---------------------------------------------------------------------------


def test_a_provider_that_was_taken_away_is_unavailable_and_hinders_nobody_else(house: House) -> None:
    gone, other = house.familiar(), house.familiar()
    del house.adapters[gone.id]
    replies = house.send([*emails(gone, 2), *emails(other, 2)])
    assert codes(replies) == ["provider_unavailable"] * 2 + ["sent"] * 2
    assert gone.told == []


def found_once_is_told_nothing(house: House, adapter: Together | Several) -> None:
    """It is there when it is looked for first, and is not any more."""
    found = iter([adapter])

    def find(_: UUID) -> Provider:
        for once in found:
            return once
        raise LookupError

    sender = Sender(find, InTurn(), house.clock, house.log)
    assert codes(sender.send(emails(adapter, 2), lambda: True)) == ["provider_unavailable"] * 2
    assert adapter.told == []


def test_a_provider_that_is_taken_away_while_the_window_is_shared_out_is_unavailable(house: House) -> None:
    adapter = house.familiar()
    found_once_is_told_nothing(house, adapter)


# -- whatever happens ----------------------------------------------------------------------------------------

_FATES: dict[str, Callable[[], object]] = {
    "sent": lambda: None,
    "slow": lambda: SLOW,
    "stuck": lambda: STUCK,
    "rejected": lambda: Rejected("the-provider", "no"),
    "raises": lambda: ValueError("x"),
    "ends": lambda: ENDS,
}
_CODES = {"rejected": "rejected", "raises": "outcome_unknown", "ends": "outcome_unknown"}


@given(
    fates=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(sorted(_FATES))), max_size=40),
    paces=st.tuples(*[st.sampled_from([0.0, QUICK, SLOW])] * 2),
)
@settings(max_examples=200, deadline=None)
def test_every_email_is_told_at_most_once_and_has_its_own_reply(
    fates: list[tuple[int, str]], paces: tuple[float, float]
) -> None:
    house = House()
    adapters: list[One] = [house.familiar(paces[0]), house.several(paces[1]), house.one()]
    window: list[Outgoing] = []
    expected: list[str] = []
    for which, fate in fates:
        adapter = adapters[which]
        if fate == "ends" and not isinstance(adapter, Several):
            fate = "raises"
        window += emails(adapter, 1)
        adapter.fates[attempts(window)[-1]] = _FATES[fate]()
        expected.append(_CODES.get(fate, "sent"))
    replies = house.send(window)
    assert codes(replies) == expected
    told = Counter(attempt for adapter in adapters for attempt in adapter.told)
    assert all(told[a] == (f != "ends" or w == 2) for a, (w, f) in zip(attempts(window), fates, strict=True))


# -- groups --------------------------------------------------------------------------------------------------


def test_several_emails_go_together_and_one_goes_alone(house: House) -> None:
    adapter = house.together()
    window = emails(adapter, 3)
    assert codes(house.send(window)) == ["sent"] * 3
    assert codes(house.send(emails(adapter, 1))) == ["sent"]
    assert adapter.groups == [attempts(window)]


def test_who_cannot_go_with_the_group_goes_by_itself(house: House) -> None:
    adapter = house.together()
    window = emails(adapter, 3)
    adapter.fates[attempts(window)[1]] = APART
    assert codes(house.send(window)) == ["sent"] * 3
    assert sorted(adapter.told) == sorted(attempts(window))


def test_a_group_that_is_stopped_leaves_the_rest_unsent(house: House) -> None:
    adapter = house.together()
    window = emails(adapter, 4)
    assert codes(house.send(window, lambda: len(adapter.told) < 2)) == ["sent"] * 2 + ["not made"] * 2


def test_nobody_goes_by_itself_once_the_lease_has_passed(house: House) -> None:
    adapter = house.together()
    window = emails(adapter, 3)
    adapter.fates[attempts(window)[0]] = APART
    asked = iter([True])
    assert codes(house.send(window, lambda: next(asked, False))) == ["not made"] * 3
    assert adapter.told == []


def test_an_adapter_that_breaks_in_a_group_leaves_a_doubt_where_nothing_is_known(house: House) -> None:
    adapter = house.together()
    window = emails(adapter, 4)
    adapter.fates[attempts(window)[2]] = ZeroDivisionError()
    assert codes(house.send(window)) == ["sent", "sent", "outcome_unknown", "outcome_unknown"]
    assert house.log.events


def test_an_email_that_a_group_says_nothing_of_is_in_doubt(house: House) -> None:
    adapter = house.together()
    window = emails(adapter, 3)
    adapter.fates[attempts(window)[1]] = FORGOTTEN
    assert codes(house.send(window)) == ["sent", "outcome_unknown", "sent"]
    assert adapter.told == [attempts(window)[0], attempts(window)[2]]


def test_an_email_that_a_group_says_nothing_of_is_in_doubt_though_the_lease_passes_meanwhile(
    house: House,
) -> None:
    adapter = house.together()
    window = emails(adapter, 4)
    adapter.fates[attempts(window)[1]] = FORGOTTEN  # it was let go before the no, so it may have been sent
    assert codes(house.send(window, lambda: len(adapter.told) < 2)) == [
        "sent",
        "outcome_unknown",
        "sent",
        "not made",
    ]


def test_that_a_lease_has_passed_since_makes_no_email_unsent(house: House) -> None:
    adapter = house.together()
    window = emails(adapter, 3)
    adapter.fates[attempts(window)[2]] = FORGOTTEN
    asked = iter([True] * 3)
    assert codes(house.send(window, lambda: next(asked, False))) == ["sent", "sent", "outcome_unknown"]


class Closing(InTurn):
    """A pool that takes nothing more from a moment on."""

    closed = False

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        return super().submit(work, *args, **named)


def test_a_pool_that_is_shut_down_amid_a_group_costs_no_email_its_answer() -> None:
    pool = Closing()
    house = House(pool)
    adapter = house.together()
    window = emails(adapter, 4)
    adapter.fates[attempts(window)[1]] = APART
    pool.closed = True
    assert codes(house.send(window)) == ["sent"] * 4
    one, apart, *others = attempts(window)
    assert adapter.told == [one, *others, apart], "behind the group, whose answers come"


def test_a_pool_that_is_shut_down_between_series_costs_no_email_its_answer() -> None:
    pool = Closing()
    house = House(pool)
    first, second, single = house.together(), house.several(SLOW), house.one()
    window = [*emails(first, 2), *emails(second, 3), *emails(single, 1)]
    pool.closed = True
    assert codes(house.send(window)) == ["sent"] * 6
    assert Counter(first.told + second.told + single.told) == Counter(attempts(window))


def test_a_provider_that_is_taken_away_before_its_group_goes_is_unavailable(house: House) -> None:
    adapter = house.together()
    found_once_is_told_nothing(house, adapter)
