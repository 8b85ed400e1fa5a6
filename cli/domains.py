"""`mailmux domains`: the domains that are sent from, and their DNS records, over the API."""

from __future__ import annotations

from typing import Any

import click
from mailmux_client import Mailmux

from cli.remote import moment, over_http, show, show_list

_MARKS = {True: "ok", False: "missing", None: "?"}


@click.group()
def domains() -> None:
    """Declare domains to send from, see the DNS records that they need.

    \b
    mailmux domains add news.example.com
    mailmux domains check ID
    """


@domains.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@over_http
def list_them(mailmux: Mailmux, as_json: bool, limit: int) -> None:
    """Show them, newest first."""
    columns = [
        ("id", lambda d: d["id"]),
        ("name", lambda d: d["name"]),
        ("status", lambda d: d["status"]),
        ("checked", lambda d: moment(d["checked_at"])),
    ]
    show_list(mailmux.domains.list(), limit, as_json, columns)


@domains.command()
@click.argument("name")
@over_http
def add(mailmux: Mailmux, as_json: bool, name: str) -> None:
    """Declare a domain, and check it."""
    made = mailmux.domains.create(name=name)
    show(mailmux.domains.check(made["id"]), as_json, _print)


@domains.command("show")
@click.argument("id")
@over_http
def show_one(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Show the records that each account wants, and whether they are there."""
    show(mailmux.domains.get(id), as_json, _print)


@domains.command()
@click.argument("id")
@over_http
def check(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Ask the accounts and the DNS now."""
    show(mailmux.domains.check(id), as_json, _print)


@domains.command()
@click.argument("id")
@over_http
def delete(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Do not check a domain any more."""
    mailmux.domains.delete(id)
    show({"id": id, "deleted": True}, as_json, lambda _: click.echo(f"{id} is deleted"))


def _print(domain: Any) -> None:
    click.echo(f"{domain['name']}: {domain['status']}  ({domain['id']})")
    owner = domain["ownership"]
    proof, since = owner["record"], moment(owner["proved_at"])
    told = f"since {since}" if owner["proved_at"] else f"{proof['type']} {proof['name']}  {proof['value']}"
    click.echo(f"  {'yours':6} {'proved' if owner['proved_at'] else 'missing':8} {told}")
    for policy in ("spf", "dmarc"):
        if (found := domain[policy]) is not None:
            told = " ".join(part for part in (*found["found"], found["detail"]) if part)
            click.echo(f"  {policy.upper():6} {_MARKS[found['ok']]:8} {told}")
    for account in domain["providers"]:
        detail = f": {account['detail']}" if account["detail"] else ""
        click.echo(f"  {account['provider']}: {account['state']}{detail}")
        for record in account["records"]:
            priority = "" if record["priority"] is None else f"{record['priority']} "
            click.echo(
                f"    {_MARKS[record['ok']]:8} {record['type']:5} {record['name']}  {priority}{record['value']}"
            )
