"""What the tests share: real services of their own, and a wall around the loopback address.

`database_url` is a fresh, migrated database for each test (a clone of a template, 0.05 s); `redis_url` an empty
Redis database for each test. Both servers start when the first test asks for them and stop with the session.
"""

from __future__ import annotations

import ast
import gc
import ipaddress
import itertools
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from hypothesis import settings
from sqlalchemy.engine import make_url

from wiring.embedded.postgres import ROLE, EmbeddedPostgres
from wiring.embedded.valkey import EmbeddedValkey

settings.register_profile("unhurried", deadline=None)  # a busy machine disproves nothing
settings.load_profile("unhurried")


def _local(address: Any) -> bool:
    if not isinstance(address, tuple):  # a Unix socket's path
        return True
    host = str(address[0])
    try:
        return host == "localhost" or ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


def _guarded_connect(self: socket.socket, address: Any) -> None:
    if not _local(address):
        pytest.fail(f"a test opened a socket to {address!r}, beyond the loopback address")
    _connect(self, address)


def _guarded_connect_ex(self: socket.socket, address: Any) -> int:
    if not _local(address):
        pytest.fail(f"a test opened a socket to {address!r}, beyond the loopback address")
    return _connect_ex(self, address)


_parse = ast.parse


def _parse_without_collecting(*args: Any, **kwargs: Any) -> Any:
    """Until 3.12 CPython loses count (SystemError: AST constructor recursion depth mismatch, its issue 106905) where
    the garbage collector runs in the middle, and what it ends tells of that with a traceback, which is parsed too.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _parse(*args, **kwargs)
    finally:
        if collecting:
            gc.enable()


def pytest_configure() -> None:
    ast.parse = _parse_without_collecting
    socket.socket.connect = _guarded_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = _guarded_connect_ex  # type: ignore[method-assign, assignment]


_GRACE = 5.0  # seconds for threads that are about to end
_OPEN = sa.text("SELECT query FROM pg_stat_activity WHERE datname = :name AND state LIKE :state")


class Databases:
    """Databases for tests on one server: `clone()` gives a migrated one, `empty()` one without a schema."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._admin = sa.create_engine(
            postgres.admin_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )
        self._numbers = itertools.count(1)
        self._template: str | None = None

    @contextmanager
    def clone(self) -> Iterator[str]:
        """The URL of a migrated database, which is dropped at the end."""
        with self._database(template=self._migrated_template()) as url:
            yield url

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a database without a schema, which is dropped at the end."""
        with self._database(template="template0") as url:
            yield url

    def _migrated_template(self) -> str:
        if self._template is None:
            from wiring.migrate import upgrade
            from wiring.secret import Secret

            self.administer(f"CREATE DATABASE migrated OWNER {ROLE} TEMPLATE template0")
            upgrade(Secret(self._url("migrated")))
            self._template = "migrated"
        return self._template

    @contextmanager
    def _database(self, template: str) -> Iterator[str]:
        name = f"test_{next(self._numbers)}"
        self.administer(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}")
        try:
            yield self._url(name)
            self._nothing_is_left_open(name)
        finally:
            self.administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _nothing_is_left_open(self, name: str) -> None:
        """Fail where a transaction was never ended: its connection would be found broken, by the garbage collector,
        in the middle of whatever another test does then.
        """
        end = time.monotonic() + _GRACE
        while open_ones := self._open_transactions(name):
            if time.monotonic() > end:
                pytest.fail(f"transactions were left open, which last ran: {open_ones}", pytrace=False)
            time.sleep(0.05)  # a poll

    def _open_transactions(self, name: str) -> list[str]:
        with self._admin.connect() as connection:
            asked = {"name": name, "state": "idle in transaction%"}
            return list(connection.execute(_OPEN, asked).scalars())

    def _url(self, name: str) -> str:
        return make_url(self._postgres.url).set(database=name).render_as_string(hide_password=False)

    def administer(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(sa.text(statement))


@pytest.fixture(scope="session")
def services_folder() -> Iterator[Path]:
    """A folder that other users may pass through, since PostgreSQL gives up root's rights."""
    folder = Path(tempfile.mkdtemp(prefix="mailmux-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(services_folder: Path) -> Iterator[Databases]:
    """Makes databases; for tests that need several, or one per module."""
    with EmbeddedPostgres(services_folder / "postgres", durable=False) as postgres:
        yield Databases(postgres)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The SQLAlchemy URL of a migrated database of this test's own."""
    with databases.clone() as url:
        yield url


@pytest.fixture(scope="session")
def valkey(services_folder: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(services_folder / "valkey", durable=False) as server:
        yield server


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """The URL of a Redis database that is empty when the test starts."""
    with redis.Redis.from_url(valkey.url) as connection:
        connection.flushall()
    return valkey.url
