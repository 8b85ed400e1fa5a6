"""`mailmux bench faults`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.faults.acts import FAULTS
from bench.faults.books import SHAPES
from bench.faults.outcome import Outcome, Plan
from bench.faults.run import State, run

_NAMES = [fault.name for fault in FAULTS]


@click.command(short_help="Break the service and account for every email.")
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
    "--content",
    "shapes",
    multiple=True,
    type=click.Choice(SHAPES),
    help="What the load's emails consist of, in turn; may be repeated. Left out: a mixture of all.",
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
    "--still",
    type=click.FloatRange(1, 300),
    default=8.0,
    show_default=True,
    metavar="SECONDS",
    help="How long PostgreSQL and Redis stand still when they are stopped.",
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here afterwards."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--list", "listed", is_flag=True, help="Say which faults there are.")
def faults(
    emails: int,
    minutes: float,
    only: tuple[str, ...],
    shapes: tuple[str, ...],
    kills: int,
    rounds: int,
    seed: int,
    still: float,
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
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that nothing is left running
    plan = Plan(emails, minutes, kills, rounds, seed, still, only, shapes)
    with Progress(
        TextColumn("{task.fields[state].doing}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("faults, {task.fields[state].accepted} accepted, {task.fields[state].received} received"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task("", total=len(plan.faults()), state=State())

        def tell(state: State) -> None:
            progress.update(task, state=state, completed=state.done)

        outcome = run(plan, tell, data_dir)
    if as_json:
        click.echo(json.dumps(outcome.as_json()))
    else:
        _show(outcome)
    sys.exit(1 if outcome.complaints else 0)


def _show(outcome: Outcome) -> None:
    console = Console()
    found = outcome.as_json()
    table = Table("fault", "times", "recovery s p50", "max", "accept p99 ms", "unknown", "of at most")
    for row in found["faults"]:
        figures = (row[name] for name in ("recovery_seconds_p50", "recovery_seconds_max", "accept_p99_ms"))
        table.add_row(
            row["name"],
            str(row["injections"]),
            *("–" if figure is None else f"{figure:.1f}" for figure in figures),
            str(row["unknown"]),
            str(row["unknown_bound"]),
        )
    console.print(table)
    contents = found["contents"]
    totals = Table("emails", *contents, "all")
    for name, figure in found["total"].items():
        parts = (str(counts.get(name, "")) for counts in contents.values())
        totals.add_row(name.replace("_", " "), *parts, str(figure))
    console.print(totals)
    if outcome.orphans:
        console.print(
            f"what dead workers held was free or shown as unknown after {max(outcome.orphans):.1f} s at most"
        )
    if outcome.skipped:
        console.print(f"{outcome.skipped} faults were left out: --minutes was over")
    console.print(f"seed {found['seed']}, {found['seconds']} s, {found['machine']}")
    for complaint in outcome.complaints:
        console.print(f"[bold red]✗[/] {complaint}", highlight=False)
    if not outcome.complaints:
        console.print("[bold green]✓[/] every email is accounted for")
