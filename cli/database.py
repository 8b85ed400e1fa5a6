"""The database, as commands that work on it directly reach it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import click

from db.repositories.audit import AuditLine
from db.uow import SqlUnitOfWork, open_engine
from domain.errors import StorageUnavailable
from wiring.bootstrap import new_id
from wiring.settings import Settings, SettingsError


def read_settings() -> Settings:
    """Raises ClickException with everything that is wrong."""
    try:
        return Settings.from_env(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def open_unit() -> Iterator[SqlUnitOfWork]:
    """A unit of work. Raises ClickException where the database cannot be reached."""
    settings = read_settings()
    try:
        engine = open_engine(settings.database_url.reveal(), pool_size=1, application="mailmux-cli")
        try:
            with SqlUnitOfWork(engine) as unit:
                yield unit
        finally:
            engine.dispose()
    except StorageUnavailable as error:
        raise click.ClickException(f"The database does not answer: {error}") from error


def note(unit: SqlUnitOfWork, action: str, target: UUID | None = None) -> None:
    """Write down in the audit log what a command changes, in the same transaction."""
    unit.audit.add(AuditLine(new_id(), "cli", action, target))
