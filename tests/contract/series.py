"""Series of emails to send through an SMTP server for tests, and what became of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import cast

from domain.attempt import SendResult
from domain.errors import ProviderError
from domain.message import Address, Submission
from domain.ports import Letter, SeriesProvider
from providers.world import Timeouts, World
from tests.contract.drivers import SMTPDriver
from tests.contract.emails import RealClock, an_email, new_id
from tests.contract.servers import Listener

A, B = Address("a@recipient.example"), Address("b@recipient.example")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATIENT = Timeouts(connect=2, read=2, total=4)
Result = SendResult | ProviderError


def a_still_world(timeouts: Timeouts = PATIENT) -> World:
    """Where the wall clock stands, so that the same letter is the same bytes."""
    return World(RealClock(), lambda: NOON, timeouts)


def a_provider(driver: SMTPDriver, timeouts: Timeouts = PATIENT, **config: object) -> SeriesProvider:
    return cast(SeriesProvider, driver.build(a_still_world(timeouts), **config))  # type: ignore[arg-type]


def sender_of(number: int) -> str:
    return f"s{number}@sender.example"


def letters(count: int, **emails: Submission) -> list[Letter]:
    """Emails from s1@…, s2@… on, so that a server can tell them apart; `e3=` is another third email."""
    return [
        Letter(
            emails.get(f"e{n}")
            or an_email(
                sender=Address(sender_of(n)), subject=f"Number {n}", text=f"This is {n}.\n.\n..x\n" * n
            ),
            new_id(),
        )
        for n in range(1, count + 1)
    ]


def send(
    provider: SeriesProvider, series: Sequence[Letter], go_on: Callable[[], bool] = lambda: True
) -> list[Result]:
    results = list(provider.send_series(series, go_on))
    provider.close()
    return results


def kinds(results: Sequence[Result]) -> list[str]:
    return [type(r).__name__ if isinstance(r, ProviderError) else "sent" for r in results]


def taken(driver: SMTPDriver) -> list[int]:
    """The numbers of the emails that the server took, in order, once it has read what came."""
    driver.server.wait_until_left(0.25)
    return [int(sender[1 : sender.index("@")]) for sender, _, _ in driver.server.messages]


def say_and_leave(*lines: str) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall("".join(line + "\r\n" for line in lines).encode())
        connection.shutdown(socket.SHUT_RDWR)

    return answer


def close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    Listener.reset(connection)
