"""`mailmux stats`: what was sent, what became of it and what it cost, over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from mailmux_client import Mailmux
from mailmux_client.shapes import StatsOut

from cli.remote import over_http, show, show_list, text_of

_GROUPS = ("day", "provider", "email_type", "sender_domain", "mailbox_group", "campaign")
_COUNTS = ("sent", "delivered", "bounced", "complained", "opened", "clicked", "not_sent", "unknown")


@click.command()
@click.option(
    "--since", metavar="DAY", help="The first day, as 2026-03-01. Left out: 29 days before the last."
)
@click.option("--until", metavar="DAY", help="The last day, included. Left out: today.")
@click.option("--timezone", help="Where days begin, as Europe/Berlin. Left out: UTC.")
@click.option("--by", multiple=True, type=click.Choice(_GROUPS), help="Group by; may be given again.")
@click.option("--provider", metavar="NAME", help="Only of this account.")
@click.option("--type", "email_type", metavar="NAME", help="Only of this email type.")
@click.option("--sender-domain", metavar="DOMAIN", help="Only from this domain.")
@click.option("--mailbox-group", metavar="NAME", help="As google, microsoft, other.")
@click.option("--campaign", "campaign_id", metavar="ID", help="Only of this campaign.")
@over_http
def stats(mailmux: Mailmux, as_json: bool, by: tuple[str, ...], **filters: str | None) -> None:
    """What was sent, what became of it, how fast, and what it cost; and what it would have cost.

    \b
    mailmux stats --by provider --mailbox-group google
    mailmux stats --since 2026-03-01 --until 2026-03-31 --timezone Europe/Berlin --by day
    """
    found = mailmux.stats(group_by=by, **filters)
    show(found, as_json, lambda _: _print(found, by))


def _print(found: StatsOut, by: tuple[str, ...]) -> None:
    click.echo(f"{found['since']} to {found['until']}, {found['timezone']}")
    rows = [*found["groups"], {**dict.fromkeys(by, "total"), **found["total"]}]
    columns: list[tuple[str, Callable[[Any], Any]]] = [
        *((name.replace("_", " "), lambda row, name=name: row[name]) for name in (*by, *_COUNTS)),
        ("p50 ms", lambda row: row["latency_p50_ms"]),
        ("p95 ms", lambda row: row["latency_p95_ms"]),
        ("spend", lambda row: _money(row["spend"])),
        ("cheapest", lambda row: _money(row["cheapest"])),
    ]
    show_list(rows, len(rows), False, columns)
    for one in found["total"]["single"]:
        over = "" if one["within_quota"] else ", over its quotas"
        click.echo(f"all by {one['provider']}: {one['cost']} {one['currency']}{over}")


def _money(amounts: dict[str, str] | None) -> str:
    if amounts is None:
        return text_of(None)
    return ", ".join(f"{amount} {currency}" for currency, amount in sorted(amounts.items())) or "0"
