"""`mailmux erase`: everything about a recipient is taken away."""

from __future__ import annotations

import time
from typing import Any

import click
from mailmux_client import Mailmux

from cli.remote import over_http, show

_LOOK = 1.0  # seconds between two looks


@click.command()
@click.argument("address")
@click.option("--everybody", is_flag=True, help="From what all users keep, not yours alone. Operators only.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@over_http
def erase(mailmux: Mailmux, as_json: bool, address: str, everybody: bool, no_wait: bool, yes: bool) -> None:
    """Take away everything about a recipient: emails to ADDRESS, their bodies, attempts, timelines and events.

    Emails that wait are not sent. Whoever is on the suppression list stays on it, by a hash that tells nobody who it
    is. It cannot be undone; given again, it goes on where it was.
    """
    if not yes:
        click.confirm(f"Erase everything about {address}, for good?", abort=True, err=True)
    found = mailmux.erasures.create(address=address, everybody=everybody)
    while found["state"] != "done" and not no_wait:
        time.sleep(_LOOK)
        found = mailmux.erasures.get(found["id"])
    show(found, as_json, _print)


def _print(found: dict[str, Any]) -> None:
    if found["state"] != "done":
        click.echo(f"{found['id']} is {found['state']}: mailmux erase, given again, waits for it")
        return
    counted = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in sorted(found["found"].items()) if count
    )
    click.echo(f"Erased: {counted or 'nothing was there'}")
