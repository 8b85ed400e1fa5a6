"""`mailmux recover`: after the database was restored from a backup, before any worker starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import RowMapping

from cli.supervisor import runs_on
from db.uow import SqlUnitOfWork, open_engine
from domain.capabilities import Search
from domain.errors import StorageUnavailable
from domain.recovery import Outlook, WorkersAlive
from providers import registry
from routing.policy import Patience
from wiring.embedded.postgres import EmbeddedPostgres
from wiring.settings import LEFT_BY_UP, StartSettings
from workers import recovery

_ALIVE = (
    "worker processes are alive, and may be sending. Stop all workers, wait for MAILMUX_LEASE_SECONDS (15), and "
    "start again."
)
_DEADLINE = 660.0  # seconds for one statement: it may have to read everything


class _Moment(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("must be like 2026-05-03T04:00:00+02:00 or 2026-05-03T02:00:00Z", param, ctx)
        if found.tzinfo is None:
            self.fail("needs its time zone: add Z for UTC, or an offset like +02:00", param, ctx)
        return found


@click.command()
@click.option(
    "--since",
    type=_Moment(),
    required=True,
    help="When the backup had been made: the time at which it was finished, or later. With its time zone.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Hold them without asking. Never sends anything.")
@click.option(
    "--release",
    is_flag=True,
    help="Let what an earlier recovery held be sent now, though some may arrive twice. Asks, whatever --yes says.",
)
def recover(since: datetime, dry_run: bool, yes: bool, release: bool) -> None:
    """Hold what may have been sent between a backup and its restore.

    Run it on the restored database before any worker starts (the API may run). Every email that was due is shown as
    unknown and held: a provider's webhook settles it, or its answer when the workers look it up there, or you do, or it
    stays unknown after MAILMUX_UNKNOWN_TTL_SECONDS. Emails that are due at a time to come are left alone. In the end it
    asks whether what is held shall be sent after all; the answer no is always safe.

    Without DATABASE_URL, and where no `mailmux up` runs, PostgreSQL is started from the data directory for as long.
    It may be repeated.
    """
    settings = StartSettings.from_env(os.environ)
    knobs = settings.delivery
    patience = Patience(knobs.unknown_ttl_seconds, knobs.resend_after_seconds, knobs.give_up_after_seconds)
    try:
        with _database(settings) as url:
            engine = open_engine(url, pool_size=1, application="mailmux-recover", deadline=_DEADLINE)
            try:
                _recover(lambda: SqlUnitOfWork(engine), since, patience, dry_run, yes, release)
            finally:
                engine.dispose()
    except WorkersAlive as error:
        raise click.ClickException(f"Meanwhile {_ALIVE}") from error
    except StorageUnavailable as error:
        raise click.ClickException(f"The database does not answer: {error}") from error


def _recover(
    units: recovery.AnyUnits, since: datetime, patience: Patience, dry_run: bool, yes: bool, release: bool
) -> None:
    outlook = recovery.survey(units, since)
    _tell(outlook, since)
    if dry_run:
        click.echo("Nothing was changed.")
        return
    if outlook.alive:
        raise click.ClickException(f"{outlook.alive} {_ALIVE}")
    if since > outlook.now:
        raise click.ClickException("--since is in the future, by the database's clock.")
    if outlook.suspects:
        if not yes:
            click.confirm(f"Hold {outlook.suspects} emails as unknown?", abort=True)
        click.echo(f"Held: {recovery.hold_suspects(units, units, since, patience)} emails.")
    else:
        recovery.hold_suspects(units, units, since, patience)  # what was open when the backup was made
    _ask_to_release(units, since, yes, release)


def _ask_to_release(units: recovery.AnyUnits, since: datetime, yes: bool, release: bool) -> None:
    held = recovery.survey(units, since).held
    if not held:
        click.echo("Nothing is held. Start the workers.")
        return
    question = f"Send the {held} emails that are held, though each may have been sent before?"
    if (release or not yes) and click.confirm(question, default=False):
        click.echo(f"Released: {recovery.release_held(units)} emails. They go out when the workers start.")
        return
    click.echo(f"{held} emails stay held; GET /v1/emails?status=unknown lists them. Start the workers.")
    _say_who_is_asked(units)


def _say_who_is_asked(units: recovery.AnyUnits) -> None:
    """Which accounts the workers will ask for what is held, and which only tell by themselves."""
    with units() as unit:
        accounts = unit.providers.every()
    asked: list[str] = []
    telling: list[str] = []
    for row in accounts:
        (asked if _finds_emails(row) else telling).append(f"{row['name']} ({row['kind']})")
    if asked:
        click.echo(f"They will be looked for, for a day, at {', '.join(asked)}.")
    if telling:
        click.echo(f"Not at {', '.join(telling)}: nobody can be asked there; what webhooks tell counts.")


def _finds_emails(row: RowMapping) -> bool:
    """Whether the account's provider finds an email by its id. One that is not known here any more does not."""
    try:
        kind = registry.kind(row["kind"])
        return kind.capabilities(kind.Config.model_construct()).search is Search.EMAIL
    except registry.UnknownKind:
        return False


def _tell(outlook: Outlook, since: datetime) -> None:
    def at(moment: datetime | None) -> str:
        return "never" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

    click.echo(f"Backup of {at(since)}; the latest work in this database is of {at(outlook.newest)}.")
    click.echo(
        f"  {outlook.suspects:>8} emails were due or in doubt: they may have been sent since; to be held"
    )
    click.echo(f"  {outlook.held:>8} emails are held by an earlier recovery")
    click.echo(f"  {outlook.later:>8} emails are due at a time to come: they stay as they are")
    click.echo(
        f"  {outlook.accepted_since:>8} emails were accepted after that time: they stay, and will be sent"
    )
    if outlook.accepted_since:
        click.echo(
            "That is right where they came after the restore. Where the backup is younger, give a later --since."
        )


@contextmanager
def _database(settings: StartSettings) -> Iterator[str]:
    left = settings.data_dir / LEFT_BY_UP["database_url"]
    if settings.database_url is not None:
        yield settings.database_url.reveal()
    elif left.is_file() and runs_on(settings.data_dir):
        yield left.read_text().strip()
    else:
        home = Path(settings.data_dir.absolute()) / "postgres"
        if not home.exists():
            raise click.ClickException(
                f"There is no database: DATABASE_URL is not set, and {settings.data_dir} holds none "
                "(MAILMUX_DATA_DIR)."
            )
        with EmbeddedPostgres(home) as postgres:
            yield postgres.url
