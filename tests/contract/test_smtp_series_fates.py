"""Whatever a server does to the emails of a series, they end as if each had been sent alone."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.attempt import SendResult
from domain.message import Address
from domain.ports import Letter
from tests.contract.certificates import Authority
from tests.contract.drivers import SMTPDriver
from tests.contract.emails import an_email, new_id
from tests.contract.series import (
    Result,
    a_provider,
    close,
    kinds,
    reset,
    say_and_leave,
    send,
    sender_of,
    taken,
)
from tests.contract.smtp_server import Answer


def leave_within_the_content(connection: socket.socket) -> None:
    connection.sendall(b"354 go on\r\n")
    connection.recv(1)
    reset(connection)


_NO = ["421 4.3.2 bye", "450 4.7.1 slow down", "451 4.3.0 later", "550 5.1.1 no", "554 5.6.0 no"]
_AT_ANY_STAGE: list[Answer] = [*_NO, "hello", "199 what", close, reset]
_BEHAVIOURS: dict[str, list[Answer]] = {
    "MAIL": _AT_ANY_STAGE,
    "RCPT": _AT_ANY_STAGE,
    "DATA": [*_AT_ANY_STAGE, leave_within_the_content, "250 no content wished"],
    "END": [*_AT_ANY_STAGE, "354 more", say_and_leave("250 ok"), say_and_leave("250 ok", "421 4.7.0 enough")],
}


@dataclass(frozen=True)
class Fate:
    """What becomes of one email. `size`: lines of text; the server takes about 400."""

    stage: str | None = None
    answer: Answer = ""
    recipients: int = 1
    refused: int = 1
    size: int = 1
    composable: bool = True


_fates = st.sampled_from(
    [(stage, answer) for stage, answers in _BEHAVIOURS.items() for answer in answers]
).flatmap(
    lambda it: st.builds(
        Fate,
        stage=st.sampled_from([it[0], it[0], None]),
        answer=st.just(it[1]),
        recipients=st.integers(1, 3),
        refused=st.integers(1, 3),
        size=st.sampled_from([1, 1, 1, 40, 1000]),
        composable=st.sampled_from([True] * 7 + [False]),
    )
)


def _play(driver: SMTPDriver, fates: Sequence[Fate]) -> list[Letter]:
    series = []
    for n, fate in enumerate(fates, 1):
        people = tuple(Address(f"r{n}-{i}@recipient.example") for i in range(1, fate.recipients + 1))
        if not fate.composable:
            people += (Address("jürgen@recipient.example"),)
        email = an_email(
            sender=Address(sender_of(n)), to=people, text=f".{n} " + ".x of the text\n" * fate.size
        )
        series.append(Letter(email, new_id()))
        if fate.stage == "RCPT":
            driver.server.replies[f"RCPT r{n}-{min(fate.refused, fate.recipients)}@recipient.example"] = (
                fate.answer
            )
        elif fate.stage is not None:
            driver.server.replies[f"{fate.stage} {sender_of(n)}"] = fate.answer
    return series


@given(
    fates=st.lists(_fates, min_size=2, max_size=6),
    pipelining=st.sampled_from([True, True, False]),
    eager=st.booleans(),
    share=st.sampled_from([1, 2, 3, 100]),
)
@example(fates=[Fate(), Fate("RCPT", "550 5.1.1 no"), Fate()], pipelining=True, eager=True, share=100)
@example(
    fates=[Fate(), Fate("END", reset), Fate(recipients=2), Fate()], pipelining=True, eager=False, share=100
)
@settings(max_examples=80, deadline=None)
def test_a_series_ends_as_single_sends_do(
    authority: Authority, fates: list[Fate], pipelining: bool, eager: bool, share: int
) -> None:
    together, alone = (SMTPDriver(authority, "none", pipelining) for _ in range(2))
    for driver in (together, alone):
        driver.server.eager = eager
        driver.server.features = ("SIZE 6000", *driver.server.features[1:])
    series = _play(together, fates)
    alone.server.replies = together.server.replies
    results = send(a_provider(together, messages_per_connection=share), series)
    singly: list[Result] = []
    for letter in series:
        singly += send(a_provider(alone), [letter])
    for driver in (together, alone):
        driver.server.wait_until_left(5)
        driver.stop()
    assert kinds(results) == kinds(singly)
    assert [r for r in results if isinstance(r, SendResult)] == [
        r for r in singly if isinstance(r, SendResult)
    ]
    assert together.server.messages == alone.server.messages
    told_done = [int(str(r.submission.envelope.sender.email)[1]) for r, x in zip(series, results, strict=True)
                 if isinstance(x, SendResult)]  # fmt: skip
    assert set(told_done) <= set(taken(together))
