"""What can be asked of a fault, and how often it strikes."""

import threading

import pytest

from sandbox.faults import MODES, FaultBoard, InvalidFault, parse_fault


def board_with(mode: str, count: int | None = None) -> FaultBoard:
    board = FaultBoard(["one", "two"])
    board.put("one", parse_fault(mode, count))
    return board


@pytest.mark.parametrize("mode", sorted(MODES))
def test_every_mode_can_be_asked_for_by_name_alone(mode: str) -> None:
    fault = parse_fault(mode)
    assert (fault.mode.name, fault.remaining) == (mode, None)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, 10**10])
def test_a_senseless_count_is_refused(count: object) -> None:
    with pytest.raises(InvalidFault, match="count"):
        parse_fault("hang", count)


@pytest.mark.parametrize("delay", [-0.1, float("nan"), float("inf"), "1", True])
def test_a_senseless_delay_is_refused(delay: object) -> None:
    with pytest.raises(InvalidFault, match="delay"):
        parse_fault("slow", None, delay)


def test_delay_is_the_reset_for_ratelimit_and_the_wait_for_others() -> None:
    assert parse_fault("ratelimit", None, 30).answer_delay == 0
    assert parse_fault("unavailable", None, 30).answer_delay == 30


def test_a_fault_strikes_its_account_only() -> None:
    board = board_with("hang")
    assert board.look("one") is not None
    assert board.look("two") is None


def test_a_counted_fault_heals_after_its_last_stroke() -> None:
    board = board_with("drop", 2)
    fault = parse_fault("drop")
    assert [board.strike("one", fault) for _ in range(3)] == [True, True, False]
    assert board.look("one") is None
    assert board.struck("one") == 2


def test_a_healed_fault_does_not_strike_those_who_saw_it_before() -> None:
    board = board_with("drop")
    seen = board.look("one")
    assert seen is not None
    board.put("one", None)
    assert not board.strike("one", seen)
    board.put("one", parse_fault("hang"))
    assert not board.strike("one", seen)


def test_many_callers_share_one_count() -> None:
    board = board_with("drop", 100)
    fault = parse_fault("drop")
    struck: list[bool] = []
    threads = [
        threading.Thread(target=lambda: struck.extend(board.strike("one", fault) for _ in range(50)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert struck.count(True) == 100
