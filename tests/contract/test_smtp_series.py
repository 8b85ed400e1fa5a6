"""Several emails over one connection: each fares as if it had been sent alone, and none is sent twice."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from threading import Event

import pytest

from domain.attempt import SendResult
from domain.errors import (
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    Transient,
)
from domain.message import Address
from domain.ports import Letter
from providers.world import Timeouts
from tests.contract.certificates import Authority
from tests.contract.drivers import SMTPDriver
from tests.contract.emails import a_rich_email, an_email, new_id
from tests.contract.series import (
    A,
    B,
    Result,
    a_provider,
    close,
    kinds,
    letters,
    reset,
    say_and_leave,
    send,
    sender_of,
    taken,
)
from tests.contract.smtp_server import Answer


@pytest.fixture(params=[False, True], ids=["stepwise", "pipelined"])
def plain(request: pytest.FixtureRequest, authority: Authority) -> Iterator[SMTPDriver]:
    driver = SMTPDriver(authority, "none", pipelining=request.param)
    yield driver
    driver.stop()


@pytest.fixture
def pipelined(authority: Authority) -> Iterator[SMTPDriver]:
    driver = SMTPDriver(authority, "none", pipelining=True)
    yield driver
    driver.stop()


# -- the same emails, over one connection --------------------------------------------------------------------


def test_a_series_arrives_in_order_with_the_bytes_of_single_sends(plain: SMTPDriver) -> None:
    rich = a_rich_email()
    series = letters(5, e4=an_email(
        sender=Address(sender_of(4)), to=(A, B), html=rich.message.html, attachments=rich.message.attachments
    ))  # fmt: skip
    results = send(a_provider(plain), series)
    assert (plain.server.connections, taken(plain)) == (1, [1, 2, 3, 4, 5])
    in_series = plain.server.messages[:]
    plain.server.messages.clear()
    singles = []
    for letter in series:
        provider = a_provider(plain)
        singles.append(provider.send(letter.submission, letter.attempt_id))
        provider.close()
    assert plain.server.messages == in_series
    assert results == singles


def test_the_next_commands_go_with_the_end_of_an_email_where_the_server_offers_it(plain: SMTPDriver) -> None:
    assert kinds(send(a_provider(plain), letters(5))) == ["sent"] * 5
    assert plain.server.ahead == (4 if "PIPELINING" in plain.server.features else 0)


def test_a_series_of_none_has_no_results_and_no_connection(plain: SMTPDriver) -> None:
    assert send(a_provider(plain), []) == []
    assert plain.server.connections == 0


def test_two_series_share_a_connection(plain: SMTPDriver) -> None:
    provider = a_provider(plain)
    assert len(list(provider.send_series(letters(3), lambda: True))) == 3
    assert kinds(send(provider, letters(3))) == ["sent"] * 3
    assert plain.server.connections == 1


def test_a_result_is_known_before_the_next_email_goes(plain: SMTPDriver) -> None:
    provider = a_provider(plain)
    for place, result in enumerate(provider.send_series(letters(4), lambda: True), 1):
        assert isinstance(result, SendResult)
        assert plain.server.emails == place
    provider.close()


# -- a refusal is one email's --------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["MAIL", "DATA", "END"])
@pytest.mark.parametrize(("answer", "error"), [
    ("451 4.3.0 later", ProviderUnavailable), ("554 5.6.0 no", Rejected), ("452 4.3.1 too many messages", RateLimited),
])  # fmt: skip
def test_a_refused_email_touches_no_other(
    plain: SMTPDriver, stage: str, answer: str, error: type[ProviderError]
) -> None:
    plain.server.replies[f"{stage} {sender_of(3)}"] = answer
    results = send(a_provider(plain), letters(5))
    assert kinds(results) == ["sent", "sent", error.__name__, "sent", "sent"]
    assert plain.server.connections == 1
    assert [n for n in taken(plain) if n != 3] == [1, 2, 4, 5]
    assert taken(plain).count(3) == (stage == "END")  # it had the content, and said no


@pytest.mark.parametrize(("answer", "error"), [
    ("450 4.2.0 greylisted", Transient), ("550 5.1.1 no such user", Rejected),
])  # fmt: skip
@pytest.mark.parametrize("to", [(A,), (A, B), (B, A)], ids=["alone", "first of two", "second of two"])
def test_a_refused_recipient_stops_its_email_only(
    plain: SMTPDriver, answer: str, error: type[ProviderError], to: tuple[Address, ...]
) -> None:
    plain.server.replies[f"RCPT {A.email}"] = answer
    series = letters(5, e3=an_email(sender=Address(sender_of(3)), to=to))
    assert kinds(send(a_provider(plain), series)) == ["sent", "sent", error.__name__, "sent", "sent"]
    assert taken(plain) == [1, 2, 4, 5]
    assert plain.server.connections == 1


@pytest.mark.parametrize("place", [1, 3, 5])
def test_a_go_ahead_for_nobody_sends_nothing(pipelined: SMTPDriver, place: int) -> None:
    """RFC 2920, 3.1: a server may answer DATA with 354 although it refused every recipient."""
    pipelined.server.eager = True
    pipelined.server.replies[f"RCPT {A.email}"] = "550 5.1.1 no such user"
    odd = an_email(sender=Address(sender_of(place)), to=(A,))
    results = send(a_provider(pipelined), letters(5, **{f"e{place}": odd}))
    assert kinds(results) == ["Rejected" if n == place else "sent" for n in range(1, 6)]
    assert taken(pipelined) == [n for n in range(1, 6) if n != place]
    assert pipelined.server.connections == (2 if place < 5 else 1)
    assert pipelined.server.unfinished == 1


def test_an_email_too_large_for_the_server_is_alone_with_that(plain: SMTPDriver) -> None:
    plain.server.features = ("SIZE 20000", *plain.server.features[1:])
    series = letters(5, e3=an_email(sender=Address(sender_of(3)), text="line\n" * 10_000))
    assert kinds(send(a_provider(plain), series)) == ["sent", "sent", "Unsupported", "sent", "sent"]
    assert taken(plain) == [1, 2, 4, 5]
    assert plain.server.connections == 1
    assert sum(c.startswith("MAIL") for c in plain.server.commands) == 4


@pytest.mark.parametrize("place", [1, 2, 5])
def test_what_cannot_be_composed_is_its_own_result(plain: SMTPDriver, place: int) -> None:
    odd = an_email(to=(Address("jürgen@recipient.example"),))
    results = send(a_provider(plain), letters(5, **{f"e{place}": odd}))
    assert kinds(results) == ["Unsupported" if n == place else "sent" for n in range(1, 6)]
    assert taken(plain) == [n for n in range(1, 6) if n != place]
    assert plain.server.connections == 1


def test_a_fault_of_ours_in_composing_is_its_own_result(plain: SMTPDriver) -> None:
    class Broken(str):
        def isascii(self) -> bool:
            raise AttributeError

    odd = an_email(sender=Address(sender_of(3)), text=Broken("never composed before"))
    results = send(a_provider(plain), letters(5, e3=odd))
    assert kinds(results) == ["sent", "sent", "Unsupported", "sent", "sent"]
    assert taken(plain) == [1, 2, 4, 5]


# -- losses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [close, reset], ids=["closed", "reset"])
def test_a_connection_lost_after_the_final_dot_is_that_emails_doubt_alone(
    plain: SMTPDriver, loss: Answer
) -> None:
    plain.server.replies[f"END {sender_of(3)}"] = loss
    results = send(a_provider(plain), letters(5))
    assert kinds(results) == ["sent", "sent", "OutcomeUnknown", "sent", "sent"]
    assert taken(plain) == [1, 2, 3, 4, 5]
    assert plain.server.connections == 2


def test_a_server_that_falls_silent_after_the_final_dot_is_that_emails_doubt_alone(plain: SMTPDriver) -> None:
    def say_nothing(_: socket.socket) -> None:
        plain.server.stopping.wait()

    plain.server.replies[f"END {sender_of(2)}"] = say_nothing
    results = send(a_provider(plain, Timeouts(0.5, 0.2, 0.3)), letters(3))
    assert kinds(results) == ["sent", "OutcomeUnknown", "sent"]
    assert taken(plain) == [1, 2, 3]


@pytest.mark.parametrize("words", [
    ["250 ok"], ["250 ok", "421 4.7.0 enough for one connection"], ["250 ok", "garbage"], ["250 ok", "250"],
])  # fmt: skip
def test_a_connection_lost_after_an_answer_is_no_doubt_of_the_next_email(
    plain: SMTPDriver, words: list[str]
) -> None:
    plain.server.replies[f"END {sender_of(3)}"] = say_and_leave(*words)
    results = send(a_provider(plain), letters(5))
    if words[1:] == ["250"]:  # taken for the answer to MAIL: the loss is met a stage later
        assert kinds(results) == ["sent", "sent", "sent", "ProviderUnavailable", "sent"]
        assert taken(plain) == [1, 2, 3, 5]
        return
    assert kinds(results) == ["sent"] * 5
    assert taken(plain) == [1, 2, 3, 4, 5]
    assert plain.server.connections == 2


def test_a_reset_right_after_an_answer_is_no_doubt_of_the_next_email(plain: SMTPDriver) -> None:
    def answer_and_reset(connection: socket.socket) -> None:
        connection.sendall(b"250 ok\r\n")
        reset(connection)

    plain.server.replies[f"END {sender_of(3)}"] = answer_and_reset
    assert kinds(send(a_provider(plain), letters(5))) == ["sent"] * 5
    assert taken(plain) == [1, 2, 3, 4, 5]


def test_a_server_that_closes_with_421_after_two_emails_gets_the_rest_anew(plain: SMTPDriver) -> None:
    met: list[int] = []

    class Tired(dict[str, Answer]):
        def get(self, verb: str, otherwise: Answer) -> Answer:  # type: ignore[override]
            if verb == "MAIL":
                met.append(1)
                return "421 4.7.0 two are enough" if len(met) % 3 == 0 else otherwise
            return otherwise

    plain.server.replies = Tired()
    assert kinds(send(a_provider(plain), letters(5))) == ["sent"] * 5
    assert taken(plain) == [1, 2, 3, 4, 5]
    assert plain.server.connections == 3


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
@pytest.mark.parametrize(
    "loss", [close, reset, "421 4.3.2 bye", "hello"], ids=["close", "reset", "421", "garbage"]
)
def test_a_connection_lost_within_the_commands_is_not_sent_and_touches_no_other(
    plain: SMTPDriver, stage: str, loss: Answer
) -> None:
    plain.server.replies["RCPT a@recipient.example" if stage == "RCPT" else f"DATA {sender_of(3)}"] = loss
    series = letters(5, e3=an_email(sender=Address(sender_of(3)), to=(A,)))
    assert kinds(send(a_provider(plain), series)) == ["sent", "sent", "ProviderUnavailable", "sent", "sent"]
    assert taken(plain) == [1, 2, 4, 5]
    assert plain.server.connections == 2


def test_nobody_listening_any_more_is_every_following_emails_own_result(plain: SMTPDriver) -> None:
    def farewell(connection: socket.socket) -> None:
        plain.server.deafen()
        reset(connection)

    plain.server.replies[f"END {sender_of(2)}"] = farewell
    results = send(a_provider(plain), letters(4))
    assert kinds(results) == ["sent", "OutcomeUnknown", "ProviderUnavailable", "ProviderUnavailable"]


# -- being stopped -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", range(8))
def test_a_stop_ends_the_series_with_nothing_sent_of_the_email_in_hand(plain: SMTPDriver, calls: int) -> None:
    """The question comes twice for each email: before it is told, and before its content goes."""
    asked = iter(range(100))
    results = send(a_provider(plain), letters(5), lambda: next(asked) < calls)
    assert kinds(results) == ["sent"] * (calls // 2)
    assert taken(plain) == list(range(1, calls // 2 + 1))
    if calls == 0:
        assert plain.server.connections == 0


@pytest.mark.parametrize("calls", [3, 4])
def test_after_a_stop_the_next_send_delivers_exactly_its_own(plain: SMTPDriver, calls: int) -> None:
    asked = iter(range(100))
    provider = a_provider(plain)
    series = letters(5)
    assert len(list(provider.send_series(series, lambda: next(asked) < calls))) == calls // 2
    last = Letter(an_email(sender=Address(sender_of(9)), text="its own\n"), new_id())
    assert kinds(send(provider, [last])) == ["sent"]
    assert taken(plain)[calls // 2 :] == [9]
    assert b"its own" in plain.server.messages[-1][2]


@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_series_left_early_leaves_no_half_told_connection(plain: SMTPDriver, after: int) -> None:
    provider = a_provider(plain)
    series = provider.send_series(letters(5), lambda: True)
    for _ in range(after):
        assert isinstance(next(series), SendResult)
    series.close()
    last = Letter(an_email(sender=Address(sender_of(9)), text="its own\n"), new_id())
    assert kinds(send(provider, [last])) == ["sent"]
    assert taken(plain) == [*range(1, after + 1), 9]
    assert b"its own" in plain.server.messages[-1][2]


def test_a_series_left_early_gives_its_turn_back(plain: SMTPDriver) -> None:
    provider = a_provider(plain, Timeouts(0.3, 2, 4), max_connections=1)
    series = provider.send_series(letters(5), lambda: True)
    next(series)
    assert kinds(list(provider.send_series(letters(2), lambda: True))) == ["RateLimited", "RateLimited"]
    series.close()
    assert kinds(send(provider, letters(2))) == ["sent", "sent"]


# -- a connection's share ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "connections"), [(1, 7), (2, 4), (3, 3), (7, 1), (100, 1)])
def test_a_series_goes_over_as_many_connections_as_their_share_needs(
    plain: SMTPDriver, share: int, connections: int
) -> None:
    assert kinds(send(a_provider(plain, messages_per_connection=share), letters(7))) == ["sent"] * 7
    assert taken(plain) == list(range(1, 8))
    assert plain.server.connections == connections
    assert plain.server.unfinished == 0
    assert plain.server.commands.count("QUIT") == connections


def test_refused_emails_do_not_use_up_a_connections_share(plain: SMTPDriver) -> None:
    plain.server.replies[f"END {sender_of(2)}"] = "554 5.6.0 no"
    results = send(a_provider(plain, messages_per_connection=2), letters(4))
    assert kinds(results) == ["sent", "Rejected", "sent", "sent"]
    assert plain.server.connections == 2


# -- the final dot is counted --------------------------------------------------------------------------------


def test_a_server_that_stops_reading_a_body_in_the_middle_of_a_series_is_not_sent(plain: SMTPDriver) -> None:
    def say_go_and_sleep(connection: socket.socket) -> None:
        connection.sendall(b"354 go on\r\n")
        plain.server.stopping.wait()

    plain.server.replies[f"DATA {sender_of(2)}"] = say_go_and_sleep
    series = letters(3, e2=an_email(sender=Address(sender_of(2)), text="line\n" * 2_000_000))
    results = send(a_provider(plain, Timeouts(1, 0.2, 3)), series)
    assert kinds(results) == ["sent", "ProviderUnavailable", "sent"]
    assert taken(plain) == [1, 3]


def test_a_server_that_read_all_and_then_resets_leaves_a_doubt(plain: SMTPDriver) -> None:
    plain.server.replies[f"END {sender_of(2)}"] = reset
    series = letters(3, e2=an_email(sender=Address(sender_of(2)), text="line\n" * 100_000))
    assert kinds(send(a_provider(plain), series)) == ["sent", "OutcomeUnknown", "sent"]
    assert taken(plain) == [1, 2, 3]


def test_over_tls_a_final_dot_that_arrived_is_never_called_unsent(authority: Authority) -> None:
    """The dot may go while the next email's commands, in the same write, find no room any more."""
    many = tuple(Address(f"r{n}.{'x' * 50}@{'y' * 60}.{'z' * 60}.{'z' * 60}.example") for n in range(100))

    def stall(size: int) -> tuple[Result, bytes]:
        """How an email of `size` bytes ends where the server reads it only after the client has given up."""
        driver = SMTPDriver(authority, "implicit", pipelining=True)
        driver.server.narrow()
        given_up, came = Event(), bytearray()

        def read_late(connection: socket.socket) -> None:
            connection.sendall(b"354 go on\r\n")
            given_up.wait(5)
            while piece := connection.recv(65_536):
                came.extend(piece)

        driver.server.replies[f"DATA {sender_of(1)}"] = read_late
        provider = a_provider(driver, Timeouts(2, 0.1, 3), ca_pem=authority.pem)
        text = ("a line of forty characters, more or less" * size)[: size - 1]
        text = "\n".join(text[n : n + 40] for n in range(0, len(text), 41))
        series = provider.send_series(
            letters(
                2,
                e1=an_email(sender=Address(sender_of(1)), text=text),
                e2=an_email(sender=Address(sender_of(2)), to=many),
            ),
            lambda: True,
        )
        result = next(series)
        series.close()
        given_up.set()
        driver.server.wait_until_left(5)
        provider.close()
        driver.stop()
        return result, bytes(came)

    unread, came = stall(1_000_000)
    assert isinstance(unread, ProviderUnavailable)
    assert b"\r\n.\r\n" not in came
    arrived = 0
    for room in (14_000, 7_000):  # bytes, less than the commands of the next email
        result, all_of_it = stall(len(came) - room)
        if b"\r\n.\r\n" in all_of_it:
            arrived += 1
            assert isinstance(result, OutcomeUnknown)
    assert arrived


# -- a server that says more than it was asked ---------------------------------------------------------------


def test_a_connection_with_an_unasked_reply_serves_no_other_series(plain: SMTPDriver) -> None:
    provider = a_provider(plain)
    plain.server.replies[f"END {sender_of(1)}"] = "250 ok\r\n250 and something more"
    assert kinds(list(provider.send_series(letters(1), lambda: True))) == ["sent"]
    plain.server.replies.clear()
    assert kinds(send(provider, letters(2)[1:])) == ["sent"]
    assert (plain.server.connections, taken(plain)) == (2, [1, 2])


def test_what_was_said_before_the_content_is_no_reply_to_it(plain: SMTPDriver) -> None:
    plain.server.replies[f"DATA {sender_of(1)}"] = "354 go on\r\n250 ok"
    plain.server.replies[f"END {sender_of(1)}"] = "554 5.6.0 no"
    assert kinds(send(a_provider(plain), letters(2))) == ["ProviderUnavailable", "sent"]
    assert taken(plain) == [2]
