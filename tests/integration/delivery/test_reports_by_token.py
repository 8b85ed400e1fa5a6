"""A mailbox of bounces and complaints that wants the account's tokens (XOAUTH2) instead of a password."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Misconfigured
from providers import registry
from providers.registry import InvalidSettings
from providers.world import Timeouts, World
from tests.contract.emails import RealClock
from tests.contract.http_servers import TokenServer
from tests.integration.delivery import imap_with_tokens

USER = "shop@example.com"
PERSON = {"username": USER, "client_id": "c", "client_secret": "client-secret", "refresh_token": "refresh"}


class LaterClock(RealClock):
    """A clock that a test sets forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Mailbox:
    """The server, and the tokens that it knows."""

    def __init__(self, known: Path) -> None:
        self._known = known
        self.knows(())
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._process = subprocess.Popen(
            [sys.executable, imap_with_tokens.__file__, str(known), "--host", "127.0.0.1", "--port", str(self.port),
             "--no-tls", "dict", "--demo-user", USER, "--demo-password", "not told to anybody"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
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

    def knows(self, tokens: Any) -> None:
        self._known.write_text("\n".join(tokens))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    running = Mailbox(tmp_path / "tokens")
    yield running
    running.stop()


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer("refresh")
    yield server
    server.stop()


def account(mailbox: Mailbox, tokens: TokenServer, clock: LaterClock, **more: str) -> Any:
    config = {
        "token_url": f"http://127.0.0.1:{tokens.port}/token",
        "reports": {"host": "127.0.0.1", "port": mailbox.port, "tls": "none", "username": USER},
    }
    valid = registry.validate("gmail", config, {**PERSON, **more})
    world = World(clock, lambda: datetime.now(UTC), Timeouts(connect=2, read=2, total=4))
    return registry.build("gmail", "the-account", *valid, world)


def collected(provider: Any) -> int:
    found: int = provider.collect(lambda _: None, lambda: True)
    return found


def test_the_accounts_tokens_open_the_mailbox_and_a_stale_one_is_replaced_once(
    mailbox: Mailbox, tokens: TokenServer
) -> None:
    clock = LaterClock()
    provider = account(mailbox, tokens, clock)
    with pytest.raises(Misconfigured, match="refuses the username or the token"):
        collected(
            provider
        )  # it does not know the token yet, which is fresh: asking for another helps nothing
    assert len(tokens.forms) == 1
    mailbox.knows(tokens.issued)
    assert collected(provider) == 0
    assert len(tokens.forms) == 1
    mailbox.knows(["ya29.token-2"])  # the first one was taken back
    clock.ahead = 120
    assert collected(provider) == 0
    assert len(tokens.forms) == 2
    provider.close()


def test_a_mailbox_that_takes_no_tokens_says_so(mailbox: Mailbox, tokens: TokenServer) -> None:
    provider = account(mailbox, tokens, LaterClock(), reports_password="wrong")
    with pytest.raises(Misconfigured, match="refuses the username or the password"):
        collected(provider)
    assert tokens.forms == [], "a password of its own goes before"
    provider.close()


def test_a_mailbox_needs_a_password_or_an_oauth_client() -> None:
    config = {"reports": {"host": "imap.example.com", "username": USER}}
    with pytest.raises(InvalidSettings) as caught:
        registry.validate("gmail", config, {"username": USER, "password": "app password"})
    assert [p.path for p in caught.value.problems] == ["credentials.reports_password"]
    registry.validate("gmail", config, PERSON)


@pytest.mark.parametrize(
    ("reports", "password", "reads"), [(True, None, True), (True, "p", False), (False, None, False)]
)
def test_microsoft_is_asked_to_let_it_read_only_where_tokens_open_the_mailbox(
    tokens: TokenServer, reports: bool, password: str | None, reads: bool
) -> None:
    box = {"host": "outlook.office365.com", "username": USER}
    config: dict[str, Any] = {"token_url": f"http://127.0.0.1:{tokens.port}/token", "host": "127.0.0.1"}
    valid = registry.validate(
        "microsoft365",
        config | ({"reports": box} if reports else {}),
        {**PERSON, **({"reports_password": password} if password else {})},
    )
    world = World(RealClock(), lambda: datetime.now(UTC), Timeouts(connect=0.2, read=0.2, total=0.4))
    provider: Any = registry.build("microsoft365", "the-account", *valid, world)
    provider._tokens.current()
    provider.close()
    assert ("IMAP.AccessAsUser.All" in tokens.forms[0]["scope"]) == reads
