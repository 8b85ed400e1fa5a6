"""The SMTP adapter against Postfix, which hands on what it took to a server of ours: what was taken, and how often.

Skipped where Postfix is not installed (`scripts/install_test_servers.sh`) or the tests do not run as root, as which
Postfix starts.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.attempt import SendResult
from domain.errors import OutcomeUnknown, ProviderUnavailable, Rejected, Unsupported
from domain.message import Address, Attachment
from domain.ports import Letter
from providers import registry
from providers.world import Timeouts
from tests.contract.certificates import Authority, make_authority
from tests.contract.driver import read_mime
from tests.contract.emails import a_world, an_email, new_id
from tests.contract.smtp_server import SMTPServer

pytestmark = [
    pytest.mark.skipif(
        shutil.which("postfix") is None, reason="no Postfix here: scripts/install_test_servers.sh installs it"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix starts as root only"),
]

MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.test
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
relayhost = [127.0.0.1]:{sink}
smtp_tls_security_level = none
smtpd_tls_security_level = may
smtpd_tls_chain_files = {dir}/server.pem
smtpd_recipient_restrictions =
    check_recipient_access inline:{{nobody@recipient.example=REJECT}}, permit_mynetworks, reject
local_recipient_maps =
smtputf8_enable = yes
message_size_limit = 60000000
smtpd_client_connection_rate_limit = 0
"""
MASTER = """\
{port}    inet  n - n - - smtpd
{plain}   inet  n - n - - smtpd
    -o smtpd_discard_ehlo_keywords=8bitmime,smtputf8,pipelining,chunking,size
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
proxymap  unix  - - n - - proxymap
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """An instance of its own; `sink` is where it hands emails on. At `plain_port` it has no extension but STARTTLS."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority, self.folder = authority, folder
        self.sink = SMTPServer(None, "none")
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            self.port, self.plain_port = int(one.getsockname()[1]), int(other.getsockname()[1])
        for parent in [folder, *folder.parents]:  # Postfix's own user has to come by
            if str(parent).startswith("/tmp/"):
                parent.chmod(0o755)
        (folder / "queue").mkdir()
        (folder / "data").mkdir()
        shutil.chown(folder / "data", "postfix")
        shutil.copy(authority.server, folder / "server.pem")
        (folder / "server.pem").chmod(0o600)
        (folder / "main.cf").write_text(MAIN.format(dir=folder, sink=self.sink.port))
        (folder / "master.cf").write_text(MASTER.format(port=self.port, plain=self.plain_port))
        self._postfix("start")
        end = time.monotonic() + 15
        while not self._answers():
            if time.monotonic() > end:
                self.stop()
                raise AssertionError((folder / "maillog").read_text())
            time.sleep(0.05)

    def _postfix(self, command: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", str(self.folder), command],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as sock:
                return sock.recv(3) == b"220"
        except OSError:
            return False

    def handed_on(self, count: int) -> list[tuple[str, list[str], bytes]]:
        """What reached the sink, once so many emails did; and a moment later no more."""
        end = time.monotonic() + 10
        while len(self.sink.messages) < count and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.2)
        found, self.sink.messages = self.sink.messages, []
        return found

    def stop(self) -> None:
        self._postfix("stop")
        self.sink.stop()


@pytest.fixture(scope="module")
def postfix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
    folder = tmp_path_factory.mktemp("postfix")
    server = Postfix(folder, make_authority(tmp_path_factory.mktemp("ca")))
    yield server
    server.stop()


def adapter(postfix: Postfix, **config: Any) -> Any:
    settings = {"host": "127.0.0.1", "port": postfix.port, "ca_pem": postfix.authority.pem, **config}
    valid = registry.validate("smtp", settings, {})
    return registry.build("smtp", "postfix", *valid, a_world(Timeouts(connect=2, read=5, total=10)))


@pytest.mark.parametrize("extended", [True, False])
def test_an_email_beyond_ascii_goes_over_verified_tls_with_8bitmime_and_smtputf8_or_without(
    postfix: Postfix, extended: bool
) -> None:
    """What is composed is ASCII on the wire, so that neither extension is needed, here or further on."""
    provider = adapter(postfix, port=postfix.port if extended else postfix.plain_port)
    email = an_email(
        sender=Address("shop@sender.example", "Obchod s čajem"),
        to=(Address("ada@xn--bcher-kva.example", "Ada, Gräfin 😀"),),
        subject="Žluťoučký kůň 😀",
        text="Řádek\n.\n..dots\n" + "dlouhý " * 400,
    )
    attempt = new_id()
    provider.send(email, attempt)
    provider.close()
    ((sender, recipients, content),) = postfix.handed_on(1)
    assert sender == "shop@sender.example"
    assert content.isascii()
    parsed = read_mime(recipients, content)
    assert (parsed.attempt, parsed.subject) == (str(attempt), "Žluťoučký kůň 😀")
    assert parsed.to == [("ada@xn--bcher-kva.example", "Ada, Gräfin 😀")]
    assert parsed.text is not None
    assert parsed.text.rstrip("\n") == (email.message.text or "").rstrip("\n")


def test_a_certificate_that_nobody_vouches_for_is_refused(postfix: Postfix) -> None:
    provider = adapter(postfix, ca_pem=None)
    with pytest.raises(ProviderUnavailable, match="certificate"):
        provider.send(an_email(), new_id())
    provider.close()
    assert postfix.handed_on(0) == []


def test_a_recipient_that_is_refused_is_the_emails_fault(postfix: Postfix) -> None:
    provider = adapter(postfix)
    with pytest.raises(Rejected, match=r"554|550"):
        provider.send(an_email(to=(Address("nobody@recipient.example"),)), new_id())
    provider.close()
    assert postfix.handed_on(0) == []


def test_an_address_beyond_ascii_is_refused_before_the_wire(postfix: Postfix) -> None:
    """Postfix offers SMTPUTF8; the hosts behind it may not, and it would bounce there."""
    provider = adapter(postfix)
    with pytest.raises(Unsupported, match="ASCII"):
        provider.send(an_email(to=(Address("žofie@recipient.example"),)), new_id())
    provider.close()


def test_a_series_is_pipelined_and_each_email_arrives_once(postfix: Postfix) -> None:
    provider = adapter(postfix, tls="none")
    letters = [Letter(an_email(to=(Address(f"r{n}@recipient.example"),)), new_id()) for n in range(20)]
    bad = Letter(an_email(to=(Address("nobody@recipient.example"),)), new_id())
    results = list(provider.send_series([*letters[:10], bad, *letters[10:]], lambda: True))
    provider.close()
    assert [isinstance(r, SendResult) for r in results] == [True] * 10 + [False] + [True] * 10
    recipients = [r for _, rs, _ in postfix.handed_on(20) for r in rs]
    assert sorted(recipients) == sorted(f"r{n}@recipient.example" for n in range(20))


class Cutter:
    """Stands between and cuts the connection at the final dot: before the server has it, or after, with its answer."""

    def __init__(self, port: int, after: bool) -> None:
        self._port, self._after = port, after
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        client, _ = self._socket.accept()
        server = socket.create_connection(("127.0.0.1", self._port))
        with client, server:
            down = threading.Thread(target=self._pass_down, args=(server, client), daemon=True)
            down.start()
            came = b""
            while data := client.recv(65_536):
                came += data
                if came.endswith(b"\r\n.\r\n"):
                    break
                server.sendall(data)
            if self._after and came.endswith(b"\r\n.\r\n"):
                self._deaf = True
                server.sendall(data)
                time.sleep(0.5)  # until it has answered
            server.shutdown(socket.SHUT_RDWR)
            client.shutdown(socket.SHUT_RDWR)
            down.join(5)

    _deaf = False

    def _pass_down(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(65_536):
                if not self._deaf:
                    client.sendall(data)
        except OSError:
            pass

    def stop(self) -> None:
        self._socket.close()
        self._thread.join(10)


@pytest.mark.parametrize(("after", "taken"), [(False, 0), (True, 1)], ids=["before_the_dot", "after_the_dot"])
def test_a_connection_lost_at_the_dot_is_a_doubt_that_is_never_guessed(
    postfix: Postfix, after: bool, taken: int
) -> None:
    """Whoever sends cannot tell the two apart: the dot was written, and nothing came back."""
    cutter = Cutter(postfix.port, after)
    provider = adapter(postfix, tls="none", port=cutter.port)
    with pytest.raises(OutcomeUnknown):
        provider.send(an_email(), new_id())
    provider.close()
    cutter.stop()
    assert len(postfix.handed_on(taken)) == taken


class Early(Cutter):
    """Cuts once so many bytes came that the email is under way, and its end is not."""

    def __init__(self, port: int, enough: int) -> None:
        self._enough = enough
        super().__init__(port, after=False)

    def _carry(self) -> None:
        client, _ = self._socket.accept()
        server = socket.create_connection(("127.0.0.1", self._port))
        with client, server:
            down = threading.Thread(target=self._pass_down, args=(server, client), daemon=True)
            down.start()
            count = 0
            while count < self._enough and (data := client.recv(65_536)):
                count += len(data)
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
            client.shutdown(socket.SHUT_RDWR)
            down.join(5)


@pytest.mark.parametrize("enough", [30, 2_000_000], ids=["before_the_content", "within_the_content"])
def test_a_connection_lost_before_the_dot_is_no_doubt(postfix: Postfix, enough: int) -> None:
    cutter = Early(postfix.port, enough)
    provider = adapter(postfix, tls="none", port=cutter.port, max_bytes=60_000_000)
    file = Attachment("large.bin", "application/octet-stream", b"0123456789abcdef" * 1_000_000)
    with pytest.raises(ProviderUnavailable):
        provider.send(an_email(attachments=(file,)), new_id())
    provider.close()
    cutter.stop()
    assert postfix.handed_on(0) == []
