"""`mailmux providers`: on the machine itself, with the database."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.providers import providers as command
from tests.integration.api.world import World, make_world
from tests.integration.sandbox_driver import Driver, running_accounts


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = make_world(database_url)
    yield made
    made.engine.dispose()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Driver]:
    with running_accounts(tmp_path, *("postmark", "resend", "ses", "brevo")) as driver:
        yield driver


@pytest.fixture
def run(database_url: str) -> Any:
    def invoke(*arguments: str) -> Result:
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": "redis://127.0.0.1:1",
            "MAILMUX_ENCRYPTION_KEYS": "k1:" + base64.b64encode(b"1" * 32).decode(),  # of `make_world`
            "MAILMUX_PUBLIC_URL": "https://mail.example.com",
        }
        return CliRunner().invoke(command, arguments, env=env)

    return invoke


def connect(world: World, sandbox: Driver, kind: str, **config: Any) -> str:
    account = sandbox.account(kind)
    body = {
        "name": f"my-{kind}",
        "kind": kind,
        "config": {"base_url": account["base_url"], **config},
        "credentials": account["credentials"],
        "shared": True,
        "base_cost": "0.0004",
    }
    made = world.user("operator").post("/v1/providers", body)
    assert made.status_code == 201, made.get_json()
    return str(made.get_json()["id"])


def test_an_account_is_tested_where_it_really_is(world: World, sandbox: Driver, run: Any) -> None:
    connect(world, sandbox, "ses", region="eu-west-1")
    told = run("test", "my-ses")
    assert told.exit_code == 0, told.output
    assert "my-ses (ses): the credentials are right" in told.output
    assert "quota: " in told.output
    assert "left of" in told.output
    connect(world, sandbox, "resend")
    assert "sender example.com: verified" in run("test", "my-resend").output


def test_an_account_with_a_wrong_key_fails_the_test(world: World, sandbox: Driver, run: Any) -> None:
    provider_id = connect(world, sandbox, "resend")
    sandbox.fail("resend", "auth")
    told = run("test", provider_id)
    assert told.exit_code == 1
    assert "misconfigured" in told.output
    assert sandbox.account("resend")["credentials"]["api_key"] not in told.output


HOWTO = Path(__file__).parents[3] / "docs" / "howto"


def documented(page: str, command: str) -> str:
    """What the page shows that a command prints on the machine itself."""
    _, _, after = (HOWTO / page).read_text().partition(f"$ mailmux {command} --local\n")
    assert after, f"{page} does not show {command}"
    return after.partition("$ mailmux")[0].partition("```")[0].strip()


def masked(said: str) -> str:
    """Without what differs from run to run: times, ids and secrets."""
    said = re.sub(r"\b\d+\.\d\d s\b", "N s", said.strip())
    said = re.sub(r"/hooks/(\w+)/[0-9a-f-]{36}/[\w-]{32}", r"/hooks/\1/ID/TOKEN", said)
    said = re.sub(r"password: [\w-]{32}", "password: P", said)
    return re.sub(r"//(\w+):[\w-]{32}@", r"//\1:P@", said)


@pytest.mark.parametrize(
    ("page", "command"),
    [
        ("connect-a-provider-account.md", "test my-ses"),
        ("connect-a-provider-account.md", "test my-brevo"),
        ("connect-a-provider-account.md", "test my-resend"),
        ("receive-events.md", "webhook my-postmark"),
        ("receive-events.md", "webhook my-resend"),
    ],
)
def test_the_pages_show_what_the_commands_print(
    world: World, sandbox: Driver, run: Any, page: str, command: str
) -> None:
    kind = command.rpartition("-")[2]
    connect(world, sandbox, kind, **({"region": "eu-west-1"} if kind == "ses" else {}))
    if command == "test my-resend":
        sandbox.fail("resend", "auth")
    assert masked(documented(page, f"providers {command}")) == masked(run(*command.split()).output)


def test_a_webhook_whose_secret_is_ours_to_choose_gets_one(world: World, sandbox: Driver, run: Any) -> None:
    provider_id = connect(world, sandbox, "postmark")
    told = run("webhook", "my-postmark")
    assert told.exit_code == 0, told.output
    lines = dict(line.split(": ", 1) for line in told.output.splitlines() if ": " in line)
    address, user, password = (lines[name] for name in ("address", "user", "password"))
    assert address.startswith(f"https://mail.example.com/hooks/postmark/{provider_id}/")
    assert lines["both in one"] == address.replace("https://", f"https://{user}:{password}@")
    assert "Postmark → your server" in told.output
    assert run("webhook", "my-postmark").output == told.output, "printing it again changes nothing"
    rotated = run("webhook", "my-postmark", "--rotate").output
    assert address in rotated
    assert password not in rotated
    assert address not in run("webhook", "my-postmark", "--new-address").output


def test_a_webhook_whose_secret_the_provider_shows_has_an_address_first(
    world: World, sandbox: Driver, run: Any
) -> None:
    connect(world, sandbox, "resend")
    first = run("webhook", "my-resend")
    assert "none yet" in first.output
    address = next(line for line in first.output.splitlines() if line.startswith("address: "))
    wrong = run("webhook", "my-resend", "--secret", "signing_secret=n!")
    assert wrong.exit_code == 2
    secret = "whsec_" + "A" * 32
    set_up = run("webhook", "my-resend", "--secret", f"signing_secret={secret}")
    assert set_up.exit_code == 0, set_up.output
    assert address in set_up.output
    assert secret not in set_up.output
    assert "signing_secret, 1 in use" in set_up.output
    other = f"signing_secret=whsec_{'B' * 32}"
    assert "2 in use" in run("webhook", "my-resend", "--secret", other, "--rotate").output
    assert "2 in use" in run("webhook", "my-resend").output
    assert run("webhook", "my-resend", "--rotate", "--forget-old").exit_code == 2
    assert "1 in use" in run("webhook", "my-resend", "--forget-old").output


def test_an_smtp_account_is_told_of_its_mailbox(world: World, run: Any) -> None:
    body = {
        "name": "relay",
        "kind": "smtp",
        "config": {"host": "127.0.0.1", "tls": "none"},
        "shared": True,
        "base_cost": "0",
    }
    assert world.user("operator").post("/v1/providers", {**body, "credentials": {}}).status_code == 201
    told = run("webhook", "relay")
    assert told.exit_code == 1
    assert "config.reports" in told.output


def test_providers_are_listed_and_unknown_ones_named(world: World, sandbox: Driver, run: Any) -> None:
    provider_id = connect(world, sandbox, "brevo")
    listed = run("list")
    assert "my-brevo" in listed.output
    assert provider_id in listed.output, "whole, so that it can be copied"
    assert sandbox.account("brevo")["credentials"]["api_key"] not in listed.output
    assert "There is no provider nobody" in run("test", "nobody").output


def test_prices_are_set_from_a_file_and_shown(
    world: World, sandbox: Driver, run: Any, tmp_path: Path
) -> None:
    connect(world, sandbox, "brevo")
    file = tmp_path / "prices.json"
    tiers = [{"up_to": 20000, "per_recipient": "0.0009"}, {"per_recipient": "0.0005"}]
    file.write_text(
        json.dumps({"prices": [{"valid_from": "2026-01-01T00:00:00Z", "monthly_fee": "15", "tiers": tiers}]})
    )
    told = run("prices", "my-brevo", "--set", str(file))
    assert told.exit_code == 0, told.output
    for words in (
        "2026-01-01",
        "1 to 20,000",
        "20,001 on",
        "0 recipients this month; the next one costs 0.0009 USD",
    ):
        assert words in told.output
    file.write_text('{"prices": [{"tiers": []}], "more": 1}')
    wrong = run("prices", "my-brevo", "--set", str(file))
    assert wrong.exit_code == 2
    for field in ("prices.0.valid_from", "prices.0.tiers", "more"):
        assert field in wrong.output
