"""Bring a database to the newest schema."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import db
from wiring.embedded.processes import ServiceFailed
from wiring.secret import Secret

_LOCK: Final = 0x6D61696C6D7578  # "mailmux"; any number will do, so long as it stays the same
_LOCK_TIMEOUT: Final = "60s"


def upgrade(database_url: Secret, revision: str = "head") -> None:
    """Apply the migrations that are missing, in one transaction: all of them or none.

    Two that start at once take turns by an advisory lock that lives as long as the transaction, so that it also
    holds behind PgBouncer. Raises ServiceFailed where the database cannot be reached, else SQLAlchemy's errors.
    """
    engine = sa.create_engine(database_url.reveal(), poolclass=sa.NullPool)
    _reach(engine)
    with engine.begin() as connection:
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        connection.execute(sa.text("SET LOCAL lock_timeout = DEFAULT"))
        command.upgrade(alembic_config(connection), revision)


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
