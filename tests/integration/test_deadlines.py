"""A server that stands still costs a caller its deadline and no more."""

from __future__ import annotations

import base64
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy import Engine, text

from api.app import create_app
from db.deadlines import TICK
from db.uow import SqlUnitOfWork, open_engine
from domain.errors import StorageUnavailable
from tests.builders import new_id
from wiring import provision
from wiring.embedded.postgres import EmbeddedPostgres
from wiring.settings import Settings
from wiring.wsgi import build_api

DEADLINE = 6.0  # seconds; the server ends statements after one


@contextmanager
def still(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = open_engine(database_url, pool_size=1, deadline=DEADLINE)
    yield made
    made.dispose()


def backend(unit: SqlUnitOfWork) -> int:
    return int(unit.connection.scalar(text("SELECT pg_backend_pid()")))


@pytest.mark.parametrize("call", ["statement", "commit"])
def test_a_backend_that_stands_still_is_given_up_at_the_deadline(engine: Engine, call: str):
    with SqlUnitOfWork(engine) as unit:
        pid = backend(unit)
    began = time.monotonic()

    def work() -> None:
        with SqlUnitOfWork(engine) as unit:
            unit.connection.execute(text("SELECT 1 + 1"))
            with still(pid):
                if call == "commit":
                    unit.commit()
                else:
                    unit.connection.execute(text("SELECT 2 + 2"))

    with pytest.raises(StorageUnavailable):
        work()
    assert DEADLINE - 1 < time.monotonic() - began < DEADLINE + 2
    with SqlUnitOfWork(engine) as unit:
        assert backend(unit) != pid, "the pool has made a new connection"


def test_a_connection_that_stood_still_while_nobody_used_it_is_replaced_sooner(engine: Engine):
    with SqlUnitOfWork(engine) as unit:
        pid = backend(unit)
    time.sleep(3 * TICK)  # one that was used a moment ago is not asked
    began = time.monotonic()
    with still(pid), SqlUnitOfWork(engine) as unit:
        assert backend(unit) != pid
    assert time.monotonic() - began < DEADLINE + 0.9


def test_a_connection_that_the_server_ended_while_nobody_used_it_is_replaced_at_once(engine: Engine):
    with SqlUnitOfWork(engine) as unit:
        pid = backend(unit)
    with psycopg2.connect(engine.url.set(drivername="postgresql").render_as_string(False)) as other:
        other.cursor().execute("SELECT pg_terminate_backend(%s)", [pid])
    time.sleep(0.1)
    with SqlUnitOfWork(engine) as unit:
        assert backend(unit) != pid


def test_a_statement_that_merely_takes_long_is_ended_by_the_server_and_costs_no_connection(engine: Engine):
    with SqlUnitOfWork(engine) as unit:
        pid = backend(unit)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="statement timeout"), SqlUnitOfWork(engine) as unit:
        unit.connection.execute(text("SELECT pg_sleep(5)"))
    assert time.monotonic() - began < 2
    with SqlUnitOfWork(engine) as unit:
        assert backend(unit) == pid


def test_a_connection_may_be_used_and_rest_for_longer_than_the_deadline(engine: Engine):
    with SqlUnitOfWork(engine) as unit:
        for _ in range(8):
            unit.connection.execute(text("SELECT pg_sleep(0.9)"))
        unit.commit()


def test_the_api_answers_503_while_the_whole_server_stands_still(services_folder: Path, redis_url: str):
    with EmbeddedPostgres(services_folder / "stopped-postgres", durable=False) as postgres:
        settings = Settings.from_env(
            {
                "DATABASE_URL": postgres.url,
                "REDIS_URL": redis_url,
                "MAILMUX_ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
                "MAILMUX_DATABASE_DEADLINE_SECONDS": str(DEADLINE),
            }
        )
        provision.prepare(settings, None)
        user = provision.first_user(settings)
        assert user is not None
        api = create_app(build_api(settings)).test_client()
        email = {"from": "a@example.com", "to": ["b@example.org"], "subject": "s", "text": "t"}

        def send() -> int:
            headers = {"Authorization": f"Bearer {user.key}", "Idempotency-Key": str(new_id())}
            return int(api.post("/v1/emails", json=email, headers=headers).status_code)

        assert send() == 202
        (master,) = [
            child for child in psutil.Process().children() if "stopped-postgres" in " ".join(child.cmdline())
        ]
        with still(master.pid, *(child.pid for child in master.children(recursive=True))):
            began = time.monotonic()
            assert send() == 503
            assert time.monotonic() - began < DEADLINE + 6, "a ping, and an attempt to connect anew"
        assert send() == 202


def test_the_thread_that_watches_ends_with_the_last_connection(engine: Engine):
    def threads() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "mailmux-deadlines"}

    before = threads()
    with SqlUnitOfWork(engine) as unit:
        assert backend(unit)
    (own,) = threads() - before
    engine.dispose()
    own.join(5)
    assert not own.is_alive()
    with SqlUnitOfWork(engine) as unit:
        assert backend(unit)
    assert len(threads() - before) == 1, "and another starts with the next"
