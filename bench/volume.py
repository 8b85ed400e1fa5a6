"""`mailmux bench volume`: lists and statistics over a million emails and a year of sums, with their plans."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import click
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import Connection, Engine, event

from api.schemas.stats import StatsFilter
from api.stats import statistics
from bench.volume_data import RARE_PROVIDER, RARE_TYPE, TYPES, USER, make_emails, make_sums
from db.repositories.selection import EmailQuery
from db.uow import SqlUnitOfWork, open_engine
from domain.lifecycle import Status
from wiring.embedded.postgres import EmbeddedPostgres
from wiring.migrate import upgrade
from wiring.secret import Secret

GOAL_LIST, GOAL_STATS = 0.1, 0.5  # seconds
_TIMES = 5

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
    "status, of none": EmailQuery(status=Status.EXPIRED),
    "status, waiting": EmailQuery(status=Status.QUEUED),
    "email_type": EmailQuery(email_type=TYPES[0]),
    "email_type, of one in 50,000": EmailQuery(email_type=RARE_TYPE),
    "email_type, of none": EmailQuery(email_type="none"),
    "lane": EmailQuery(lane="bulk"),
    "campaign": EmailQuery(campaign_id=UUID(int=3)),
    "provider": EmailQuery(provider="p2"),
    "provider, of one in 50,000": EmailQuery(provider=RARE_PROVIDER),
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
    "a year by day, in Nepal": {"group_by": ["day"], "timezone": "Asia/Kathmandu"},
    "a year by day, in New York": {"group_by": ["day"], "timezone": "America/New_York"},
    "a year by day, in Sydney": {"group_by": ["day"], "timezone": "Australia/Sydney"},
    "a year by day and provider": {"group_by": ["day", "provider"]},
    "a year by day and provider, in India": {"group_by": ["day", "provider"], "timezone": "Asia/Kolkata"},
    "a month by day and mailbox group": {"group_by": ["day", "mailbox_group"], "since": "2025-12-01"},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Medians of some times: seconds, and those that this process and PostgreSQL's took of a processor. What the plans
    of its statements use, how many rows of tables and indexes they read, and how many of tables alone.
    """

    what: str
    seconds: float
    cpu: float
    goal: float
    rows: int
    table_rows: int
    indexes: list[str]
    whole_tables: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    """`adding_up`: µs of the database's processor time per email, emails of one quarter hour, as they come. `load`: the
    machine's, when it began and when it ended.
    """

    emails: int
    emails_of_year: int
    rows_of_year: int
    adding_up: float
    load: tuple[float, float]
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
    with Progress(console=Console(stderr=True), transient=True) as bar:
        report = run(emails, year, bar)
    if as_json:
        click.echo(json.dumps({**asdict(report), "problems": report.problems}))
    else:
        _show(report)
    if gate and report.problems:
        click.echo("\n".join(report.problems), err=True)
        sys.exit(1)


def run(emails: int, year: int, bar: Progress) -> Report:
    folder = Path(tempfile.mkdtemp(prefix="mailmux-volume-"))
    try:
        with EmbeddedPostgres(folder / "postgres", durable=False) as postgres:
            upgrade(Secret(postgres.url))
            engine = open_engine(postgres.url, deadline=1800)
            try:
                return _run(engine, emails, year, bar)
            finally:
                engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(engine: Engine, emails: int, year: int, bar: Progress) -> Report:
    load = psutil.getloadavg()[0]
    step = bar.add_task(f"making {emails:,} emails", total=emails)
    make_emails(engine, emails, lambda made: bar.update(step, completed=made))
    step = bar.add_task("adding up", total=None)
    with SqlUnitOfWork(engine) as unit:
        server = psutil.Process(unit.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        begun = sum(server.cpu_times()[:2])
        while not unit.upkeep.add_up_stats():
            unit.commit()
        unit.commit()
        adding = (sum(server.cpu_times()[:2]) - begun) / emails * 1e6
    bar.update(step, total=1, completed=1)
    step = bar.add_task(f"making the sums of {year:,} emails of a year", total=None)
    rows = make_sums(engine, year)
    bar.update(step, total=1, completed=1)
    questions: list[tuple[str, float, Question]] = [
        (f"emails: {what}", GOAL_LIST, listing(query)) for what, query in LISTS.items()
    ]
    for what, more in STATS.items():
        query = StatsFilter.model_validate({**YEAR, **more})
        questions.append((f"stats: {what}", GOAL_STATS, asking_stats(query)))
    asked = [ask(engine, *question) for question in bar.track(questions, description="asking")]
    return Report(emails, year, rows, round(adding, 1), (load, psutil.getloadavg()[0]), asked)


Question = Callable[[SqlUnitOfWork], object]


def listing(query: EmailQuery) -> Question:
    return lambda unit: unit.emails.list(USER, query, 26)


def asking_stats(query: StatsFilter) -> Question:
    return lambda unit: statistics(unit, USER, query, {}).model_dump_json()


def ask(engine: Engine, what: str, goal: float, question: Question) -> Asked:
    plans: list[Any] = []
    with SqlUnitOfWork(engine) as unit, explained(unit.connection, plans):
        question(unit)
    times, used = [], []
    for _ in range(_TIMES):
        with SqlUnitOfWork(engine) as unit:
            server = psutil.Process(unit.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            before, begun = _cpu(server), time.perf_counter()
            question(unit)
            times.append(time.perf_counter() - begun)
            used.append(_cpu(server) - before)
    nodes = [node for plan in plans for node in nodes_of(plan)]
    indexes = sorted({node["Index Name"] for node in nodes if "Index Name" in node})
    whole = sorted({node["Relation Name"] for node in nodes if node["Node Type"].endswith("Seq Scan")})
    rows, of_tables = sum(map(rows_read, nodes)), sum(map(table_rows_read, nodes))
    return Asked(what, median(times), median(used), goal, rows, of_tables, indexes, whole)


def _cpu(server: psutil.Process) -> float:
    return time.process_time() + sum(server.cpu_times()[:2])


def nodes_of(plan: Any) -> Iterator[Any]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes_of(part)


def rows_read(node: Any) -> int:
    """Rows that a node has read of a table or an index; what it read and left out as well."""
    if "Scan" not in node["Node Type"] or not ("Relation Name" in node or "Index Name" in node):
        return 0
    left_out = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + left_out) * node["Actual Loops"])


def table_rows_read(node: Any) -> int:
    """The same, without those that an index alone told of."""
    return int(node["Heap Fetches"]) if node["Node Type"] == "Index Only Scan" else rows_read(node)


@contextmanager
def explained(asked: Connection | Engine, plans: list[Any]) -> Iterator[None]:
    """Every question of this connection, or of all of an engine's, is explained before it is executed: the plan, as
    EXPLAIN (ANALYZE, BUFFERS) has it, goes to `plans`.
    """

    def explain(_: Connection, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
            plans.append(cursor.fetchone()[0][0]["Plan"])

    event.listen(asked, "before_cursor_execute", explain)
    try:
        yield
    finally:
        event.remove(asked, "before_cursor_execute", explain)


def _show(report: Report) -> None:
    click.echo(
        f"{report.emails:,} emails, {report.adding_up:.1f} µs of PostgreSQL's CPU each to add up; "
        f"{report.rows_of_year:,} rows for {report.emails_of_year:,} emails of a year; "
        f"{psutil.cpu_count()} cores with a load of {report.load[0]:.1f} to {report.load[1]:.1f}"
    )
    table = Table("asked for", "ms", "of these CPU", "rows read", "indexes", box=None)
    for one in report.asked:
        times = f"{one.seconds * 1000:.1f}", f"{one.cpu * 1000:.0f}"
        table.add_row(one.what, *times, f"{one.rows:,}", ", ".join(one.indexes))
    Console(width=200).print(table)
