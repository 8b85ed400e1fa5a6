"""The sandbox's SMTP dialect, on real sockets."""

import hashlib
import json
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.integration.sandbox_driver import PATIENCE, Driver, eventually, mime, running

NAME = "sandbox-smtp"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with running(tmp_path_factory.mktemp("sandbox")) as driver:
        yield driver


@pytest.fixture
def driver(shared: Driver) -> Iterator[Driver]:
    """The shared sandbox, empty and healthy."""
    shared.control("DELETE", "/messages")
    yield shared
    shared.heal(NAME)


def test_a_message_is_recorded_before_it_is_answered(driver: Driver) -> None:
    with driver.smtp() as connection:
        connection.mail("shop@example.org")
        connection.rcpt("ada@example.com")
        code, text = connection.data(mime().as_bytes())
        last = (driver.sandbox.directory / "received.jsonl").read_bytes().splitlines()[-1]
    assert code == 250
    assert json.loads(last)["message_id"] == text.decode().rpartition(" ")[2]


def test_all_that_was_sent_is_recorded(driver: Driver) -> None:
    message = mime(
        "Ada Lovelace <ada@example.com>",
        Cc="bob@example.com",
        Reply_To="help@example.org",
        X_Mailmux_Attempt="a-1",
        X_Mailmux_Email="e-1",
    )
    del message["Subject"]
    message["Subject"] = "Žluťoučký kůň"
    message.add_alternative("<p>rich</p>", subtype="html")
    message.add_attachment(b"\x00\xff", maintype="application", subtype="pdf", filename="účet.pdf")
    with driver.smtp() as connection:
        connection.send_message(
            message, "bounces@example.org", ["ada@example.com", "bob@example.com", "eve@example.com"]
        )
    (received,) = driver.received()
    assert received["envelope"] == {
        "from": "bounces@example.org",
        "to": ["ada@example.com", "bob@example.com", "eve@example.com"],
    }
    assert received["from"] == {"email": "shop@example.org", "name": "The shop"}
    assert received["to"] == [{"email": "ada@example.com", "name": "Ada Lovelace"}]
    assert [m["email"] for m in received["cc"] + received["bcc"]] == ["bob@example.com", "eve@example.com"]
    assert received["reply_to"] == [{"email": "help@example.org", "name": ""}]
    assert received["subject"] == "Žluťoučký kůň"
    assert received["text"].strip() == "It is on its way."
    assert received["html"].strip() == "<p>rich</p>"
    assert (received["attempt_id"], received["email_id"]) == ("a-1", "e-1")
    assert ["Message-ID", "<attempt-1@example.org>"] in received["headers"]
    (attachment,) = received["attachments"]
    assert (attachment["name"], attachment["type"], attachment["size"]) == ("účet.pdf", "application/pdf", 2)
    assert attachment["sha256"] == hashlib.sha256(b"\x00\xff").hexdigest()


def test_leading_dots_and_8_bit_text_arrive_as_they_were(driver: Driver) -> None:
    raw = "Subject: dots\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n.\r\n..two\r\nkůň\r\n".encode()
    with driver.smtp() as connection:
        connection.sendmail("shop@example.org", ["ada@example.com"], raw, ["BODY=8BITMIME"])
    assert driver.received()[0]["text"] == ".\n..two\nkůň\n"


def test_a_connection_carries_many_messages(driver: Driver) -> None:
    with driver.smtp() as connection:
        for _ in range(5):
            connection.send_message(mime())
    assert len(driver.received()) == 5


# The protocol


def test_what_is_offered_before_and_after_starttls(driver: Driver) -> None:
    account = driver.account(NAME)
    with smtplib.SMTP("127.0.0.1", account["port"], timeout=2) as connection:
        connection.ehlo()
        assert set(connection.esmtp_features) >= {"starttls", "pipelining", "size", "8bitmime"}
        assert "auth" not in connection.esmtp_features
        connection.starttls(context=ssl.create_default_context(cadata=account["ca_pem"]))
        connection.ehlo()
        assert connection.esmtp_features["auth"].split() == ["LOGIN", "PLAIN"]
        assert "starttls" not in connection.esmtp_features


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_certificate_is_valid_for_the_names_of_this_machine(driver: Driver, name: str) -> None:
    account = driver.account(NAME)
    context = ssl.create_default_context(cadata=account["ca_pem"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with smtplib.SMTP(name, account["port"], timeout=2) as connection:
        assert connection.starttls(context=context)[0] == 220


def test_the_certificate_is_not_valid_without_its_authority(driver: Driver) -> None:
    port = driver.account(NAME)["port"]
    with (
        smtplib.SMTP("127.0.0.1", port, timeout=2) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        connection.starttls(context=ssl.create_default_context())


def test_auth_is_refused_before_tls(driver: Driver) -> None:
    with smtplib.SMTP("127.0.0.1", driver.account(NAME)["port"], timeout=2) as connection:
        connection.ehlo()
        assert connection.docmd("AUTH", "PLAIN AGEAYg==")[0] == 538
        assert connection.mail("shop@example.org")[0] == 530


def test_mail_needs_auth(driver: Driver) -> None:
    with driver.smtp(login=False) as connection:
        connection.ehlo()
        assert connection.mail("shop@example.org")[0] == 530


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_both_mechanisms_check_the_password(driver: Driver, mechanism: str) -> None:
    credentials = driver.account(NAME)["credentials"]
    with driver.smtp(login=False) as connection:
        connection.ehlo()
        connection.user, connection.password = credentials["username"], "wrong"
        method = getattr(connection, f"auth_{mechanism.lower()}")
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            connection.auth(mechanism, method)
        assert refusal.value.smtp_code == 535
        assert refusal.value.smtp_error[:5] == b"5.7.8"
        connection.password = credentials["password"]
        assert connection.auth(mechanism, method)[0] == 235


def test_pipelined_commands_are_answered_in_order(driver: Driver) -> None:
    with driver.smtp() as connection:
        assert connection.sock is not None
        connection.send("MAIL FROM:<shop@example.org>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
        assert [connection.getreply()[0] for _ in range(3)] == [250, 250, 354]
        connection.send("Subject: one\r\n\r\n.\r\nRSET\r\nQUIT\r\n")
        assert [connection.getreply()[0] for _ in range(3)] == [250, 250, 221]
    assert driver.received()[0]["subject"] == "one"


def test_a_size_over_the_limit_is_refused(driver: Driver) -> None:
    with driver.smtp() as connection:
        assert connection.mail("shop@example.org", ["SIZE=999999999"])[0] == 552


def test_implicit_tls(tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text('[{"name": "smtps", "dialect": "smtp", "tls": "implicit"}]')
    with running(tmp_path / "data", accounts_file=file) as driver:
        account = driver.account("smtps")
        context = ssl.create_default_context(cadata=account["ca_pem"])
        with smtplib.SMTP_SSL("127.0.0.1", account["port"], timeout=2, context=context) as connection:
            connection.login(account["credentials"]["username"], account["credentials"]["password"])
            connection.send_message(mime())
        assert len(driver.received()) == 1


# Faults


def test_refuse_is_a_refused_connection_and_heal_listens_on_the_same_port(driver: Driver) -> None:
    driver.fail(NAME, "refuse")
    with pytest.raises(ConnectionRefusedError):
        driver.send_smtp()
    driver.heal(NAME)
    driver.send_smtp()
    assert len(driver.received()) == 1


def test_unavailable_is_421_at_connect(driver: Driver) -> None:
    driver.fail(NAME, "unavailable")
    with pytest.raises(smtplib.SMTPConnectError) as refusal:
        driver.send_smtp()
    assert refusal.value.smtp_code == 421


@pytest.mark.parametrize("mode", ["refuse", "unavailable", "auth"])
def test_a_waiting_connection_is_closed_by_a_fault_of_connecting(driver: Driver, mode: str) -> None:
    with driver.smtp() as connection:
        driver.fail(NAME, mode)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            connection.mail("shop@example.org")


def test_auth_is_535(driver: Driver) -> None:
    driver.fail(NAME, "auth")
    with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
        driver.send_smtp()
    assert refusal.value.smtp_code == 535


def test_ratelimit_is_450_at_mail(driver: Driver) -> None:
    driver.fail(NAME, "ratelimit")
    with driver.smtp() as connection:
        assert connection.mail("shop@example.org") == (450, b"4.7.0 Too many messages, try again later")


def test_sender_is_550_at_mail(driver: Driver) -> None:
    driver.fail(NAME, "sender")
    with driver.smtp() as connection:
        code, text = connection.mail("shop@example.org")
    assert (code, text[:5]) == (550, b"5.7.1")


def test_reject_is_550_for_every_recipient_and_counts_once_a_message(driver: Driver) -> None:
    driver.fail(NAME, "reject", count=1)
    with driver.smtp() as connection, pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        connection.send_message(mime("a@example.com, b@example.com"))
    assert {code for code, _ in refusal.value.recipients.values()} == {550}
    driver.send_smtp()
    assert len(driver.received()) == 1


def test_timeout_records_and_never_answers(driver: Driver) -> None:
    driver.fail(NAME, "timeout")
    with pytest.raises(TimeoutError), driver.smtp() as connection:
        send_unanswered(connection)
    assert len(driver.received()) == 1


def test_hang_neither_records_nor_answers(driver: Driver) -> None:
    driver.fail(NAME, "hang")
    with pytest.raises(TimeoutError), driver.smtp() as connection:
        send_unanswered(connection)
    assert driver.received() == []


@pytest.mark.parametrize(("mode", "recorded"), [("drop", 1), ("bare500", 0)])
def test_closed_after_the_final_dot(driver: Driver, mode: str, recorded: int) -> None:
    driver.fail(NAME, mode)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        driver.send_smtp()
    assert len(driver.received()) == recorded


def test_garbage_records_and_answers_nonsense(driver: Driver) -> None:
    driver.fail(NAME, "garbage")
    with driver.smtp() as connection:
        connection.mail("shop@example.org")
        connection.rcpt("ada@example.com")
        code, _ = connection.data(mime().as_bytes())
    assert code == -1
    assert len(driver.received()) == 1


def test_slow_records_at_once_and_answers_late(driver: Driver) -> None:
    driver.fail(NAME, "slow", delay=0.25)
    began = time.monotonic()
    driver.send_smtp(timeout=3)
    assert time.monotonic() - began >= 0.25
    assert len(driver.received()) == 1


def test_a_hanging_session_blocks_no_other(driver: Driver) -> None:
    driver.fail(NAME, "hang", count=1)
    with driver.smtp(timeout=5) as hanging:
        hanging.mail("shop@example.org")
        hanging.rcpt("ada@example.com")
        hanging.docmd("DATA")
        hanging.send("Subject: hangs\r\n\r\n.\r\n")
        assert eventually(lambda: driver.sandbox.board.look(NAME) is None)
        driver.send_smtp(timeout=2)
    assert [m["subject"] for m in driver.received()] == ["Your order"]


def test_a_broken_off_message_is_not_recorded(driver: Driver) -> None:
    with driver.smtp() as connection:
        connection.mail("shop@example.org")
        connection.rcpt("ada@example.com")
        connection.docmd("DATA")
        connection.send("Subject: half\r\n\r\nno final do")
    driver.send_smtp()
    assert [m["subject"] for m in driver.received()] == ["Your order"]


def send_unanswered(connection: smtplib.SMTP, message: EmailMessage | None = None) -> None:
    """Sends and waits for the answer, with the socket's own error where smtplib would wrap it."""
    connection.mail("shop@example.org")
    connection.rcpt("ada@example.com")
    connection.docmd("DATA")
    assert isinstance(connection.sock, socket.socket)
    connection.send((message or mime()).as_bytes() + b"\r\n.\r\n")
    connection.sock.settimeout(PATIENCE)
    connection.sock.recv(1)
