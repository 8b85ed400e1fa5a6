"""`mailmux bench throughput`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.throughput.goals import slipped
from bench.throughput.run import GATED, SYSTEMS, WINDOW, run

BASELINE = Path(__file__).with_name("baseline.json")


@click.command(short_help="Measure the service against what people use instead.")
@click.option(
    "--emails", type=click.IntRange(500), default=10_000, show_default=True, help="The size of a round."
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Each system's turns.")
@click.option("--quick", is_flag=True, help="5 minutes at most: 3,000 emails.")
@click.option(
    "--gate", is_flag=True, help="2 minutes at most: fail where a ratio fell below 60% of what it was."
)
@click.option("--only", multiple=True, type=click.Choice(list(SYSTEMS)), help="Only these systems.")
@click.option(
    "--window",
    type=click.IntRange(1, 1000),
    default=WINDOW,
    show_default=True,
    help="Emails that a worker process sends under one entry of the ledger (MAILMUX_BULK_WINDOW).",
)
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def throughput(
    emails: int,
    rounds: int,
    quick: bool,
    gate: bool,
    only: tuple[str, ...],
    window: int,
    markdown: bool,
    as_json: bool,
) -> None:
    """Measure the service against what people use instead: in turn, in one run, counted at the receiver.

    Machines differ and are busy with other things; ratios and CPU per email say more than emails per second.
    """
    if gate:
        # What the baseline was measured with, or nothing can be compared.
        emails, rounds, only, window = 2_000, 2, GATED, WINDOW
    elif quick:
        emails = 3_000
    told = Console(stderr=True)
    with told.status("") as status:
        report = run(emails, rounds, only, status.update, window=window)
    found = report.as_json()
    complaints: list[str] = []
    if gate:
        before = json.loads(BASELINE.read_text())
        complaints = slipped(report.measured, before)
        found["gate"] = {"before": before, "slipped": complaints}
    if as_json:
        click.echo(json.dumps(found))
    else:
        _show(found, markdown)
    for complaint in complaints:
        told.print(f"[bold red]✗[/] {complaint}", highlight=False)
    sys.exit(1 if complaints else 0)


def _show(found: dict[str, Any], markdown: bool) -> None:
    systems = [
        [
            s["name"], f"{s['emails_per_second']:,}", f"{s['cpu_us_per_email']:,}",
            ", ".join(f"{process} {us:,}" for process, us in s["cpu_us_by_process"].items()),
            _number(s["accept_p50_ms"]), _number(s["accept_p99_ms"]),
            _number(s["accept_to_provider_p50_ms"]), _number(s["accept_to_provider_p99_ms"]),
        ]
        for s in found["systems"]
    ]  # fmt: skip
    goals = [
        [g["name"], g["says"], f"{g['floor']:g}", f"{g['goal']:g}", f"{g['measured']:.3g}",
         "goal" if g["met"] else "floor" if g["floor_met"] else "missed"]
        for g in found["goals"]
    ]  # fmt: skip
    tables = (
        (
            [
                "system",
                "emails/s",
                "CPU µs/email",
                "by process",
                "accept p50 ms",
                "p99 ms",
                "to provider p50 ms",
                "p99 ms",
            ],
            systems,
        ),
        (["figure", "what", "floor", "goal", "measured", "reached"], goals),
    )
    for head, rows in tables:
        if markdown:
            for line in (head, ["---"] * len(head), *rows):
                click.echo(f"| {' | '.join(line)} |")
            click.echo()
        else:
            table = Table(*head)
            for row in rows:
                table.add_row(*row)
            Console().print(table)
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    click.echo(f"{found['machine']}; {versions}; {found['rounds']} rounds")
    if found["not_measured"]:
        click.echo(f"not measured: {', '.join(found['not_measured'])}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
