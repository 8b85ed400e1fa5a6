"""`mailmux bench webhooks`."""

from __future__ import annotations

import json
import sys

import click

GOAL_MS = 50.0  # of the 99th percentile


@click.command(short_help="Measure how fast providers' events are taken.")
@click.option(
    "--rate", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Calls a second."
)
@click.option("--seconds", type=click.IntRange(1, 120), default=20, show_default=True, help="For so long.")
@click.option("--gate", is_flag=True, help=f"Fail where the 99th percentile is above {GOAL_MS:g} ms.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def webhooks(rate: int, seconds: int, gate: bool, as_json: bool) -> None:
    """Call SendGrid's webhook with signed events at a fixed rate, and count what became of each.

    Starts a stack of its own. Latencies count from when a call was due, not from when it was made.
    """
    from bench.webhooks.run import run  # takes a second to import

    report = run(rate, seconds)
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        click.echo(
            f"{report.calls} calls at {report.per_second:.0f}/s: answered after {report.p50_ms:.1f} ms (p50), "
            f"{report.p99_ms:.1f} ms (p99), {report.worst_ms:.1f} ms (worst); {report.statuses}"
        )
        cpu = ", ".join(f"{name} {us:,.0f}" for name, us in report.cpu_us_per_call.items())
        click.echo(f"CPU per call in µs: {cpu}")
        click.echo(
            f"{report.stored} stored, {report.applied} applied {report.lag_seconds:.1f} s after the last call; "
            f"{report.delivered} of {report.emails} emails delivered"
        )
    lost = report.calls - report.applied
    if lost or set(report.statuses) != {"200"}:
        click.echo(f"not all were taken and applied: {lost} are missing", err=True)
        sys.exit(1)
    sys.exit(1 if gate and report.p99_ms > GOAL_MS else 0)
