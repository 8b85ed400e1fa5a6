"""`mailmux bench volume`: lists and statistics over a million emails and a year of sums, with their plans."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine, event

from api.schemas.stats import StatsFilter
from api.stats import statistics
from bench.volume_data import TYPES, USER, make_emails, make_sums
from db.repositories.emails import EmailQuery
from db.uow import SqlUnitOfWork, open_engine
from domain.lifecycle import Status
from wiring.embedded.postgres import EmbeddedPostgres
from wiring.migrate import upgrade
from wiring.secret import Secret

GOAL_LIST, GOAL_STATS = 0.1, 0.5  # seconds
_TIMES = 5
_WHOLE_TABLE = re.compile(r"Seq Scan on (\w+)")
_INDEX = re.compile(r"using (\w+)|Bitmap Index Scan on (\w+)")

# A page of 25 each.
LISTS: Mapping[str, EmailQuery] = {
    "all": EmailQuery(),
    "recipient": EmailQuery(recipient="person-777@mail7.example"),
    "recipient, in cc": EmailQuery(recipient="copy-13@firm.example"),
    "recipient, nobody": EmailQuery(recipient="nobody@mail1.example"),
    "tag, of one in twenty": EmailQuery(tag="tag-3"),
    "tag, of one in 50,000": EmailQuery(tag="rare"),
    "tag, of none": EmailQuery(tag="none"),
    "metadata, of one email": EmailQuery(metadata='{"order": "o-4242"}'),
    "metadata, of none": EmailQuery(metadata='{"order": "no"}'),
    "status, frequent": EmailQuery(status=Status.BOUNCED),
    "status, of one in 50,000": EmailQuery(status=Status.FAILED),
    "status, waiting": EmailQuery(status=Status.QUEUED),
    "email_type": EmailQuery(email_type=TYPES[0]),
    "campaign": EmailQuery(campaign_id=UUID(int=3)),
    "provider": EmailQuery(provider="p2"),
    "tag and status": EmailQuery(tag="rare", status=Status.DELIVERED),
}
YEAR = {"since": "2025-01-01", "until": "2025-12-31"}
STATS: Mapping[str, dict[str, Any]] = {
    "a year": {},
    "a year by provider": {"group_by": ["provider"]},
    "a year by email type": {"group_by": ["email_type"]},
    "a year by mailbox group": {"group_by": ["mailbox_group"]},
    "a year by mailbox group and provider": {"group_by": ["mailbox_group", "provider"]},
    "a year by campaign": {"group_by": ["campaign"]},
    "a year by day": {"group_by": ["day"]},
    "a year by day, in India": {"group_by": ["day"], "timezone": "Asia/Kolkata"},
    "a year by day and provider": {"group_by": ["day", "provider"]},
    "a month by day and mailbox group": {"group_by": ["day", "mailbox_group"], "since": "2025-12-01"},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The median of some times, in seconds, and what the plans of its statements use."""

    what: str
    seconds: float
    goal: float
    indexes: list[str]
    whole_tables: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    """`adding_up`: µs of the database's processor time per email. Emails are of one half hour, as they come."""

    emails: int
    emails_of_year: int
    rows_of_year: int
    adding_up: float
    asked: list[Asked]

    @property
    def problems(self) -> list[str]:
        slow = [f"{a.what}: {a.seconds:.2f} s" for a in self.asked if a.seconds > a.goal]
        return slow + [f"{a.what}: reads all of {table}" for a in self.asked for table in a.whole_tables]


@click.command(short_help="Ask for lists and statistics over a million emails.")
@click.option(
    "--emails",
    type=click.IntRange(1000, 20_000_000),
    default=1_000_000,
    show_default=True,
    help="That are there.",
)
@click.option("--year", type=click.IntRange(1000, 100_000_000), default=10_000_000, show_default=True,
              help="Emails whose sums a year is made of.")  # fmt: skip
@click.option("--gate", is_flag=True, help="Fail where one is slower than its goal, or reads a whole table.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def volume(emails: int, year: int, gate: bool, as_json: bool) -> None:
    """Fill a database of its own with emails, and with the sums of a year, and ask.

    The emails' own sums are added up as the service does it, from what is due.
    """
    report = run(emails, year, lambda words: click.echo(words, err=True))
    if as_json:
        click.echo(json.dumps({**asdict(report), "problems": report.problems}))
    else:
        _show(report)
    if gate and report.problems:
        click.echo("\n".join(report.problems), err=True)
        sys.exit(1)


def run(emails: int, year: int, say: Callable[[str], None]) -> Report:
    folder = Path(tempfile.mkdtemp(prefix="mailmux-volume-"))
    try:
        with EmbeddedPostgres(folder / "postgres", durable=False) as postgres:
            upgrade(Secret(postgres.url))
            engine = open_engine(postgres.url, deadline=1800)
            try:
                return _run(engine, emails, year, say)
            finally:
                engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(engine: Engine, emails: int, year: int, say: Callable[[str], None]) -> Report:
    say(f"making {emails:,} emails …")
    make_emails(engine, emails)
    say("adding up …")
    with SqlUnitOfWork(engine) as unit:
        server = psutil.Process(unit.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        begun = sum(server.cpu_times()[:2])
        while not unit.upkeep.add_up_stats():
            unit.commit()
        unit.commit()
        adding = (sum(server.cpu_times()[:2]) - begun) / emails * 1e6
    say(f"making the sums of {year:,} emails of a year …")
    rows = make_sums(engine, year)
    say("asking …")
    asked = [ask(engine, f"emails: {what}", GOAL_LIST, listing(query)) for what, query in LISTS.items()]
    for what, more in STATS.items():
        query = StatsFilter.model_validate({**YEAR, **more})
        asked.append(ask(engine, f"stats: {what}", GOAL_STATS, asking_stats(query)))
    return Report(emails, year, rows, round(adding, 1), asked)


Question = Callable[[SqlUnitOfWork], object]


def listing(query: EmailQuery) -> Question:
    return lambda unit: unit.emails.list(USER, query, 26)


def asking_stats(query: StatsFilter) -> Question:
    return lambda unit: statistics(unit, USER, query, {}).model_dump_json()


def ask(engine: Engine, what: str, goal: float, question: Question) -> Asked:
    plans: list[str] = []
    with SqlUnitOfWork(engine) as unit, _explained(unit.connection, plans):
        question(unit)
    times = []
    for _ in range(_TIMES):
        with SqlUnitOfWork(engine) as unit:
            begun = time.perf_counter()
            question(unit)
            times.append(time.perf_counter() - begun)
    plan = "\n".join(plans)
    indexes = sorted({a or b for a, b in _INDEX.findall(plan)})
    return Asked(what, sorted(times)[_TIMES // 2], goal, indexes, sorted(set(_WHOLE_TABLE.findall(plan))))


@contextmanager
def _explained(connection: Connection, plans: list[str]) -> Iterator[None]:
    """Every statement of this connection is explained before it is executed."""

    def explain(_: Connection, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(row[0] for row in cursor.fetchall()))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def _show(report: Report) -> None:
    click.echo(
        f"{report.emails:,} emails, {report.adding_up:.1f} µs of PostgreSQL's CPU each to add up; "
        f"{report.rows_of_year:,} rows for {report.emails_of_year:,} emails of a year"
    )
    table = Table("asked for", "ms", "indexes", box=None)
    for one in report.asked:
        table.add_row(one.what, f"{one.seconds * 1000:.1f}", ", ".join(one.indexes))
    Console(width=200).print(table)
