"""`mailmux bench sustained`."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console

from bench.sustained.figures import FLOOR, GOAL, Report


@click.command(short_help="Send, hear of and tell of every email, without a growing backlog.")
@click.option(
    "--emails", type=click.IntRange(500), default=6000, show_default=True, help="The size of a round."
)
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Of each kind.")
@click.option(
    "--seconds", type=click.FloatRange(5), default=30.0, show_default=True, help="Of the steady pace."
)
@click.option(
    "--events-per-call",
    "per_call",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="That the provider tells at most in a call, as SendGrid does; 1: a call for each email.",
)
@click.option("--gate", is_flag=True, help=f"Fail below {FLOOR:g} of what sends alone reach.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def sustained(emails: int, rounds: int, seconds: float, per_call: int, gate: bool, as_json: bool) -> None:
    """For every email one send, one delivered event in and one webhook out, against sends alone.

    Starts a stack of its own, with a provider that tells of each email by signed calls and a webhook that is told. Ours
    and sends alone run in turn; then emails come at four fifths of the rate that was reached, and those that were not
    told of yet are counted. Fails where that grows, or where one is left.
    """
    from bench.sustained.run import run  # takes a second to import

    told = Console(stderr=True)
    with told.status("") as status:
        report = run(emails, rounds, seconds, per_call, status.update)
    complaints = report.complaints()
    if gate and report.ratio < FLOOR:
        complaints.append(f"{report.ratio:.2f} of sends alone, below {FLOOR:g}")
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        _show(report)
    for complaint in complaints:
        told.print(f"[bold red]✗[/] {complaint}", highlight=False)
    sys.exit(1 if complaints else 0)


def _show(report: Report) -> None:
    found = report.as_json()
    reached = "goal" if found["met"] else "floor" if found["floor_met"] else "missed"
    click.echo(f"sends alone, emails/s:            {', '.join(map(str, found['alone_per_second']))}")
    click.echo(f"with event and webhook, emails/s: {', '.join(map(str, found['everything_per_second']))}")
    click.echo(f"ratio {report.ratio:.2f} (floor {FLOOR:g}, goal {GOAL:g}: {reached})")
    for name, cpu in found["cpu_us_per_email"].items():
        parts = ", ".join(f"{process} {us}" for process, us in cpu.items())
        click.echo(f"CPU µs per email, {name}: {sum(cpu.values())} ({parts})")
    paced = found["paced"]
    click.echo(
        f"{paced['emails']} emails at {paced['per_second']}/s: at most {paced['backlog_most']} not told of yet, "
        f"growing by {paced['backlog_growth_per_second']} a second"
    )
