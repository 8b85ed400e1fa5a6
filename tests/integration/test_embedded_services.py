"""The embedded servers as the service relies on them: private, durable, and gone when they shall be."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis
import sqlalchemy as sa
from click.testing import CliRunner

from cli.recover import recover
from wiring.embedded.postgres import EmbeddedPostgres
from wiring.embedded.processes import ServiceFailed
from wiring.embedded.valkey import EmbeddedValkey
from wiring.migrate import upgrade
from wiring.redis_check import check_redis
from wiring.secret import Secret


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that other users may pass through; its path has a space."""
    parent = Path(tempfile.mkdtemp(prefix="mailmux embedded-"))
    parent.chmod(0o711)
    yield parent / "home"
    shutil.rmtree(parent)


def connect(url: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(url.replace("+psycopg2", ""), connect_timeout=5)


def run(url: str, statements: str) -> tuple[object, ...] | None:
    """The first row of the last statement's answer."""
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statements)
        found: tuple[object, ...] | None = cursor.fetchone()
        return found


def the_server(home: Path) -> psutil.Process:
    (found,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] and str(home.resolve() / "data") in process.info["cmdline"]
    ]
    return found


def test_each_test_gets_a_migrated_database_of_its_own(database_url: str):
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
    assert {"users", "email_jobs", "email_queue", "alembic_version"} <= tables


def test_the_application_is_no_superuser(database_url: str):
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    query = (
        "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
    )
    with engine.connect() as connection:
        name, powers = connection.execute(sa.text(query)).one()
    assert (name, powers) == ("mailmux", False)


def test_redis_is_empty_and_never_evicts(redis_url: str):
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        assert connection.dbsize() == 0
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_after_a_restore_the_folder_of_a_service_that_was_killed_is_recovered(home: Path):
    """It left the address of its database, at which nobody answers any more."""
    with EmbeddedPostgres(home / "postgres") as postgres:
        upgrade(Secret(postgres.url))
    (home / "run").mkdir()
    (home / "run" / "lock").touch()
    (home / "run" / "database-url").write_text("postgresql+psycopg2://mailmux:x@127.0.0.1:1/mailmux\n")
    result = CliRunner(env={"MAILMUX_DATA_DIR": str(home)}).invoke(
        recover, ["--since", "2026-05-03T02:00:00Z", "--yes"]
    )
    assert result.exit_code == 0, result.output
    assert "Nothing is held. Start the workers." in result.output


def test_postgres_is_private(home: Path):
    with EmbeddedPostgres(home, durable=False) as postgres:
        for url in (postgres.url, postgres.admin_url):
            head, password = url.partition("@")[0].rsplit(":", 1)
            assert len(password) >= 32
            with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
                connect(url.replace(f"{head}:{password}", f"{head}:guess"))
        server = the_server(home)
        listening = {c.laddr.ip for c in server.net_connections("inet") if c.status == "LISTEN"}
        assert listening == {"127.0.0.1"}
        if os.geteuid() == 0:
            assert server.uids().real not in (0, 65534)
    for file in home.rglob("*.password"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_log_of_postgres_holds_nothing_of_a_statement_that_failed(home: Path):
    secret = "ada@mailbox.example"
    statements = (
        f"SELECT 1/0, '{secret}'",
        f"CREATE TEMP TABLE t (a text PRIMARY KEY); INSERT INTO t VALUES ('{secret}'), ('{secret}')",
        f"SELECT CAST('{{\"to\": {secret}' AS jsonb)",
    )
    with EmbeddedPostgres(home, durable=False) as postgres:
        for statement in statements:
            with pytest.raises(psycopg2.Error):
                run(postgres.url, statement)
        told = (home / "postgres.log").read_text()
    assert "division by zero" in told
    assert "duplicate key" in told
    assert secret not in told


def test_what_postgres_committed_survives_a_kill(home: Path):
    with EmbeddedPostgres(home) as postgres:
        assert run(postgres.url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7); SHOW fsync") == (
            "on",
        )
        the_server(home).kill()
    with EmbeddedPostgres(home) as postgres:
        assert run(postgres.url, "SELECT n FROM kept") == (7,)


def test_a_server_that_a_killed_start_left_is_stopped_before_the_next(home: Path):
    left = EmbeddedPostgres(home, durable=False)
    left.start()
    server = the_server(home)
    with EmbeddedPostgres(home, durable=False) as postgres:
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
        connect(postgres.url).close()
    left.stop()


def test_a_port_is_kept_while_it_is_free(home: Path):
    with EmbeddedPostgres(home, durable=False) as postgres:
        first = postgres.url
    with EmbeddedPostgres(home, durable=False) as postgres:
        assert postgres.url == first
    port = sa.make_url(first).port
    with socket.create_server(("127.0.0.1", port or 0)), EmbeddedPostgres(home, durable=False) as postgres:
        assert postgres.url != first
        connect(postgres.url).close()


def test_a_cluster_that_was_never_finished_is_made_again(home: Path):
    broken = home / "new-abcd" / "data"
    broken.mkdir(parents=True)
    home.chmod(0o711)
    with EmbeddedPostgres(home, durable=False) as postgres:
        connect(postgres.url).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives PostgreSQL another user")
def test_under_a_folder_that_only_root_may_enter_the_data_move_to_where_postgres_can_reach_them(home: Path):
    home.parent.chmod(0o700)
    with EmbeddedPostgres(home, durable=False) as postgres:
        connect(postgres.url).close()
        elsewhere = home.resolve()
    assert elsewhere.parent == Path("/var/lib/mailmux")
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700
    with EmbeddedPostgres(home, durable=False) as postgres:
        connect(postgres.url).close()
    assert home.resolve() == elsewhere
    shutil.rmtree(elsewhere)


def test_valkey_is_private_and_keeps_what_it_was_told(home: Path):
    with EmbeddedValkey(home) as server:
        with redis.Redis.from_url(server.url, decode_responses=True) as connection:
            connection.set("bell", "rung")
            assert connection.config_get("bind") == {"bind": "127.0.0.1"}
        port = sa.make_url(server.url).port
        with redis.Redis(port=port or 0) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    for name in ("password", "valkey.conf"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    with EmbeddedValkey(home) as server, redis.Redis.from_url(server.url) as connection:
        assert connection.get("bell") == b"rung"


def test_a_redis_that_evicts_is_refused(home: Path):
    with EmbeddedValkey(home, durable=False) as server, redis.Redis.from_url(server.url) as connection:
        check_redis(Secret(server.url))
        connection.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(ServiceFailed, match="noeviction"):
            check_redis(Secret(server.url))


def test_a_redis_that_is_away_is_told_without_its_password(home: Path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ServiceFailed, match="cannot be reached") as caught:
        check_redis(Secret(f"redis://:s3cret@127.0.0.1:{port}/0"))
    assert "s3cret" not in str(caught.value)
