"""Signing in with tokens (XOAUTH2): fetched once, renewed in time, and never a doubt about an email."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from domain.attempt import SendResult
from domain.errors import Misconfigured, ProviderError, ProviderUnavailable, RateLimited
from domain.ports import Letter, Provider, SeriesProvider
from providers import registry
from providers.registry import InvalidSettings
from providers.world import Timeouts, World
from tests.contract.certificates import Authority
from tests.contract.drivers import SMTPDriver
from tests.contract.emails import RealClock, a_world, an_email, new_id
from tests.contract.http_servers import TokenServer, as_json
from tests.contract.servers import Does

PERSON = {"username": "shop", "client_id": "c", "client_secret": "client-secret", "refresh_token": "refresh"}


class LaterClock(RealClock):
    """A clock that a test sets forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
def mail(authority: Authority) -> Iterator[SMTPDriver]:
    driver = SMTPDriver(authority, "starttls", pipelining=True)
    driver.server.tokens = set()
    yield driver
    driver.stop()


@pytest.fixture
def tokens(mail: SMTPDriver) -> Iterator[TokenServer]:
    server = TokenServer("refresh")
    server.issued = mail.server.tokens = set()
    yield server
    server.stop()


def build(
    mail: SMTPDriver,
    tokens: TokenServer,
    kind: str = "gmail",
    world: World | None = None,
    credentials: dict[str, str] = PERSON,
    **config: Any,
) -> Provider:
    settings = {
        "host": "127.0.0.1",
        "port": mail.server.port,
        "ca_pem": mail.authority.pem,
        "token_url": f"http://127.0.0.1:{tokens.port}/token",
        **config,
    }
    valid = registry.validate(kind, settings, credentials)
    return registry.build(kind, "the-account", *valid, world or a_world(Timeouts(1, 0.5, 2)))


def error_of(provider: Provider) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        provider.send(an_email(), new_id())
    provider.close()
    return caught.value


def test_a_token_is_fetched_once_and_kept(mail: SMTPDriver, tokens: TokenServer) -> None:
    provider = build(mail, tokens, messages_per_connection=1)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: provider.send(an_email(), new_id()), range(10)))
    provider.check()
    provider.close()
    assert len(mail.received()) == 10
    assert tokens.forms == [
        {
            "client_id": "c",
            "grant_type": "refresh_token",
            "refresh_token": "refresh",
            "client_secret": "client-secret",
        }
    ]


def test_a_token_is_renewed_before_it_ends(mail: SMTPDriver, tokens: TokenServer) -> None:
    clock = LaterClock()
    known = a_world(Timeouts(1, 0.5, 2))
    provider = build(
        mail, tokens, world=World(clock, known.wall_time, known.timeouts), messages_per_connection=1
    )
    for seconds, fetched in ((0, 1), (3000, 1), (3550, 2), (3600, 2)):
        clock.ahead = seconds
        provider.send(an_email(), new_id())
        assert len(tokens.forms) == fetched
    provider.close()


def test_without_a_new_token_one_email_of_a_series_waits_and_the_next_is_itself(
    mail: SMTPDriver, tokens: TokenServer
) -> None:
    """The server had been told of the second with the end of the first."""
    clock = LaterClock()
    known = a_world(Timeouts(1, 0.5, 2))
    provider = build(mail, tokens, world=World(clock, known.wall_time, known.timeouts))
    assert isinstance(provider, SeriesProvider)
    series = provider.send_series([Letter(an_email(), new_id()) for _ in range(3)], lambda: True)
    results = [next(iter(series))]
    clock.ahead = 3600
    tokens.replies.append(as_json(503, {}))
    results += list(series)
    provider.close()
    assert [type(result) for result in results] == [SendResult, ProviderUnavailable, SendResult]
    assert len(mail.received()) == 2
    assert mail.server.ahead


def test_a_token_that_was_taken_back_is_replaced_once(mail: SMTPDriver, tokens: TokenServer) -> None:
    clock = LaterClock()
    known = a_world(Timeouts(1, 0.5, 2))
    provider = build(
        mail, tokens, world=World(clock, known.wall_time, known.timeouts), messages_per_connection=1
    )
    provider.send(an_email(), new_id())
    tokens.issued.clear()
    clock.ahead = 120
    provider.send(an_email(), new_id())
    assert (len(tokens.forms), len(mail.received())) == (2, 2)
    mail.behave(Does.REFUSE_CREDENTIALS)
    error = error_of(provider)
    assert type(error) is Misconfigured
    assert len(tokens.forms) == 2, "this one is new: that it is refused is no matter of age"
    assert "ya29" not in str(error)


def test_a_renewed_refresh_token_is_used_from_then_on(mail: SMTPDriver, tokens: TokenServer) -> None:
    tokens.issued.add("first")
    tokens.replies.append(as_json(200, {"access_token": "first", "expires_in": 1, "refresh_token": "newer"}))
    tokens.refresh_token = "newer"
    provider = build(mail, tokens, messages_per_connection=1)
    provider.send(an_email(), new_id())
    provider.send(an_email(), new_id())
    provider.close()
    assert [form["refresh_token"] for form in tokens.forms] == ["refresh", "newer"]


@pytest.mark.parametrize(
    ("status", "content", "meaning"),
    [
        (
            400,
            {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
            Misconfigured,
        ),
        (401, {"error": "invalid_client"}, Misconfigured),
        (200, {"token_type": "Bearer"}, Misconfigured),
        (200, {"access_token": "with\nbreak"}, Misconfigured),
        (200, ["x"], Misconfigured),
        (429, {}, RateLimited),
        (500, {"error": "internal_failure"}, ProviderUnavailable),
        (503, {}, ProviderUnavailable),
    ],
)
def test_without_a_token_nothing_is_sent_and_it_is_said_why(
    mail: SMTPDriver, tokens: TokenServer, status: int, content: Any, meaning: type[ProviderError]
) -> None:
    tokens.replies.append(as_json(status, content))
    error = error_of(build(mail, tokens))
    assert type(error) is meaning
    assert error.detail.startswith("no token: ")
    assert "client-secret" not in error.detail
    assert mail.server.commands == []


def test_a_lost_answer_of_the_token_server_is_no_doubt_about_the_email(
    mail: SMTPDriver, tokens: TokenServer
) -> None:
    tokens.does = Does.CLOSE
    error = error_of(build(mail, tokens))
    assert type(error) is ProviderUnavailable
    assert mail.server.commands == []


def test_an_application_signs_in_as_itself(mail: SMTPDriver, tokens: TokenServer) -> None:
    tokens.refresh_token = None
    credentials = {"username": "shop", "client_id": "c", "client_secret": "client-secret"}
    provider = build(mail, tokens, "microsoft365", credentials=credentials, tenant="example.org")
    provider.send(an_email(), new_id())
    provider.close()
    (form,) = tokens.forms
    assert (form["grant_type"], form["scope"]) == (
        "client_credentials",
        "https://outlook.office365.com/.default",
    )


def test_a_server_that_takes_no_tokens_is_a_wrong_setting(mail: SMTPDriver, tokens: TokenServer) -> None:
    mail.server.tokens = None
    error = error_of(build(mail, tokens))
    assert type(error) is Misconfigured
    assert "XOAUTH2" in error.detail


def test_an_app_password_works_too(mail: SMTPDriver, tokens: TokenServer) -> None:
    from tests.contract.driver import SECRET

    mail.server.tokens = None
    provider = build(mail, tokens, credentials={"username": "shop", "password": SECRET})
    provider.send(an_email(), new_id())
    provider.close()
    assert tokens.forms == []


@pytest.mark.parametrize(
    ("kind", "config", "host", "port", "recipients"),
    [
        ("gmail", {}, "smtp.gmail.com", 587, 100),
        ("microsoft365", {}, "smtp.office365.com", 587, 500),
    ],
)
def test_a_preset_needs_no_more_than_credentials(
    kind: str, config: dict[str, object], host: str, port: int, recipients: int
) -> None:
    checked, _ = registry.validate(kind, config, {"username": "shop@example.org", "password": "p"})
    known: Any = checked
    assert (known.host, known.port, known.tls, known.max_recipients) == (host, port, "starttls", recipients)


def test_where_tokens_come_from_follows_the_tenant() -> None:
    checked, _ = registry.validate("microsoft365", {"tenant": "example.org"}, PERSON)
    known: Any = checked
    assert known.tokens_from() == "https://login.microsoftonline.com/example.org/oauth2/v2.0/token"
    assert known.scope_for(False, False) == "https://outlook.office365.com/SMTP.Send offline_access"


@pytest.mark.parametrize(
    ("kind", "config", "credentials", "wrong"),
    [
        ("gmail", {}, {}, ["credentials.username"]),
        ("gmail", {"tls": "none"}, PERSON, ["config.tls"]),
        ("gmail", {}, {**PERSON, "password": "p"}, ["credentials.password"]),
        ("gmail", {}, {"username": "shop", "client_id": "c"}, ["credentials"]),
        (
            "gmail",
            {},
            {"username": "shop", "password": "p", "refresh_token": "r"},
            ["credentials.client_id"],
        ),
        ("smtp", {"host": "h"}, PERSON, ["config.token_url"]),
        ("smtp", {"host": "h", "tls": "none", "token_url": "https://t.example/x"}, PERSON, ["config.tls"]),
        ("smtp", {"host": "h", "token_url": "ftp://t.example/x"}, PERSON, ["config.token_url"]),
        (
            "microsoft365",
            {},
            {"username": "shop", "client_id": "c", "client_secret": "s"},
            ["config.tenant"],
        ),
        ("microsoft365", {"tenant": "a/b"}, PERSON, ["config.tenant"]),
    ],
)
def test_what_does_not_go_together_is_named(
    kind: str, config: dict[str, object], credentials: dict[str, object], wrong: list[str]
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        registry.validate(kind, config, credentials)
    assert [p.path for p in caught.value.problems] == wrong
