"""What only SMTP has: stages, and a provable moment after which an email may have been taken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from email import message_from_bytes

import pytest

from domain.errors import (
    Misconfigured,
    NotAccepted,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Transient,
    Unsupported,
)
from domain.message import Address
from domain.ports import Provider
from providers.world import Timeouts
from tests.contract.certificates import Authority
from tests.contract.driver import SECRET
from tests.contract.drivers import SMTPDriver
from tests.contract.emails import QUICK, a_world, an_email, new_id
from tests.contract.servers import Does, Listener
from tests.contract.smtp_server import Answer, SMTPServer

A, B = Address("a@recipient.example"), Address("b@recipient.example")


# Every test runs against both kinds of server: one that takes a command at a time, and one with PIPELINING.
@pytest.fixture(params=[False, True], ids=["stepwise", "pipelined"])
def plain(request: pytest.FixtureRequest, authority: Authority) -> Iterator[SMTPDriver]:
    """A relay without TLS and accounts."""
    driver = SMTPDriver(authority, "none", pipelining=request.param)
    yield driver
    driver.stop()


@pytest.fixture(params=[False, True], ids=["stepwise", "pipelined"])
def secure(request: pytest.FixtureRequest, authority: Authority) -> Iterator[SMTPDriver]:
    driver = SMTPDriver(authority, "starttls", pipelining=request.param)
    yield driver
    driver.stop()


def error_of(provider: Provider, **email: object) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        provider.send(an_email(**email), new_id())  # type: ignore[arg-type]
    provider.close()
    return caught.value


def close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    Listener.reset(connection)


# -- until the final dot a loss is proof, after it a doubt ---------------------------------------------------


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("loss", ["close", "reset", "hang", "drip"])
def test_a_connection_lost_before_the_final_dot_is_not_sent(plain: SMTPDriver, stage: str, loss: str) -> None:
    def hang(_: socket.socket) -> None:
        plain.server.stopping.wait()

    def drip(connection: socket.socket) -> None:
        plain.server.drip(connection, b"250-wait\r\n")

    losses: dict[str, Answer] = {"close": close, "reset": reset, "hang": hang, "drip": drip}
    plain.server.replies[stage] = losses[loss]
    error = error_of(plain.provider(a_world(Timeouts(0.5, 0.25, 0.35))))
    assert type(error) is ProviderUnavailable
    assert plain.server.emails == 0


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    "answer", ["hello", "25", "199 ok", "451 4.3.0 later", "554 5.0.0 no", "421 4.3.2 bye"]
)
def test_no_answer_before_the_final_dot_leaves_a_doubt(plain: SMTPDriver, stage: str, answer: str) -> None:
    plain.server.replies[stage] = answer
    error = error_of(plain.provider(a_world(Timeouts(0.5, 0.25, 0.35))))
    assert isinstance(error, NotAccepted)
    if answer[:1] not in "45":
        assert type(error) is ProviderUnavailable
    assert plain.server.emails == 0


def test_a_connection_lost_in_the_middle_of_the_body_is_not_sent(plain: SMTPDriver) -> None:
    def leave_midway(connection: socket.socket) -> None:
        connection.sendall(b"354 go on\r\n")
        connection.recv(1000)
        reset(connection)

    plain.server.replies["DATA"] = leave_midway
    error = error_of(plain.provider(a_world()), text="line\n" * 2_000_000)
    assert type(error) is ProviderUnavailable


def test_a_server_that_stops_reading_the_body_is_not_sent(plain: SMTPDriver) -> None:
    def say_go_and_sleep(connection: socket.socket) -> None:
        connection.sendall(b"354 go on\r\n")
        plain.server.stopping.wait()

    plain.server.replies["DATA"] = say_go_and_sleep
    error = error_of(plain.provider(a_world(QUICK)), text="line\n" * 2_000_000)
    assert type(error) is ProviderUnavailable
    assert "timed out" in error.detail


@pytest.mark.parametrize(
    "answer",
    [close, reset, "354 go on", "hello", "2500 ok", "25", "+50 ok", "199 ok", "600 ok"],
)
def test_an_answer_to_the_final_dot_that_is_none_leaves_a_doubt(plain: SMTPDriver, answer: Answer) -> None:
    plain.server.replies["END"] = answer
    error = error_of(plain.provider(a_world()))
    assert type(error) is OutcomeUnknown
    assert plain.server.emails == 1


def test_an_endless_reply_is_cut_off(plain: SMTPDriver) -> None:
    def talk(connection: socket.socket) -> None:
        while not plain.server.stopping.is_set():
            connection.sendall(b"250-more\r\n" * 1000)

    plain.server.replies["END"] = talk
    error = error_of(plain.provider(a_world(Timeouts(1, 20, 20))))
    assert type(error) is OutcomeUnknown


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ("554 5.6.0 malformed", Rejected),
        ("550 The from address does not match a verified Sender Identity.", SenderNotVerified),
        ("554 Message rejected: Email address is not verified.", SenderNotVerified),
        ("451 4.3.0 try again", ProviderUnavailable),
        ("421 4.3.2 shutting down", ProviderUnavailable),
        ("454 Throttling failure: Maximum sending rate exceeded.", RateLimited),
        ("552 5.3.4 message too big", Unsupported),
    ],
)
def test_a_refusal_after_the_final_dot_is_not_sent(
    plain: SMTPDriver, answer: str, meaning: type[NotAccepted]
) -> None:
    plain.server.replies["END"] = answer
    assert type(error_of(plain.provider(a_world()))) is meaning


# -- all recipients or none ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "meaning"),
    [
        ("550 5.1.1 no such user", Rejected),
        ("450 4.2.0 greylisted", Transient),
        ("452 4.2.2 mailbox full", Transient),
        ("452 4.5.3 too many recipients here", Unsupported),
        ("554 5.7.1 <b@recipient.example>: Relay access denied", Misconfigured),
        ("421 4.7.0 closing", ProviderUnavailable),
    ],
)
def test_one_refused_recipient_stops_the_email_for_all(
    plain: SMTPDriver, refusal: str, meaning: type[NotAccepted]
) -> None:
    plain.server.replies[f"RCPT {B.email}"] = refusal
    error = error_of(plain.provider(a_world()), to=(A, B))
    assert type(error) is meaning
    assert plain.server.emails == 0
    assert "@" not in error.detail


def test_a_permanent_refusal_counts_more_than_one_that_may_pass(plain: SMTPDriver) -> None:
    plain.server.replies[f"RCPT {A.email}"] = "450 4.2.0 later"
    plain.server.replies[f"RCPT {B.email}"] = "550 5.1.1 no such user"
    assert type(error_of(plain.provider(a_world()), to=(A, B))) is Rejected


def test_after_a_refusal_the_connection_serves_the_next_email(plain: SMTPDriver) -> None:
    provider = plain.provider(a_world())
    plain.server.replies["RCPT"] = "550 5.1.1 no such user"
    with pytest.raises(Rejected):
        provider.send(an_email(), new_id())
    plain.server.replies.clear()
    provider.send(an_email(to=(B,)), new_id())
    provider.close()
    assert plain.server.connections == 1
    assert [recipients for _, recipients, _ in plain.server.messages] == [[B.email]]


def test_an_address_named_twice_is_one_recipient(plain: SMTPDriver) -> None:
    provider = plain.provider(a_world())
    provider.send(an_email(to=(A,), cc=(A,), bcc=(A,)), new_id())
    provider.close()
    assert [recipients for _, recipients, _ in plain.server.messages] == [[A.email]]


# -- commands together where the server says so (RFC 2920) ----------------------------------------------------


def test_commands_go_together_only_where_the_server_offers_it(plain: SMTPDriver) -> None:
    provider = plain.provider(a_world())
    provider.send(an_email(to=(A,)), new_id())
    provider.send(an_email(to=(A, B)), new_id())
    provider.close()
    together = [[command.split(":")[0] for command in group] for group in plain.server.groups]
    offered = "PIPELINING" in plain.server.features
    assert together == (
        [["MAIL FROM", "RCPT TO", "DATA"], ["MAIL FROM", "RCPT TO", "RCPT TO"]] if offered else []
    )
    assert plain.server.emails == 2


def test_what_was_offered_before_tls_does_not_count(authority: Authority) -> None:
    driver = SMTPDriver(authority, "starttls")
    hellos = iter(
        ["250-test.example\r\n250-PIPELINING\r\n250 STARTTLS", "250-test.example\r\n250 AUTH PLAIN"]
    )

    class Changing(dict[str, Answer]):
        def get(self, verb: str, otherwise: Answer) -> Answer:  # type: ignore[override]
            return next(hellos) if verb == "EHLO" else otherwise

    driver.server.replies = Changing()
    provider = driver.provider(a_world())
    provider.send(an_email(), new_id())
    provider.close()
    assert (driver.server.emails, driver.server.groups) == (1, [])
    driver.stop()


# -- kept connections ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("farewell", ["421 4.4.2 idle too long", close, reset])
def test_a_kept_connection_that_is_dead_before_mail_is_replaced_within_the_send(
    plain: SMTPDriver, farewell: Answer
) -> None:
    provider = plain.provider(a_world())
    provider.send(an_email(), new_id())

    def only_once(connection: socket.socket) -> None:
        plain.server.replies.clear()
        if callable(farewell):
            farewell(connection)
        else:
            connection.sendall(farewell.encode() + b"\r\n")

    plain.server.replies["MAIL"] = only_once
    provider.send(an_email(), new_id())
    provider.close()
    assert plain.server.connections == 2
    assert plain.server.emails == 2


def test_a_fresh_connection_that_dies_before_mail_is_not_tried_again(plain: SMTPDriver) -> None:
    plain.server.replies["MAIL"] = close
    assert type(error_of(plain.provider(a_world()))) is ProviderUnavailable
    assert plain.server.connections == 1


def test_a_connection_carries_no_more_than_its_share(plain: SMTPDriver) -> None:
    provider = plain.build(a_world(), messages_per_connection=2)
    for _ in range(5):
        provider.send(an_email(), new_id())
    provider.close()
    assert plain.server.connections == 3
    assert sum(c == "QUIT" for c in plain.server.commands) >= 2


def test_no_more_connections_than_the_account_allows(plain: SMTPDriver) -> None:
    plain.server.does = Does.HANG
    provider = plain.build(a_world(Timeouts(0.2, 0.6, 0.8)), max_connections=1)
    errors: list[ProviderError] = []

    def send() -> None:
        with pytest.raises(ProviderError) as caught:
            provider.send(an_email(), new_id())
        errors.append(caught.value)

    from threading import Thread

    threads = [Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    provider.close()
    assert sorted(type(e).__name__ for e in errors) == ["OutcomeUnknown", "RateLimited"]
    assert plain.server.connections == 1


# -- TLS and signing in --------------------------------------------------------------------------------------


def test_nothing_but_the_handshake_goes_in_plain_text(secure: SMTPDriver) -> None:
    secure.server.features = ()
    provider = secure.provider(a_world())
    provider.send(an_email(), new_id())
    provider.close()
    assert [c.split()[0].upper() for c in secure.server.commands[:4]] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def test_a_server_without_starttls_gets_neither_credentials_nor_email(authority: Authority) -> None:
    server = SMTPServer()
    driver = SMTPDriver(authority, "starttls")
    provider = driver.build(a_world(), port=server.port)
    error = error_of(provider)
    driver.stop()
    server.stop()
    assert type(error) is Misconfigured
    assert [c.split()[0].upper() for c in server.commands] == ["EHLO"]


def test_what_was_injected_before_tls_is_forgotten(secure: SMTPDriver) -> None:
    """An attacker's plain text after the 220 must not be read as the server's answer (CVE-2011-0411)."""
    secure.server.replies["STARTTLS"] = "220 go ahead\r\n250-evil\r\n250 SIZE 10"
    provider = secure.provider(a_world())
    provider.send(an_email(), new_id())
    provider.close()
    assert secure.server.emails == 1  # the size of the real answer counts, not the injected one


def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    driver = SMTPDriver(authority, "implicit")
    provider = driver.build(a_world(), host="127.0.0.2", ca_pem=authority.pem)
    error = error_of(provider)
    driver.stop()
    assert isinstance(error, NotAccepted)
    assert driver.server.emails == 0


def test_login_serves_where_plain_is_not_offered(secure: SMTPDriver) -> None:
    secure.server.replies["EHLO"] = "250-test.example\r\n250-STARTTLS\r\n250 AUTH LOGIN"
    provider = secure.provider(a_world())
    provider.send(an_email(), new_id())
    provider.close()
    assert "AUTH LOGIN" in secure.server.commands
    assert secure.server.emails == 1


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (f"535 5.7.8 bad password {SECRET}", Misconfigured),
        ("534 5.7.9 application-specific password required", Misconfigured),
        ("538 5.7.11 encryption required", Misconfigured),
        ("550 5.7.30 Basic authentication is not supported for Client Submission.", Misconfigured),
        ("535 5.7.8 Too many connections", RateLimited),
        ("454 4.7.0 Temporary authentication failure", ProviderUnavailable),
        ("432 4.3.2 Concurrent connections limit exceeded", RateLimited),
        ("432 4.7.12 a password transition is needed", Misconfigured),
        ("421 4.7.0 bye", ProviderUnavailable),
    ],
)
def test_signing_in_fails_for_a_reason(secure: SMTPDriver, answer: str, meaning: type[NotAccepted]) -> None:
    secure.server.replies["AUTH"] = answer
    error = error_of(secure.provider(a_world()))
    assert type(error) is meaning
    assert SECRET not in str(error)


# -- the email itself ----------------------------------------------------------------------------------------


def test_lines_that_begin_with_dots_and_smuggled_ends_stay_inside_the_email(plain: SMTPDriver) -> None:
    text = ".\n..\n.x\r\n.\r\nMAIL FROM:<evil@evil.example>\r\n\n.\n\r.\r\r\n.\rend."
    provider = plain.provider(a_world())
    provider.send(an_email(text=text), new_id())
    provider.close()
    ((_, _, content),) = plain.server.messages
    payload = message_from_bytes(content).get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().splitlines() == text.replace("\r\n", "\n").replace("\r", "\n").splitlines()
    assert not any("evil" in c for c in plain.server.commands)


def test_an_email_larger_than_the_server_takes_is_not_begun(plain: SMTPDriver) -> None:
    plain.server.features = ("SIZE 5000",)
    error = error_of(plain.provider(a_world()), text="x" * 80 + "\n" + "line\n" * 2000)
    assert type(error) is Unsupported
    assert not any(c.startswith("MAIL") for c in plain.server.commands)


def test_the_headers_that_arrive_are_those_we_meant(plain: SMTPDriver) -> None:
    provider = plain.provider(a_world())
    attempt = new_id()
    result = provider.send(an_email(headers=(("X-Own", "1"),), bcc=(B,)), attempt)
    provider.close()
    ((sender, recipients, content),) = plain.server.messages
    parsed = message_from_bytes(content)
    assert set(parsed.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "X-Own", "X-Mailmux-Attempt", "X-Mailmux-Email",
        "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    }  # fmt: skip
    assert parsed["Message-ID"] == f"<{attempt}@sender.example>" == result.provider_message_id
    assert (sender, recipients) == ("shop@sender.example", ["ada@recipient.example", B.email])
