"""`mailmux migrate`: brings the database to this version's schema."""

from __future__ import annotations

import os

import click

from wiring.migrate import upgrade
from wiring.settings import Settings


@click.command()
def migrate() -> None:
    """Bring the database to this version's schema.

    Run it before the API and the workers of a new version start; several at once take turns. `mailmux up` does it
    by itself.
    """
    upgrade(Settings.from_env(os.environ).database_url)
    click.echo("The database has this version's schema.")
