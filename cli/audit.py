"""`mailmux audit`: who changed what, over the API."""

from __future__ import annotations

import click
from mailmux_client import Mailmux

from cli.remote import moment, over_http, show_list


@click.command()
@click.option("--target", metavar="ID", help="Of this thing only.")
@click.option("--user", "user_id", metavar="ID", help="Of this user only; operators may ask for anybody's.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
@over_http
def audit(mailmux: Mailmux, as_json: bool, limit: int, **filters: str | None) -> None:
    """Show who changed what, newest first; values are not kept, only the names of what was given."""
    columns = (
        ("at", lambda line: moment(line["at"])),
        ("by", lambda line: line["by"]),
        ("action", lambda line: line["action"]),
        ("target", lambda line: line["target"]),
        ("fields", lambda line: line["fields"]),
        ("user", lambda line: line["user_id"]),
    )
    asked = {name: value for name, value in filters.items() if value is not None}
    show_list(mailmux.audit_log(**asked), limit, as_json, columns)
