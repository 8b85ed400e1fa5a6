"""What was handed to the system decides between "not sent" and "in doubt", to the byte."""

from __future__ import annotations

from typing import Any, cast

import pytest

from domain.ports import Clock
from providers.smtp_replies import Stage
from providers.smtp_session import Dropped, InDoubt, Parcel, Session, _Dialogue
from providers.sockets import Deadline
from providers.world import Timeouts
from tests.builders import chance

CONTENT = b"Subject: x\r\n\r\n" + b"some text\r\n" * 3000
ONE = Parcel("shop@sender.example", ["a@recipient.example"], CONTENT)
NEXT = Parcel("shop@sender.example", ["b@recipient.example"], CONTENT)


class StillClock:
    chance = chance()

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, _: float) -> None:
        raise AssertionError("nothing here waits")


class NarrowSocket:
    """Takes the commands, and `room` bytes of what follows; then the connection is reset."""

    def __init__(self, room: int) -> None:
        self.room, self.deadline = room, None

    def sendall(self, data: bytes) -> None:
        assert data.endswith(b"DATA\r\n")

    def send(self, data: memoryview) -> int:
        if not self.room:
            raise ConnectionResetError
        taken = min(self.room, len(data))
        self.room -= taken
        return taken


class PipeliningDialogue:
    """Says yes to MAIL, RCPT and DATA, and is gone when the content has an answer to come."""

    unread = False

    def __init__(self, sock: NarrowSocket) -> None:
        self.sock = sock
        self.replies = iter([(250, b""), (250, b""), (354, b"")])
        self.esmtp_features: dict[str, str] = {}

    def has_extn(self, name: str) -> bool:
        return name == "pipelining"

    def says_go_on(self) -> bool:
        return False  # nothing has come yet

    def getreply(self) -> tuple[int, bytes]:
        for reply in self.replies:
            return reply
        raise ConnectionResetError


def transmit(room: int, following: Parcel | None) -> None:
    session = Session(cast(Any, PipeliningDialogue(NarrowSocket(room))))
    deadline = Deadline(cast(Clock, StillClock()), Timeouts())
    session.transmit(ONE, deadline, lambda: True, following)


@pytest.mark.parametrize("following", [None, NEXT], ids=["the last", "with another behind it"])
@pytest.mark.parametrize("room", [0, 1, 16_384, len(CONTENT) - 1, len(CONTENT)])
def test_a_loss_before_the_final_dot_proves_that_nothing_was_sent(
    room: int, following: Parcel | None
) -> None:
    with pytest.raises(Dropped) as caught:
        transmit(room, following)
    assert caught.value.stage is Stage.DATA


@pytest.mark.parametrize("following", [None, NEXT], ids=["the last", "with another behind it"])
@pytest.mark.parametrize("more", [1, 2, 3, 4, 40, 1000])
def test_a_loss_from_the_final_dot_on_is_a_doubt(more: int, following: Parcel | None) -> None:
    with pytest.raises(InDoubt):
        transmit(len(CONTENT) + more, following)


@pytest.mark.parametrize(
    ("said", "go_on"),
    [
        (b"250 ok\r\n250 ok\r\n354 go\r\n", True),
        (b"250 ok\n251 forwards\n354 go\n", True),
        (b"250 ok\r\n550 no\r\n354 go\r\n", False),
        (b"250 ok\r\n250 ok\r\n554 no\r\n", False),
        (b"250 ok\r\n250-more\r\n250 ok\r\n354 go\r\n", False),  # in more lines: read one by one
        (b"250 ok\r\n250 ok\r\n354 g", False),  # the rest is on its way
        (b"", False),
    ],
)
def test_go_aheads_are_read_at_once_only_where_all_three_have_come(said: bytes, go_on: bool) -> None:
    dialogue = _Dialogue(local_hostname="here.example")
    dialogue._came = b"250 read before\r\n" + said
    dialogue._read = len(b"250 read before\r\n")
    assert dialogue.says_go_on() is go_on
    assert dialogue.unread is (bool(said) and not go_on)
