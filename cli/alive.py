"""`mailmux alive`: whether a worker on this machine takes tasks; for a container's health check."""

from __future__ import annotations

import os
import sys
import time

import click

from wiring.settings import Settings
from wiring.silence import proof_file, redis_answers


@click.command()
@click.argument("worker")
def alive(worker: str) -> None:
    """Tell whether WORKER (its name before the @) takes and ends tasks. The exit code is 0 where it does.

    It must run on the worker's machine, or in its container. While Redis is away no worker can take tasks; that is
    not the worker's fault, and the exit code is 0.
    """
    settings = Settings.from_env(os.environ)
    file = proof_file(settings.data_dir, worker)
    age = time.time() - file.stat().st_mtime if file.exists() else None
    if age is not None and age <= settings.delivery.silence_seconds:
        click.echo(f"{worker} ended a task {max(0.0, age):.0f} s ago.")
        return
    if not redis_answers(settings.redis_url):
        click.echo(f"Redis does not answer, so {worker} cannot take tasks.")
        return
    click.echo(
        f"{worker} has never ended a task here."
        if age is None
        else f"{worker} has ended no task for {age:.0f} s.",
        err=True,
    )
    sys.exit(1)
