"""`mailmux halts`: what is not sent for now, over the API."""

from __future__ import annotations

from typing import Any

import click
from mailmux_client import Mailmux

from cli.remote import fields, over_http, print_fields, show, show_list


@click.group()
def halts() -> None:
    """Have emails of a user, a type or a lane wait. They are accepted, and not sent until the halt is lifted.

    \b
    mailmux halts set type newsletter --reason 'wrong price in it'
    mailmux halts list
    mailmux halts lift ID
    """


@halts.command("list")
@over_http
def list_them(mailmux: Mailmux, as_json: bool) -> None:
    """Show them, newest first."""
    found = mailmux.halts.list()
    show_list(found, len(found), as_json, fields("id", "kind", "value", "user_id", "reason", "created_at"))


@halts.command("set")
@click.argument("kind", type=click.Choice(["user", "type", "lane"]))
@click.argument("value", default="")
@click.option("--reason", default="", help="For whoever asks.")
@click.option("--everybody", is_flag=True, help="Of all users; operators may.")
@over_http
def set_one(mailmux: Mailmux, as_json: bool, kind: str, value: str, **said: Any) -> None:
    """Halt emails: all of yours (user), those of a type, or of a lane.

    \b
    mailmux halts set type newsletter --reason "wrong price in it"
    mailmux halts set lane bulk --everybody
    """
    given = {name: word for name, word in said.items() if word}
    show(mailmux.halts.create(kind, value, **given), as_json, print_fields)


@halts.command()
@click.argument("id")
@over_http
def lift(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Let what waited go."""
    mailmux.halts.lift(id)
    show({"id": id, "lifted": True}, as_json, lambda _: click.echo(f"{id} is lifted"))
