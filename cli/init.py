"""`mailmux init`: makes a database ready for work."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wiring import provision
from wiring.settings import Settings


@click.command()
@click.option(
    "--sandbox-accounts",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Register the accounts in this file of the sandbox (DIR/accounts.json) as providers.",
)
@click.option(
    "--api-url",
    metavar="URL",
    help="Where the sandbox reaches the API, so that it tells what became of emails, as a provider does.",
)
def init(sandbox_accounts: Path | None, api_url: str | None) -> None:
    """Bring the schema up to date and make the first user, an operator, with an API key.

    The key and the password are shown once. Where there is a user already, none is made: `mailmux keys create` makes
    further keys. `mailmux up` does all of this by itself.
    """
    settings = Settings.from_env(os.environ)
    provision.prepare(settings, sandbox_accounts, api_url)
    user = provision.first_user(settings)
    if user is None:
        click.echo("The schema is up to date. There is a user already.", err=True)
        return
    click.echo(f"user      {user.email}\npassword  {user.password}\nkey       {user.key}")
    click.echo("Keep them now: they are not shown again.", err=True)
