"""`mailmux up`: the whole service on one machine, from the databases to the workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from rich.console import Console

from cli.supervisor import StopAsked, Supervisor
from cli.welcome import greet
from wiring.embedded.processes import write_private
from wiring.settings import StartSettings


@click.command()
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept.  [.data]"
)
@click.option("--api-port", type=click.IntRange(0, 65535), help="The API's port; 0 takes a free one.  [8025]")
@click.option(
    "--sandbox-port", type=click.IntRange(0, 65535), default=8026, show_default=True, help="The inbox's port."
)
@click.option(
    "--flower-port",
    type=click.IntRange(0, 65535),
    default=5555,
    show_default=True,
    help="The port of Flower, which shows operators the workers and their tasks.",
)
@click.option("--no-flower", is_flag=True, help="Start without Flower.")
@click.option("--no-sandbox", is_flag=True, help="Start without the sandbox that plays the email providers.")
@click.option(
    "--no-learner",
    is_flag=True,
    help="Start without the learner: providers are chosen by list price, reliability and breakers.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    help="Workers for all lanes, beside the one that serves transactional email only.",
)
@click.option(
    "--json-ready",
    type=click.Path(path_type=Path, dir_okay=False),
    help="When all runs, write addresses, process ids and a new first key here (mode 0600).",
)
def up(
    data_dir: Path | None,
    api_port: int | None,
    sandbox_port: int,
    no_sandbox: bool,
    flower_port: int,
    no_flower: bool,
    no_learner: bool,
    workers: int,
    json_ready: Path | None,
) -> None:
    """Start the whole service on this machine, and keep it running until Ctrl-C.

    PostgreSQL and Valkey run from the data directory unless DATABASE_URL and REDIS_URL name servers. The first
    start makes an operator with an API key, which is shown once.
    """
    environ = dict(os.environ)
    if data_dir is not None:
        environ["MAILMUX_DATA_DIR"] = str(data_dir)
    if api_port is not None:
        environ["MAILMUX_API_PORT"] = str(api_port)
    settings = StartSettings.from_env(environ)
    console = Console(highlight=False)
    folder = settings.data_dir.absolute()
    # PostgreSQL has a user of its own where we are root, and must pass through. What is secret is 0600 in itself.
    folder.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    from cli.stack import Stack  # after the settings were checked: what follows takes a second to import

    with Supervisor(folder, console) as supervisor:
        stack = Stack(folder, settings, environ, supervisor)
        try:
            ready = stack.start(
                None if no_sandbox else sandbox_port,
                workers,
                None if no_flower else flower_port,
                learns=not no_learner,
            )
            greet(console, ready)
            if json_ready is not None:
                write_private(json_ready, ready.to_json())
            supervisor.watch()
            supervisor.say("stopping; Ctrl-C again stops at once")
        except StopAsked:
            supervisor.say("stopping before all was ready")
        finally:
            supervisor.stop()
            stack.withdraw()
    if supervisor.hurried:
        supervisor.say("stopped at once; what was being sent is settled at the next start")
        sys.exit(130)
    supervisor.say("stopped")
