"""Bring a database to the newest schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import db
from wiring.embedded.processes import ServiceFailed
from wiring.secret import Secret

_LOCK: Final = 0x6D61696C6D7578  # "mailmux"; any number will do, so long as it stays the same
_LOCK_TIMEOUT: Final = "60s"


def upgrade(database_url: Secret, revision: str = "head") -> None:
    """Apply the migrations that are missing, each in a transaction of its own: what one locks is free before the next
    goes through its tables, and after one that fails the next call goes on from there. An empty database gets all of
    them or none.

    Two that start at once take turns by an advisory lock that lives as long as the transaction, so that it also
    holds behind PgBouncer. Raises ServiceFailed where the database cannot be reached, else SQLAlchemy's errors.
    """
    engine = sa.create_engine(database_url.reveal(), poolclass=sa.NullPool)
    _reach(engine)
    while True:
        with _turn(engine) as connection:
            config = alembic_config(connection)
            now = MigrationContext.configure(connection).get_current_revision()
            missing = list(ScriptDirectory.from_config(config).iterate_revisions(revision, now or "base"))
            if not missing:
                return
            command.upgrade(config, revision if now is None else missing[-1].revision)


@contextmanager
def _turn(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in which nobody else migrates."""
    with engine.begin() as connection:
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        connection.execute(sa.text("SET LOCAL lock_timeout = DEFAULT"))
        yield connection


def _reach(engine: sa.Engine) -> None:
    try:
        engine.connect().close()
    except sa.exc.OperationalError as error:
        raise ServiceFailed(
            f"The database cannot be reached (DATABASE_URL): {str(error.orig).strip()}"
        ) from error


def alembic_config(connection: sa.Connection) -> Config:
    """Alembic's configuration for this connection, as `db/migrations/env.py` expects it."""
    config = Config()
    # Alembic reads the value with configparser, for which % is special.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def migrations_folder() -> Path:
    return Path(db.__file__).parent / "migrations"
