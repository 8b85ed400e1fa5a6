"""The entry for WSGI servers, as the settings build it: alive, ready, unready."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from api.app import create_app
from tests.conftest import Databases
from wiring.settings import Settings
from wiring.wsgi import build_api

KEY = "k1:" + base64.b64encode(b"k" * 32).decode()


@contextmanager
def served(database_url: str, redis_url: str) -> Iterator[FlaskClient]:
    with tempfile.TemporaryDirectory() as data_dir:
        settings = Settings.from_env(
            {
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "MAILMUX_ENCRYPTION_KEYS": KEY,
                "MAILMUX_DATA_DIR": data_dir,
            }
        )
        yield create_app(build_api(settings)).test_client()


def checks(answer: Any) -> dict[str, tuple[bool, bool]]:
    return {check["name"]: (check["ok"], check["required"]) for check in answer.get_json()["checks"]}


def test_with_everything_there_it_is_ready(database_url: str, redis_url: str) -> None:
    with served(database_url, redis_url) as client:
        assert client.get("/healthz").get_json() == {"status": "ok"}
        answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "ready")
    assert checks(answer) == {
        "postgres": (True, True),
        "migrations": (True, True),
        "redis": (True, False),
        "attachments": (True, True),
    }


def test_a_worker_that_sees_another_store_makes_it_unready(database_url: str, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as workers, served(database_url, redis_url) as client:
        for seen in ("another", "unreadable"):
            workers.set("mailmux:store:there:7", seen, ex=30)
            answer = client.get("/readyz")
            assert (answer.status_code, checks(answer)["attachments"]) == (503, (False, True))
            assert "there:7" in answer.text
        workers.delete("mailmux:store:there:7")
        assert client.get("/readyz").status_code == 200


def test_without_a_broker_it_stays_ready_and_says_so(database_url: str) -> None:
    with served(database_url, "redis://127.0.0.1:1") as client:
        answer = client.get("/readyz")
    assert answer.status_code == 200
    assert checks(answer)["redis"] == (False, False)


def test_without_a_database_it_is_alive_but_not_ready(redis_url: str) -> None:
    with served("postgresql://nobody:none@127.0.0.1:1/none", redis_url) as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "unready")
    assert checks(answer)["postgres"] == (False, True)
    assert "none" not in answer.text


@pytest.mark.parametrize("revision", [None, "9999"])
def test_another_schema_than_this_versions_is_not_ready(
    databases: Databases, redis_url: str, revision: str | None
) -> None:
    with databases.clone() as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM alembic_version"))
            if revision:
                connection.execute(text("INSERT INTO alembic_version VALUES (:r)"), {"r": revision})
        engine.dispose()
        with served(url, redis_url) as client:
            answer = client.get("/readyz")
    assert answer.status_code == 503
    assert checks(answer)["migrations"] == (False, True)
