"""What a new installation starts with, and the commands that make more keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from api import keys
from api.keys import parse
from cli.keys import keys as command
from db.uow import SqlUnitOfWork
from tests.integration.api.world import EMAIL, Caller, World, make_world
from wiring.bootstrap import new_id
from wiring.seed import FirstUser, first_user, sandbox_providers

ACCOUNTS: list[dict[str, Any]] = [
    {
        "name": "sandbox-sendgrid",
        "dialect": "sendgrid",
        "host": "127.0.0.1",
        "port": 4001,
        "base_url": "http://127.0.0.1:4001",
        "credentials": {"api_key": "SG.one"},
    },
    {
        "name": "sandbox-smtp",
        "dialect": "smtp",
        "host": "127.0.0.1",
        "port": 4002,
        "tls": "starttls",
        "ca_path": "/nowhere",
        "ca_pem": "PEM",
        "credentials": {"username": "u", "password": "p"},
    },
]


@pytest.fixture
def fresh(database_url: str) -> Iterator[World]:
    made = make_world(database_url)
    yield made
    made.engine.dispose()


def units(engine: Engine) -> Any:
    return lambda: SqlUnitOfWork(engine)


def test_many_processes_that_start_at_once_make_one_user(fresh: World) -> None:
    made: list[FirstUser | None] = []
    threads = [
        threading.Thread(target=lambda: made.append(first_user(units(fresh.engine), new_id)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(user is not None for user in made) == 1
    assert fresh.sql("SELECT count(*) FROM users")[0][0] == 1


def test_the_first_user_is_an_operator_whose_key_does_everything(fresh: World) -> None:
    made = first_user(units(fresh.engine), new_id)
    assert made is not None
    assert made.key not in repr(made)
    assert made.password not in repr(made)
    [user] = fresh.sql("SELECT * FROM users")
    assert (user.email, user.role) == ("admin@localhost", "operator")
    assert user.password_hash.startswith("$argon2id$")
    assert PasswordHasher().verify(user.password_hash, made.password)
    caller = Caller(fresh.app, made.id, "", made.key)
    assert caller.post("/v1/emails", EMAIL).status_code == 202
    caller.provider("common", shared=True)
    assert first_user(units(fresh.engine), new_id, "other@example.com") is None


def test_sandbox_accounts_become_shared_providers_with_prices_apart(fresh: World) -> None:
    ids = sandbox_providers(units(fresh.engine), new_id, fresh.deps.sealer, ACCOUNTS)
    assert list(ids) == ["sandbox-sendgrid", "sandbox-smtp"]
    member = fresh.user()
    shown = {p["name"]: p for p in member.get("/v1/providers").get_json()["data"]}
    assert shown["sandbox-sendgrid"]["config"] == {"base_url": "http://127.0.0.1:4001"}
    assert shown["sandbox-smtp"]["config"] == {
        "host": "127.0.0.1", "port": 4002, "tls": "starttls", "ca_pem": "PEM",
    }  # fmt: skip
    assert [p["base_cost"] for p in shown.values()] == ["0.0006", "0.0004"]
    assert all(p["shared"] for p in shown.values())


def test_seeding_again_changes_only_what_is_new(fresh: World) -> None:
    seed = (units(fresh.engine), new_id, fresh.deps.sealer)
    ids = sandbox_providers(*seed, ACCOUNTS)
    fresh.sql("UPDATE providers SET base_cost = 5, status = false WHERE name = 'sandbox-smtp'")
    assert sandbox_providers(*seed, ACCOUNTS) == ids
    assert [row.version for row in fresh.sql("SELECT version FROM providers")] == [1, 1]
    moved = [ACCOUNTS[0], {**ACCOUNTS[1], "port": 5000, "credentials": {"username": "u", "password": "q"}}]
    assert sandbox_providers(*seed, moved) == ids
    rows = {row.name: row for row in fresh.sql("SELECT * FROM providers")}
    assert (rows["sandbox-sendgrid"].version, rows["sandbox-smtp"].version) == (1, 2)
    smtp = rows["sandbox-smtp"]
    assert (smtp.config["port"], smtp.base_cost, smtp.status) == (5000, 5, False)
    opened = fresh.deps.sealer.open(smtp.api_key, owner=None, kind="smtp", row=smtp.id)
    assert opened == {"username": "u", "password": "q"}


# mailmux keys


def run(url: str, *arguments: str) -> Result:
    env = {
        "DATABASE_URL": url,
        "REDIS_URL": "redis://127.0.0.1:1",
        "MAILMUX_ENCRYPTION_KEYS": "k:" + "A" * 43 + "=",
    }
    return CliRunner().invoke(command, arguments, env=env)


def test_a_key_is_made_listed_and_revoked(fresh: World, database_url: str) -> None:
    first_user(units(fresh.engine), new_id)
    made = run(
        database_url, "create", "--scopes", "emails:read,emails:send", "--expires", "90d", "--name", "[shop]"
    )
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    parsed = parse(key)
    assert parsed is not None
    caller = Caller(fresh.app, new_id(), parsed.public_id, key)
    assert caller.post("/v1/emails", EMAIL).status_code == 202
    assert caller.get("/v1/providers").status_code == 403
    [row] = fresh.sql("SELECT *, expires_at - created_at AS life FROM api_keys WHERE name = '[shop]'")
    assert (row.life.days, row.scopes) == (90, ["emails:send", "emails:read"])
    assert parsed.secret not in row.key

    listed = run(database_url, "list")
    assert parsed.public_id in listed.output
    assert "[shop]" in listed.output
    assert parsed.secret not in listed.output

    assert run(database_url, "revoke", parsed.public_id).exit_code == 0
    assert caller.get("/v1/emails").status_code == 401
    assert "revoked" in run(database_url, "list").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "--user", "nobody@example.com"], "no user nobody@example.com"),
        (["create", "--scopes", "emails:burn"], "unknown: emails:burn"),
        (["create", "--expires", "soon"], "must be like 12h"),
        (["create", "--expires", "0d"], "must be like 12h"),
        (["create", "--expires", "11y"], "ten years at most"),
        (["create", "--name", "x" * 101], "at most 100 characters"),
        (["revoke", "nothing"], "no key nothing"),
    ],
)
def test_what_cannot_be_done_is_said(database_url: str, arguments: list[str], words: str) -> None:
    result = run(database_url, *arguments)
    assert result.exit_code != 0
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_database_that_is_away_is_said_to_be_so() -> None:
    result = run("postgresql://nobody:none@127.0.0.1:1/none", "list")
    assert (result.exit_code, "does not answer" in result.output) == (1, True)


def test_all_scopes_is_what_a_key_gets_unless_told_otherwise(fresh: World, database_url: str) -> None:
    first_user(units(fresh.engine), new_id)
    run(database_url, "create", "--name", "all")
    with fresh.engine.connect() as connection:
        found = connection.execute(text("SELECT scopes, expires_at FROM api_keys WHERE name = 'all'")).one()
    assert (tuple(found.scopes), found.expires_at) == (keys.SCOPES, None)
