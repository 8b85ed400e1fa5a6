"""`mailmux bench`: break the service on purpose, and measure it."""

from __future__ import annotations

import click

from bench.faults.command import faults
from bench.throughput.command import throughput
from bench.webhooks.command import webhooks


@click.group()
def bench() -> None:
    """Break the service on purpose and count what became of every email; measure how fast it is."""


bench.add_command(faults)
bench.add_command(throughput)
bench.add_command(webhooks)
