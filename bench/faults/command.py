"""`mailmux bench faults`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.faults.acts import FAULTS
from bench.faults.run import Outcome, Plan, run

_NAMES = [fault.name for fault in FAULTS]


@click.command()
@click.option(
    "--emails", type=click.IntRange(1), default=2000, show_default=True, help="How many to hand over."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.1),
    default=30.0,
    show_default=True,
    help="No fault begins later.",
)
@click.option(
    "--only",
    "only",
    multiple=True,
    type=click.Choice(_NAMES),
    metavar="FAULT",
    help="This fault; may be repeated.",
)
@click.option(
    "--kills",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Times that a program is killed.",
)
@click.option(
    "--rounds", type=click.IntRange(0), default=1, show_default=True, help="Times that any other is done."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Decides the order and the moments.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here afterwards."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--list", "listed", is_flag=True, help="Say which faults there are.")
def faults(
    emails: int,
    minutes: float,
    only: tuple[str, ...],
    kills: int,
    rounds: int,
    seed: int,
    data_dir: Path | None,
    as_json: bool,
    listed: bool,
) -> None:
    """Start the service, send emails, break it on purpose, and account for every one of them.

    Ends with 1 where an email was lost, sent twice without a reason in the ledger, received without a line in
    the ledger, or where more are unknown than the faults explain.
    """
    if listed:
        for fault in FAULTS:
            click.echo(f"{fault.name:20} {fault.says}")
        return
    plan = Plan(emails, minutes, kills, rounds, seed, only)
    with Progress(
        TextColumn("{task.fields[doing]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("faults, {task.fields[accepted]} emails accepted"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task("", total=len(plan.faults()), doing="", accepted=0)

        def tell(doing: str, accepted: int, done: int) -> None:
            progress.update(task, doing=doing, accepted=accepted, completed=done)

        outcome = run(plan, tell, data_dir)
    if as_json:
        click.echo(json.dumps(outcome.as_json()))
    else:
        _show(outcome)
    sys.exit(1 if outcome.complaints else 0)


def _show(outcome: Outcome) -> None:
    console = Console()
    found = outcome.as_json()
    table = Table("fault", "times", "recovery s (median)", "(most)", "accept p99 ms")
    for row in found["faults"]:
        table.add_row(
            row["name"],
            str(row["injections"]),
            *("–" if row[name] is None else f"{row[name]:.1f}"
              for name in ("recovery_seconds_median", "recovery_seconds_max", "accept_p99_ms")),
        )  # fmt: skip
    console.print(table)
    totals = Table(*found["total"])
    totals.add_row(*map(str, found["total"].values()))
    console.print(totals)
    console.print(f"seed {found['seed']}, {found['seconds']} s, {found['machine']}")
    for complaint in outcome.complaints:
        console.print(f"[bold red]✗[/] {complaint}", highlight=False)
    if not outcome.complaints:
        console.print("[bold green]✓[/] every email is accounted for")
