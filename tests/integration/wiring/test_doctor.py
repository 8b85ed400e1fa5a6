"""`mailmux doctor` on real services: what is wrong is found, and it is said what to do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from sqlalchemy import create_engine, text

from cli.doctor import doctor
from db.repositories.providers import Account
from db.sealing import ENDPOINT, Hook, seal_hook
from db.uow import SqlUnitOfWork, open_engine
from domain.upkeep import Duty
from tests.builders import new_id
from tests.conftest import Databases
from wiring.bootstrap import build_rota, build_sealer
from wiring.checkup import State, examine
from wiring.settings import Settings
from workers.upkeep import perform

KEY = "k1:" + base64.b64encode(b"k" * 32).decode()
OTHER = "k2:" + base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def environ(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "MAILMUX_ENCRYPTION_KEYS": KEY,
        "MAILMUX_DATA_DIR": str(tmp_path),
    }


class Installation:
    def __init__(self, environ: dict[str, str]) -> None:
        self.environ, self.settings = environ, Settings.from_env(environ)
        self.engine = open_engine(environ["DATABASE_URL"], pool_size=2)
        self.units = lambda: SqlUnitOfWork(self.engine)

    def sql(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def rows(self, statement: str) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.execute(text(statement)))

    def provider(self, name: str, kind: str, config: dict[str, Any], credentials: dict[str, str]) -> None:
        row = new_id()
        sealed = build_sealer(self.settings).seal(credentials, owner=None, kind=kind, row=row)
        with self.units() as unit:
            unit.providers.add(row, Account(None, name, kind, sealed, config, Decimal("0.001")))
            unit.commit()

    def works(self) -> None:
        """As with beat and a worker."""
        rota = build_rota(self.settings)
        for duty in Duty:
            if duty is not Duty.SWEEP:
                perform(duty, rota, self.units)
        with self.units() as unit:
            unit.runs.start(new_id(), "here", 1, 60)
            unit.commit()

    def findings(self, **environ: str) -> dict[str, Any]:
        settings = Settings.from_env({**self.environ, **environ})
        return {f.check: f for f in examine(settings)}


@pytest.fixture
def installation(environ: dict[str, str]) -> Iterator[Installation]:
    made = Installation(environ)
    yield made
    made.engine.dispose()


def run(environ: dict[str, str], *options: str) -> Any:
    return CliRunner(env={**environ, "NO_COLOR": "1"}).invoke(doctor, options)


def test_an_installation_that_is_well_is_told_so(installation: Installation, environ: dict[str, str]):
    installation.works()
    installation.provider("memory", "memory", {}, {})
    found = json.loads((result := run(environ, "--json")).output)
    states = {f["check"]: f["state"] for f in found["findings"]}
    # The servers of the tests keep nothing, so that they are quick.
    assert states.pop("postgres durability") == "fail"
    assert set(states.values()) == {"ok"}, found
    wanted = """python, packages, disk, redis, redis memory, redis persistence, postgres, postgres log, clocks,
        migrations, workers, queue, events, duties, encryption keys, provider memory"""
    assert {name.strip() for name in wanted.split(",")} <= set(states)
    assert result.exit_code == 1
    assert all(f["advice"] for f in found["findings"] if f["state"] != "ok")


def test_what_does_not_answer_is_one_finding_with_what_to_do(environ: dict[str, str]):
    result = run(
        {
            **environ,
            "REDIS_URL": "redis://:secret@127.0.0.1:1",
            "DATABASE_URL": "postgresql://a:secret@127.0.0.1:1/x",
        }
    )
    assert result.exit_code == 1
    assert "redis: it does not answer" in result.output
    assert "postgres: it does not answer" in result.output
    assert "correct DATABASE_URL" in result.output
    assert "secret" not in result.output
    assert "Traceback" not in result.output


def test_settings_that_cannot_be_used_are_findings_too(environ: dict[str, str]):
    found = json.loads(run({**environ, "MAILMUX_WINDOW": "0", "REDIS_URL": "nonsense"}, "--json").output)
    assert {"MAILMUX_WINDOW", "REDIS_URL"} == {f["check"] for f in found["findings"]}
    assert not found["ok"]


def test_a_redis_that_evicts_is_a_failure(installation: Installation, redis_url: str):
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = installation.findings()["redis memory"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert found.state is State.FAIL
    assert "noeviction" in found.advice


def test_a_postgres_that_logs_statements_is_warned_of(installation: Installation, databases: Databases):
    databases.administer("ALTER ROLE mailmux SET log_statement = 'all'")
    try:
        found = installation.findings()["postgres log"]
    finally:
        databases.administer("ALTER ROLE mailmux RESET log_statement")
    assert (found.state, "log_statement is all" in found.detail) == (State.WARN, True)


def test_another_schema_is_a_failure_and_nothing_is_read_from_it(installation: Installation):
    installation.sql("UPDATE alembic_version SET version_num = '0001'")
    found = installation.findings()
    assert found["migrations"].state is State.FAIL
    assert "mailmux migrate" in found["migrations"].advice
    assert "workers" not in found


def test_without_workers_and_beat_it_says_what_to_start(installation: Installation):
    found = installation.findings()
    assert found["workers"].state is State.FAIL
    assert found["duties"].state is State.WARN
    assert "beat" in found["duties"].advice


def test_of_disabled_webhooks_it_says_which_and_whose(installation: Installation):
    owner, ids = new_id(), [new_id() for _ in range(11)]
    installation.sql(
        "INSERT INTO users (id, email, password_hash) VALUES (:id, 'o@x.example', '-')", id=owner
    )
    for minutes, id_ in enumerate(ids):
        installation.sql(
            """INSERT INTO webhook_endpoints (id, user_id, url, secret, enabled, disabled_reason, disabled_at)
               VALUES (:id, :owner, 'https://a.example/', 'x', false, 'it failed',
                   mm_now() - :ago * interval '1 min')""",
            id=id_, owner=owner, ago=minutes,
        )  # fmt: skip
    found = installation.findings()["webhooks"]
    assert (found.state, found.detail[:2]) == (State.WARN, "11")
    assert [f"{id_} of o@x.example" in found.advice for id_ in ids] == [True] * 10 + [False]
    assert "and others" in found.advice


def test_a_shifted_clock_of_the_pipeline_and_a_worker_with_a_wrong_clock_are_found(
    installation: Installation, redis_url: str
):
    installation.sql(
        """CREATE OR REPLACE FUNCTION mm_now() RETURNS timestamptz LANGUAGE sql STABLE
           AS $$SELECT statement_timestamp() + interval '1 hour'$$"""
    )
    with create_engine(installation.environ["DATABASE_URL"]).connect() as connection:
        now = float(connection.execute(text("SELECT EXTRACT(epoch FROM clock_timestamp())")).scalar_one())
        connection.engine.dispose()
    with redis.Redis.from_url(redis_url) as client:
        client.hset(
            "mailmux:clocks",
            mapping={"fast": json.dumps([now, -3600.0]), "gone": json.dumps([now - 900, 99.0])},
        )
    found = installation.findings()
    assert found["clock of the pipeline"].state is State.FAIL
    assert "workers on fast is +3600.0 s" in found["clocks"].detail
    assert "gone" not in found["clocks"].detail


def test_credentials_that_no_key_opens_and_providers_that_refuse_are_found(installation: Installation):
    installation.provider("sealed", "smtp", {"host": "127.0.0.1", "port": 1, "tls": "none"}, {})
    found = installation.findings()
    assert found["encryption keys"].state is State.OK
    assert found["provider sealed"].state is State.FAIL
    assert "provider_unavailable" in found["provider sealed"].detail
    found = installation.findings(MAILMUX_ENCRYPTION_KEYS=f"{OTHER},{KEY}")
    assert found["encryption keys"].state is State.WARN
    found = installation.findings(MAILMUX_ENCRYPTION_KEYS=OTHER)
    assert found["encryption keys"].state is State.FAIL
    assert "backup" in found["encryption keys"].advice


def test_a_persons_sign_in_at_microsoft_is_warned_of_before_it_ends(installation: Installation):
    where = {
        "host": "127.0.0.1",
        "port": 1,
        "token_url": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    }
    oauth = {"username": "u@example.com", "client_id": "c", "client_secret": "s"}
    installation.provider("person", "smtp", where, {**oauth, "refresh_token": "r"})
    installation.provider("application", "smtp", where, oauth)
    found = installation.findings()
    assert found["sign-in of person"].state is State.WARN
    assert "90 days" in found["sign-in of person"].detail
    assert "sign-in of application" not in found


def test_the_secrets_of_webhooks_count_before_an_old_key_is_taken_away(installation: Installation):
    """Of a provider's webhook, and of one that we call: only what opens them all may be left."""
    installation.provider("memory", "memory", {}, {})
    old = build_sealer(installation.settings)
    (provider,) = installation.rows("SELECT id FROM providers")
    hook = seal_hook(old, Hook("token", [{"key": "k"}]), owner=None, kind="memory", row=provider.id)
    user, endpoint = new_id(), new_id()
    secret = old.seal({"secret": "whsec_x"}, owner=user, kind=ENDPOINT, row=endpoint)
    installation.sql("UPDATE providers SET webhook = :hook", hook=hook)
    installation.sql("INSERT INTO users (id, email, password_hash) VALUES (:id, 'a@b.example', '-')", id=user)
    installation.sql(
        """INSERT INTO webhook_endpoints (id, user_id, url, secret)
           VALUES (:id, :user, 'https://x.example', :secret)""",
        id=endpoint, user=user, secret=secret,
    )  # fmt: skip
    new = build_sealer(Settings.from_env({**installation.environ, "MAILMUX_ENCRYPTION_KEYS": OTHER}))
    anew = new.seal({}, owner=None, kind="memory", row=provider.id)
    installation.sql("UPDATE providers SET api_key = :sealed", sealed=anew)
    both = installation.findings(MAILMUX_ENCRYPTION_KEYS=f"{OTHER},{KEY}")["encryption keys"]
    assert (both.state, "2 of 3" in both.detail) == (State.WARN, True)
    alone = installation.findings(MAILMUX_ENCRYPTION_KEYS=OTHER)["encryption keys"]
    assert alone.state is State.FAIL
    assert "webhooks of providers: memory" in alone.detail
    assert str(endpoint) in alone.detail
    installation.sql("UPDATE providers SET deleted_at = mm_now()")
    installation.sql("DELETE FROM webhook_endpoints")
    assert installation.findings(MAILMUX_ENCRYPTION_KEYS=OTHER)["encryption keys"].state is State.OK


def test_what_is_stuck_or_held_is_told(installation: Installation):
    installation.works()
    installation.sql(
        "INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'a@b.example', '-')"
    )
    for held, ago in (("true", -9000), ("false", 600)):
        installation.sql(
            f"""INSERT INTO email_queue (job_id, user_id, lane, due_at, held)
                VALUES (gen_random_uuid(), gen_random_uuid(), 'transactional', mm_now() - interval '{ago} s', {held})"""
        )
    installation.provider("memory", "memory", {}, {})
    installation.sql(
        """INSERT INTO inbound_events (id, provider_id, event_key, raw, event, due_at)
           SELECT gen_random_uuid(), id, 'k', '{}', '{"type": "opened"}', mm_now() - interval '90 s' FROM providers"""
    )
    settings = Settings.from_env(installation.environ)
    found = [f for f in examine(settings, providers=False) if f.state is State.WARN]
    assert {f.check for f in found} == {"queue", "unknown", "events"}
    assert all(f.advice for f in found)
