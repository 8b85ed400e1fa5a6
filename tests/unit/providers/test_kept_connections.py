"""Connections that are kept are fresh, quiet and our own process's."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from providers.sockets import Deadline, Kept
from providers.world import Timeouts


class HandClock:
    chance = random.Random(1)

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(eq=False)
class Line:
    sock: socket.socket
    far: socket.socket
    disposed: bool = False

    def end(self) -> None:
        self.disposed = True
        self.sock.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def kept(clock: HandClock) -> Kept[Line]:
    return Kept(clock, max_idle=30, size=2, dispose=Line.end)


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    made = [Line(*socket.socketpair()) for _ in range(3)]
    yield made
    for line in made:
        line.sock.close()
        line.far.close()


def test_the_newest_connection_goes_first(kept: Kept[Line], lines: list[Line]) -> None:
    kept.give(lines[0])
    kept.give(lines[1])
    assert kept.take() is lines[1]
    assert kept.take() is lines[0]
    assert kept.take() is None


def test_an_old_connection_is_not_used(kept: Kept[Line], lines: list[Line], clock: HandClock) -> None:
    kept.give(lines[0])
    clock.sleep(30)
    assert kept.take() is lines[0]
    kept.give(lines[0])
    clock.sleep(30.1)
    assert kept.take() is None
    assert lines[0].disposed


def test_old_ones_leave_when_a_new_one_comes(kept: Kept[Line], lines: list[Line], clock: HandClock) -> None:
    kept.give(lines[0])
    clock.sleep(31)
    kept.give(lines[1])
    assert lines[0].disposed
    assert not lines[1].disposed


def test_a_connection_that_the_other_side_closed_is_not_used(kept: Kept[Line], lines: list[Line]) -> None:
    kept.give(lines[0])
    lines[0].far.close()
    assert kept.take() is None
    assert lines[0].disposed


def test_a_connection_on_which_something_was_said_is_not_used(kept: Kept[Line], lines: list[Line]) -> None:
    kept.give(lines[0])
    lines[0].far.sendall(b"421 closing\r\n")
    assert kept.take() is None
    assert lines[0].disposed


def test_no_more_are_kept_than_wanted(kept: Kept[Line], lines: list[Line]) -> None:
    for line in lines:
        kept.give(line)
    assert [line.disposed for line in lines] == [True, False, False]


def test_after_the_end_nothing_is_kept(kept: Kept[Line], lines: list[Line]) -> None:
    kept.give(lines[0])
    kept.close()
    kept.give(lines[1])
    assert lines[0].disposed
    assert lines[1].disposed
    assert kept.take() is None


def test_a_child_process_does_not_speak_on_its_parents_connections(
    kept: Kept[Line], lines: list[Line]
) -> None:
    kept.give(lines[0])
    child = os.fork()
    if child == 0:
        taken = kept.take()
        os._exit(0 if taken is None and not lines[0].disposed and lines[0].sock.fileno() == -1 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert kept.take() is lines[0]


def test_a_deadline_shortens_every_wait_and_then_ends(clock: HandClock) -> None:
    deadline = Deadline(clock, Timeouts(connect=5, read=10, total=12))
    assert deadline.wait() == 10
    assert deadline.wait(3) == 3
    clock.sleep(9)
    assert deadline.wait() == 3
    clock.sleep(3)
    with pytest.raises(TimeoutError):
        deadline.wait()
