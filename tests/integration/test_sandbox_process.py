"""The sandbox as a process: starts, signals, crashes, restarts; and the commands that talk to it."""

import contextlib
import http.client
import json
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.sandbox import MODES as TAUGHT_MODES
from cli.sandbox import sandbox as command
from sandbox.faults import MODES
from sandbox.server import AlreadyRunning, Options, Sandbox
from tests.integration.sandbox_driver import eventually, mail, running

ROOT = Path(__file__).parents[2]


@contextmanager
def process(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A sandbox process that is ready; killed at the end if it runs still."""
    ready = directory / "endpoint"
    ready.unlink(missing_ok=True)  # a killed sandbox leaves it
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--data-dir", str(directory), "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert eventually(lambda: ready.exists() or started.poll() is not None, 10)
            yield started
        finally:
            started.kill()


def end(started: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, float, str]:
    """Exit code, seconds that it took, and what stood on stderr."""
    began = time.monotonic()
    started.send_signal(number)
    _, errors = started.communicate(timeout=10)
    return started.returncode, time.monotonic() - began, errors


def accounts(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "accounts.json").read_text())  # type: ignore[no-any-return]


def post(directory: Path, **fields: str) -> http.client.HTTPConnection:
    """Sends a message; the answer is still to be read."""
    account = accounts(directory)["accounts"][0]
    connection = http.client.HTTPConnection("127.0.0.1", account["port"], timeout=5)
    headers = {
        "Authorization": f"Bearer {account['credentials']['api_key']}",
        "Content-Type": "application/json",
    }
    connection.request("POST", "/v3/mail/send", json.dumps(mail(**fields)), headers)
    return connection


def status_of(directory: Path, **fields: str) -> int:
    """Sends a message; the status of the answer."""
    with contextlib.closing(post(directory, **fields)) as connection:
        return connection.getresponse().status


def mailmux(directory: Path, *arguments: str) -> Result:
    """Runs `mailmux sandbox …` with `directory` as the data directory."""
    return CliRunner().invoke(command, ["--data-dir", str(directory), *arguments])


def messages(data: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(mailmux(data, "inbox", "--json").output)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_though_calls_hang(tmp_path: Path, number: int) -> None:
    directory = tmp_path / "sandbox"
    with process(directory) as started:
        assert mailmux(tmp_path, "fail", "sandbox-sendgrid", "--mode", "hang").exit_code == 0
        assert mailmux(tmp_path, "fail", "sandbox-sendgrid-eu", "--mode", "refuse").exit_code == 0
        hanging = [post(directory) for _ in range(3)]
        smtp = socket.create_connection(("127.0.0.1", accounts(directory)["accounts"][2]["port"]))
        assert smtp.recv(3) == b"220"
        assert eventually(lambda: '"struck": 3' in mailmux(tmp_path, "status", "--json").output)
        code, seconds, errors = end(started, number)
        assert (code, errors) == (0, "")
        assert seconds < 2
        for connection in hanging:
            with pytest.raises(http.client.RemoteDisconnected):
                connection.getresponse()
            connection.close()
        smtp.close()
        assert not (directory / "endpoint").exists()


def test_a_restart_keeps_ports_secrets_certificates_and_messages_and_heals(tmp_path: Path) -> None:
    directory = tmp_path / "sandbox"
    with process(directory) as started:
        assert status_of(directory) == 202
        mailmux(tmp_path, "fail", "sandbox-smtp", "--mode", "refuse")
        before, inbox = accounts(directory), messages(tmp_path)
        token = (directory / "control-token").read_text()
        started.send_signal(signal.SIGTERM)
        printed, _ = started.communicate(timeout=10)
        assert started.returncode == 0
        assert before["accounts"][0]["base_url"] in printed
        assert before["accounts"][0]["credentials"]["api_key"] not in printed
    with process(directory):
        after = accounts(directory)
        assert after["accounts"] == before["accounts"]
        assert after["tls"] == before["tls"]
        assert (directory / "control-token").read_text() == token
        assert messages(tmp_path) == inbox
        assert "refuse" not in mailmux(tmp_path, "status").output
        assert status_of(directory) == 202
        assert [message["seq"] for message in messages(tmp_path)] == [2, 1]


def test_what_was_answered_survives_a_sigkill(tmp_path: Path) -> None:
    directory = tmp_path / "sandbox"
    with process(directory) as started:
        assert status_of(directory) == 202
        end(started, signal.SIGKILL)
    with process(directory):
        assert len(messages(tmp_path)) == 1


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a running sandbox."""
    data = tmp_path_factory.mktemp("data")
    with process(data / "sandbox"):
        yield data


def test_secrets_are_their_owners_alone(shared: Path) -> None:
    for name in ("accounts.json", "control-token", "smtp-certificate.pem", "received.jsonl"):
        assert stat.S_IMODE((shared / "sandbox" / name).stat().st_mode) == 0o600, name


def test_all_that_is_needed_to_register_the_accounts_is_in_one_file(shared: Path) -> None:
    known = accounts(shared / "sandbox")
    by_name = {account["name"]: account for account in known["accounts"]}
    assert list(by_name) == ["sandbox-sendgrid", "sandbox-sendgrid-eu", "sandbox-smtp", "sandbox-postmark"]
    sendgrid, smtp = by_name["sandbox-sendgrid"], by_name["sandbox-smtp"]
    assert sendgrid["base_url"] == f"http://127.0.0.1:{sendgrid['port']}"
    assert re.fullmatch(r"SG\.[\w-]{22}\.[\w-]{43}", sendgrid["credentials"]["api_key"])
    assert (smtp["host"], smtp["tls"]) == ("127.0.0.1", "starttls")
    assert set(smtp["credentials"]) == {"username", "password"}
    assert smtp["ca_pem"] == Path(smtp["ca_path"]).read_text() == known["tls"]["ca_pem"]
    assert known["control"]["url"] == (shared / "sandbox" / "endpoint").read_text().strip()


def test_an_account_whose_port_was_taken_moves_to_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path) as driver:
        port = driver.account("sandbox-sendgrid")["port"]
    with contextlib.closing(socket.create_server(("127.0.0.1", port))), running(tmp_path) as driver:
        moved = driver.account("sandbox-sendgrid")["port"]
        assert moved != port
        assert driver.send().status == 202
    assert caplog.messages[0] == f"port {port} is taken: sandbox-sendgrid moves to {moved}"


def test_a_taken_control_port_is_said_plainly(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        with process(tmp_path / "sandbox", "--port", port) as started:
            _, errors = started.communicate(timeout=10)
            assert started.returncode == 1
            assert errors == f"sandbox: port {port} on 127.0.0.1 is taken; choose another with --port\n"


def test_two_sandboxes_do_not_share_a_directory(tmp_path: Path) -> None:
    with running(tmp_path), pytest.raises(AlreadyRunning):
        Sandbox(Options(tmp_path, port=0))


def test_accounts_come_from_a_file_on_the_ports_that_were_asked_for(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        first = probe.getsockname()[1]
    file = tmp_path / "accounts"
    credentials = {"api_key": "SG.mine"}
    file.write_text(json.dumps([{"name": "one", "dialect": "sendgrid", "credentials": credentials}]))
    with running(tmp_path / "sandbox", accounts_file=file, first_account_port=first) as driver:
        (account,) = driver.known["accounts"]
        assert (account["name"], account["port"], account["credentials"]) == ("one", first, credentials)


# mailmux sandbox


def test_the_help_teaches_every_mode_in_its_order() -> None:
    assert list(TAUGHT_MODES) == list(MODES)
    output = CliRunner().invoke(command, ["fail", "--help"]).output
    for mode in MODES:
        assert re.search(rf"^ +{mode} +\S", output, re.MULTILINE), mode


def test_without_a_sandbox_the_commands_say_how_to_start_it(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    result = mailmux(tmp_path, "--url", url, "status")
    assert result.exit_code == 1
    assert f"no sandbox answers at {url}" in result.output
    assert f"python -m sandbox --data-dir {tmp_path / 'sandbox'}" in result.output


def test_fail_status_heal_and_inbox(shared: Path) -> None:
    assert "Nothing received" in mailmux(shared, "inbox").output
    failed = mailmux(shared, "fail", "sandbox-sendgrid", "--mode", "unavailable", "--count", "2")
    assert "sandbox-sendgrid now fails with unavailable, 2 times" in failed.output
    assert "unavailable ×2" in mailmux(shared, "status").output
    assert status_of(shared / "sandbox") == 503
    assert "sandbox-sendgrid: healthy" in mailmux(shared, "heal", "sandbox-sendgrid").output
    assert status_of(shared / "sandbox") == 202
    assert re.search(r"1 .* sandbox-sendgrid +ada@example.com +Your order", mailmux(shared, "inbox").output)
    mailmux(shared, "fail", "sandbox-smtp", "--mode", "refuse")
    assert mailmux(shared, "heal", "--all").exit_code == 0
    assert "refuse" not in mailmux(shared, "status").output

    unknown = mailmux(shared, "fail", "nobody", "--mode", "hang")
    assert unknown.exit_code == 1
    assert "there are sandbox-sendgrid, sandbox-sendgrid-eu, sandbox-smtp, sandbox-postmark" in unknown.output
    assert mailmux(shared, "heal").exit_code == 2
    assert mailmux(shared, "heal", "sandbox-smtp", "--all").exit_code == 2
    assert mailmux(shared, "fail", "sandbox-smtp", "--mode", "explode").exit_code == 2
    assert (
        "cannot be counted"
        in mailmux(shared, "fail", "sandbox-smtp", "--mode", "refuse", "--count", "1").output
    )


def test_without_the_token_nothing_can_be_changed(shared: Path, tmp_path: Path) -> None:
    url = (shared / "sandbox" / "endpoint").read_text().strip()
    result = mailmux(tmp_path, "--url", url, "heal", "--all")
    assert result.exit_code == 1
    assert f"cannot read {tmp_path / 'sandbox' / 'control-token'}" in result.output


def test_an_email_cannot_drive_the_readers_terminal(shared: Path) -> None:
    assert status_of(shared / "sandbox", subject="\x1b[2J[bold]hi[/]") == 202
    output = mailmux(shared, "inbox").output
    assert "\x1b" not in output
    assert "[bold]hi[/]" in output


def test_a_sandbox_with_a_name_is_reached_by_it(tmp_path: Path) -> None:
    with process(tmp_path):
        pass  # its certificate is for this machine only
    with process(tmp_path, "--name", "Sandbox"):
        told = accounts(tmp_path)
        by_name = {account["name"]: account for account in told["accounts"]}
        http_account, smtp = by_name["sandbox-sendgrid"], by_name["sandbox-smtp"]
        assert told["control"]["url"].startswith("http://sandbox:")
        assert http_account["base_url"] == f"http://sandbox:{http_account['port']}"
        control = int(told["control"]["url"].rpartition(":")[2])
        for host, status in {"sandbox": 200, "localhost": 200, "elsewhere": 403}.items():
            connection = http.client.HTTPConnection("127.0.0.1", control, timeout=5)
            connection.request("GET", "/", headers={"Host": f"{host}:{control}"})
            assert connection.getresponse().status == status, host
            connection.close()
        context = ssl.create_default_context(cadata=smtp["ca_pem"])
        for name in ("sandbox", "localhost"):
            with (
                socket.create_connection(("127.0.0.1", smtp["port"]), timeout=5) as plain,
                plain.makefile("rb") as replies,
            ):
                replies.readline()
                plain.sendall(b"EHLO me\r\n")
                while replies.readline()[3:4] == b"-":
                    pass
                plain.sendall(b"STARTTLS\r\n")
                assert replies.readline().startswith(b"220")
                context.wrap_socket(plain, server_hostname=name).close()
