"""Bounces and complaints that come back as emails: read from an IMAP server's mailbox, applied to what was sent."""

from __future__ import annotations

import imaplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog

from domain.errors import Misconfigured, ProviderUnavailable, StorageUnavailable
from domain.events import BounceClass
from domain.lifecycle import fold
from providers import memory, registry, report_mailbox
from providers.report_mailbox import ReportMailbox
from providers.reports import read_report
from providers.world import Timeouts, World
from tests.builders import a_submission
from tests.contract.certificates import Authority, make_authority
from tests.contract.smtp_server import SMTPServer
from tests.integration.delivery.conftest import House
from workers.inbound import apply_events
from workers.reports import collect_reports

log = structlog.get_logger("test")
USER, PASSWORD = "bounces@shop.example", "correct horse"


class ImapServer:
    """pymap, a program of its own. Each has one mailbox, empty at first."""

    def __init__(self, authority: Authority | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        tls = ["--no-tls"]
        if authority is not None:
            tls = ["--cert", str(authority.server), "--key", str(authority.server)]
        self._process = subprocess.Popen(
            [str(Path(sys.executable).with_name("pymap")), "--host", "127.0.0.1", "--port", str(self.port), *tls,
             "dict", "--demo-user", USER, "--demo-password", PASSWORD],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._authority = authority
        end = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > end or self._process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.05)

    def open(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.port)
        if self._authority is not None:
            client.starttls(ssl.create_default_context(cafile=str(self._authority.ca)))
        client.login(USER, PASSWORD)
        return client

    def bring(self, *emails: bytes) -> None:
        client = self.open()
        for email in emails:
            kind, _ = client.append("INBOX", "", "", email)
            assert kind == "OK"
        client.logout()

    def unseen(self) -> int:
        client = self.open()
        client.select("INBOX", readonly=True)
        found = len(client.search(None, "UNSEEN")[1][0].split())
        client.logout()
        return found

    def flagged(self) -> int:
        client = self.open()
        client.select("INBOX", readonly=True)
        found = len(client.search(None, "FLAGGED")[1][0].split())
        client.logout()
        return found

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def empty(self) -> None:
        client = self.open()
        client.select("INBOX")
        client.store("1:*", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.logout()


@pytest.fixture(scope="module")
def shared() -> Iterator[ImapServer]:
    server = ImapServer()
    yield server
    server.stop()


@pytest.fixture
def imap(shared: ImapServer) -> ImapServer:
    shared.empty()
    return shared


@pytest.fixture
def smtp() -> Iterator[SMTPServer]:
    server = SMTPServer(None, "none")
    yield server
    server.stop()


def adapter(house: House, smtp_port: int, imap_port: int, password: str = PASSWORD, **mailbox: Any) -> Any:
    config = {
        "host": "127.0.0.1",
        "port": smtp_port,
        "tls": "none",
        "return_path": USER,
        "reports": {"host": "127.0.0.1", "port": imap_port, "tls": "none", "username": USER, **mailbox},
    }
    world = World(house.clock, lambda: datetime.now(UTC), Timeouts(connect=2, read=2, total=4))
    valid = registry.validate("smtp", config, {"reports_password": password})
    return registry.build("smtp", "relay", *valid, world)


@pytest.fixture
def relay(house: House, smtp: SMTPServer, imap: ImapServer) -> SMTPServer:
    house.provider("relay")
    house.adapters["relay"] = adapter(house, smtp.port, imap.port)
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE providers SET kind = 'smtp'")
    return smtp


def read(house: House) -> int:
    """What the clock's duty does, and then the applying of events."""
    providers = [row.id for row in house.all("SELECT id FROM providers")]
    found = collect_reports(
        house.units, providers, house.dispatcher.sender.adapter, house.bell, house.clock, log
    )
    apply_events(house.units, house.bell, house.clock, log)
    return found


def sent_by(house: House, relay: SMTPServer, *to: str) -> tuple[Any, bytes]:
    """An email on its way, and its bytes as the server has them."""
    (job,) = house.accept(a_submission(to=to or ("ada@x.example",)))
    house.drain()
    assert house.job(job).status == "sent"
    return job, relay.messages[-1][2]


def a_bounce(original: bytes, recipient: str, action: str, status: str, said: str = "no") -> bytes:
    report = MIMEMultipart("report", report_type="delivery-status")
    report["From"] = "MAILER-DAEMON@mx.example"
    report["Subject"] = "Undelivered Mail Returned to Sender"
    report["Message-ID"] = f"<{action}.{recipient}>"
    report.attach(MIMEText("I'm sorry to have to inform you …"))
    per_message, per_recipient = MIMEText(""), MIMEText("")
    del per_message["Content-Type"], per_message["MIME-Version"], per_message["Content-Transfer-Encoding"]
    del (
        per_recipient["Content-Type"],
        per_recipient["MIME-Version"],
        per_recipient["Content-Transfer-Encoding"],
    )
    per_message["Reporting-MTA"] = "dns; mx.example"
    per_recipient["Final-Recipient"] = f"rfc822; {recipient}"
    per_recipient["Action"] = action
    per_recipient["Status"] = status
    per_recipient["Diagnostic-Code"] = f"smtp; 550 {status} {said}"
    status_part = MIMEMultipart("x")
    status_part.set_type("message/delivery-status")
    status_part.set_payload([per_message, per_recipient])
    report.attach(status_part)
    report.attach(MIMEMessage(message_from_bytes(original)))
    return report.as_bytes()


def a_complaint(original: bytes, recipient: str) -> bytes:
    report = MIMEMultipart("report", report_type="feedback-report")
    report["From"] = "fbl@mailbox.example"
    report["Message-ID"] = f"<fbl.{recipient}>"
    report.attach(MIMEText("This is an email abuse report."))
    fields = Message()
    fields["Feedback-Type"] = "abuse"
    fields["User-Agent"] = "SomeGenerator/1.0"
    fields["Version"] = "1"
    fields["Original-Rcpt-To"] = f"<{recipient}>"
    part = Message()
    part["Content-Type"] = "message/feedback-report"
    part.set_payload([fields])
    report.attach(part)
    report.attach(MIMEMessage(message_from_bytes(original)))
    return report.as_bytes()


def test_bounces_go_to_the_return_path_and_the_senders_name_stays(house: House, relay: SMTPServer) -> None:
    _, content = sent_by(house, relay)
    assert relay.messages[-1][0] == USER
    assert b"From: hello@shop.example" in content


def test_a_bounce_in_the_mailbox_is_the_emails_and_is_read_once(
    house: House, relay: SMTPServer, imap: ImapServer
) -> None:
    job, content = sent_by(house, relay)
    imap.bring(a_bounce(content, "ada@x.example", "failed", "5.1.1", "no such user"))
    assert read(house) == 1
    assert house.job(job).status == "bounced"
    assert "no such user" in house.job(job).status_reason
    assert imap.unseen() == 0
    assert read(house) == 0


def test_of_several_recipients_the_report_says_which(
    house: House, relay: SMTPServer, imap: ImapServer
) -> None:
    job, content = sent_by(house, relay, "ada@x.example", "bob@x.example")
    imap.bring(
        a_bounce(content, "bob@x.example", "failed", "5.2.2", "mailbox full"),
        a_bounce(content, "ada@x.example", "delivered", "2.0.0", "ok"),
        a_bounce(content, "ada@x.example", "delayed", "4.4.1", "trying on"),
    )
    assert read(house) == 3
    with house.units() as unit:
        dossier = unit.inbound.hold([job])[job]
    standing = fold(dossier.recipients, dossier.attempts, dossier.events)
    fates = dict(zip(dossier.recipients, standing.recipients, strict=True))
    assert (fates["ada@x.example"].status, fates["bob@x.example"].status) == ("delivered", "bounced")
    assert fates["bob@x.example"].bounce is BounceClass.SOFT


def test_a_complaint_in_the_mailbox_is_the_emails(house: House, relay: SMTPServer, imap: ImapServer) -> None:
    job, content = sent_by(house, relay)
    imap.bring(a_complaint(content, "ada@x.example"))
    assert read(house) == 1
    assert house.job(job).status == "complained"


def test_what_is_no_report_is_marked_and_changes_nothing(
    house: House, relay: SMTPServer, imap: ImapServer
) -> None:
    job, _ = sent_by(house, relay)
    imap.bring(b"From: a@b.example\r\nSubject: Buy now\r\n\r\nHello\r\n", b"\x00\xff garbage")
    assert read(house) == 0
    assert imap.unseen() == 0
    assert house.job(job).status == "sent"


def test_what_could_not_be_stored_is_read_again(house: House, relay: SMTPServer, imap: ImapServer) -> None:
    job, content = sent_by(house, relay)
    imap.bring(a_bounce(content, "ada@x.example", "failed", "5.1.1"))

    def fail(_: object) -> None:
        raise StorageUnavailable("away")

    provider = house.adapters["relay"]
    with pytest.raises(StorageUnavailable):
        provider.collect(fail, lambda: True)  # type: ignore[attr-defined]
    assert imap.unseen() == 1
    assert read(house) == 1
    assert house.job(job).status == "bounced"


def test_an_email_that_cannot_be_read_holds_up_no_other(
    house: House, relay: SMTPServer, imap: ImapServer
) -> None:
    job, content = sent_by(house, relay)
    answer = b"Subject: =?utf-8?b?a?=\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: <a@b.example>\r\n\r\nAway\r\n"
    imap.bring(answer, a_bounce(content, "ada@x.example", "failed", "5.1.1"))
    assert read(house) == 2
    assert imap.unseen() == 0
    assert house.job(job).status == "bounced"


class Broken(memory.MemoryProvider):
    """The relay's mailbox, with a surprise in the reading of an email, or in what is to be kept of it."""

    def __init__(self, house: House, imap: ImapServer, read: Any = read_report, given: Any = None) -> None:
        super().__init__("relay")
        self._mailbox = ReportMailbox(host="127.0.0.1", port=imap.port, tls="none", username=USER)
        self._world = World(house.clock, lambda: datetime.now(UTC), Timeouts(connect=2, read=2, total=4))
        self._read, self._given = read, given or (lambda events: events)

    def collect(self, keep: Any, go_on: Any) -> int:
        def keep_others(events: Any) -> None:
            keep(self._given(events))

        return report_mailbox.collect(
            self.name, self._mailbox, PASSWORD, self._world, keep_others, go_on, self._read
        )


def breaks(raw: bytes) -> Any:
    if b"bob@x.example" in raw:
        raise OverflowError("a year of twenty digits")
    return read_report(raw)


def with_nul(events: Any) -> Any:
    """As a report of bob's would be that held what PostgreSQL does not."""
    if events[0].event.recipient == "bob@x.example":
        return [replace(events[0], raw="\0")]
    return events


@pytest.mark.parametrize("surprise", [{"read": breaks}, {"given": with_nul}])
def test_an_email_that_breaks_its_reading_is_put_aside_and_the_others_count(
    house: House, relay: SMTPServer, imap: ImapServer, surprise: dict[str, Any]
) -> None:
    """In a way that nobody has thought of: it breaks once, and not every round before the same email."""
    job, content = sent_by(house, relay)
    imap.bring(
        a_bounce(content, "bob@x.example", "failed", "5.1.1"),
        a_bounce(content, "ada@x.example", "failed", "5.1.1"),
    )
    (relay_id,) = [row.id for row in house.all("SELECT id FROM providers")]
    reading = Broken(house, imap, **surprise)
    with structlog.testing.capture_logs() as logs:
        assert (
            collect_reports(house.units, [relay_id], lambda _: reading, house.bell, house.clock, log) == 1
        ), "the other was kept"
    assert [entry["event"] for entry in logs] == ["reports_broken", "reports_read"]
    apply_events(house.units, house.bell, house.clock, log)
    assert house.job(job).status == "bounced"
    assert imap.unseen() == 0
    assert imap.flagged() == 1, "for somebody to look at"


def test_a_database_that_takes_nothing_marks_no_email(
    house: House, relay: SMTPServer, imap: ImapServer
) -> None:
    """As after a failover, where the connections lead to a standby: it is no email's fault."""
    job, content = sent_by(house, relay)
    imap.bring(*(a_bounce(content, f"{name}@x.example", "failed", "5.1.1") for name in ("ada", "bob")))
    (relay_id,) = [row.id for row in house.all("SELECT id FROM providers")]
    asked = 0

    @contextmanager
    def standby() -> Iterator[Any]:
        nonlocal asked
        asked += 1
        with house.units() as unit:
            unit.connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield unit

    adapter_of = house.dispatcher.sender.adapter
    with structlog.testing.capture_logs() as logs:
        assert collect_reports(standby, [relay_id], adapter_of, house.bell, house.clock, log) == 0
    assert [entry["event"] for entry in logs] == ["reports_broken"]
    assert asked == 1, "what takes nothing is not asked again for each email"
    assert (imap.unseen(), imap.flagged()) == (2, 0)
    assert read(house) == 2
    assert house.job(job).status == "bounced"


class BrokenMailbox(memory.MemoryProvider):
    """An account whose mailbox breaks its adapter in a way that nobody has thought of."""

    def __init__(self, error: Exception) -> None:
        super().__init__("broken")
        self._breaks_with = error

    def collect(self, *_: object) -> int:
        raise self._breaks_with


def test_an_account_that_breaks_holds_up_no_other(house: House, relay: SMTPServer, imap: ImapServer) -> None:
    job, content = sent_by(house, relay)
    imap.bring(a_bounce(content, "ada@x.example", "failed", "5.1.1"))
    (relay_id,) = [row.id for row in house.all("SELECT id FROM providers")]
    broken = uuid4()

    def adapter_of(provider_id: UUID) -> Any:
        if provider_id == broken:
            return BrokenMailbox(OverflowError("a year of twenty digits"))
        return house.dispatcher.sender.adapter(provider_id)

    assert collect_reports(house.units, [broken, relay_id], adapter_of, house.bell, house.clock, log) == 1
    apply_events(house.units, house.bell, house.clock, log)
    assert house.job(job).status == "bounced"
    away = BrokenMailbox(StorageUnavailable("away"))
    with pytest.raises(StorageUnavailable):
        collect_reports(house.units, [broken], lambda _: away, house.bell, house.clock, log)


def test_wrong_settings_of_the_mailbox_say_so(house: House, relay: SMTPServer, imap: ImapServer) -> None:
    refused = adapter(house, relay.port, imap.port, password="wrong")
    with pytest.raises(Misconfigured, match="username or the password"):
        refused.collect(lambda _: None, lambda: True)
    elsewhere = adapter(house, relay.port, imap.port, folder="No such")
    with pytest.raises(Misconfigured, match="no such folder"):
        elsewhere.collect(lambda _: None, lambda: True)
    nobody = adapter(house, relay.port, relay.port)
    with pytest.raises(ProviderUnavailable):
        nobody.collect(lambda _: None, lambda: True)


def test_the_mailbox_is_read_over_tls_that_is_verified(
    house: House, smtp: SMTPServer, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    server = ImapServer(authority)
    try:
        trusting = adapter(house, smtp.port, server.port, tls="starttls", ca_pem=authority.pem)
        assert trusting.collect(lambda _: None, lambda: True) == 0
        distrusting = adapter(house, smtp.port, server.port, tls="starttls")
        with pytest.raises(ProviderUnavailable, match="certificate verify failed"):
            distrusting.collect(lambda _: None, lambda: True)
    finally:
        server.stop()


def test_mailboxes_that_hang_have_a_rounds_time_and_none_is_left_out_for_good(house: House) -> None:
    read_of: list[str] = []

    class Hanging(memory.MemoryProvider):
        def collect(self, keep: Any, go_on: Any) -> int:
            read_of.append(self.name)
            house.clock.move(10)
            raise ProviderUnavailable(self.name, "timed out")

    for name in "abcde":
        house.provider(name)
        house.adapters[name] = Hanging(name, memory.Config())
    house.dispatcher.fleet.snapshot()
    for _ in range(30):
        began, before = house.clock.monotonic(), len(read_of)
        read(house)
        assert house.clock.monotonic() - began < 21
        assert len(read_of) - before == 2
    assert set(read_of) == set("abcde")


def test_a_mailbox_that_is_slow_is_left_when_the_time_is_over(house: House) -> None:
    emails = []

    class Slow(memory.MemoryProvider):
        def collect(self, keep: Any, go_on: Any) -> int:
            while go_on():
                house.clock.move(3)
                emails.append("one")
            return 0

    house.provider("slow")
    house.adapters["slow"] = Slow("slow", memory.Config())
    house.dispatcher.fleet.snapshot()
    read(house)
    assert len(emails) == 7
