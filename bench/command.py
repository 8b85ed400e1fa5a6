"""`mailmux bench`: break the service on purpose, measure it, and play its chooser against others."""

from __future__ import annotations

import click

from bench.campaign import campaign
from bench.decide import decide
from bench.faults.command import faults
from bench.routing.command import routing
from bench.sustained.command import sustained
from bench.throughput.command import throughput
from bench.volume import volume
from bench.webhooks.command import webhooks


@click.group()
def bench() -> None:
    """Break the service on purpose and count what became of every email; measure how fast it is, and how well it
    chooses."""


bench.add_command(campaign)
bench.add_command(decide)
bench.add_command(faults)
bench.add_command(routing)
bench.add_command(sustained)
bench.add_command(throughput)
bench.add_command(volume)
bench.add_command(webhooks)
