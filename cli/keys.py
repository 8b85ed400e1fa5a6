"""`mailmux keys`: makes, lists and revokes API keys."""

from __future__ import annotations

import re
from datetime import datetime

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.keys import SCOPES, mint
from cli.database import open_unit
from wiring.bootstrap import new_id
from wiring.seed import FIRST_EMAIL

_SPAN = re.compile(r"(?P<number>[1-9][0-9]{0,5})(?P<unit>[hdwy])")
_SECONDS = {"h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_TEN_YEARS = 10 * _SECONDS["y"]


def _read_span(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """A length of time, as 12h, 90d, 4w or 1y; in seconds."""
    if value is None:
        return None
    match = _SPAN.fullmatch(value)
    seconds = int(match["number"]) * _SECONDS[match["unit"]] if match else 0
    if not 0 < seconds <= _TEN_YEARS:
        raise click.BadParameter("must be like 12h, 90d, 4w or 1y, and ten years at most")
    return seconds


def _read_scopes(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    if value == "all":
        return SCOPES
    given = {part.strip() for part in value.split(",")}
    if wrong := sorted(given - set(SCOPES)):
        raise click.BadParameter(f"unknown: {', '.join(wrong)}. There are: {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in given)


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.option("--user", default=FIRST_EMAIL, show_default=True, help="The e-mail address of the key's user.")
@click.option(
    "--scopes", callback=_read_scopes, default="all", show_default=True, help="Separated by commas, or all."
)
@click.option(
    "--expires", callback=_read_span, help="When it ends: 12h, 90d, 4w, 1y. Left out: when it is revoked."
)
@click.option("--name", default="", help="What it is for.")
def create(user: str, scopes: tuple[str, ...], expires: float | None, name: str) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    if len(name) > 100:
        raise click.BadParameter("at most 100 characters", param_hint="--name")
    key = mint()
    with open_unit() as unit:
        user_id = unit.accounts.find_user(user)
        if user_id is None:
            raise click.ClickException(f"There is no user {user}.")
        ends = unit.accounts.add_key(
            new_id(), user_id, key.public_id, key.hash, scopes, name=name, lifetime=expires
        )
        unit.commit()
    click.echo(key.reveal())
    click.echo(f"Key {key.public_id} of {user}, {_until(ends)}: {', '.join(scopes)}", err=True)
    click.echo("Keep it now: it is not shown again.", err=True)


@keys.command("list")
@click.option("--user", help="Only the keys of this user.")
def list_keys(user: str | None) -> None:
    """Show what is known of the keys; never the keys themselves."""
    with open_unit() as unit:
        found = unit.accounts.list_keys(user)
    table = Table("id", "user", "name", "scopes", "made", "state", box=None)
    for key in found:
        scopes = "all" if set(key.scopes) == set(SCOPES) else ", ".join(key.scopes)
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else _until(key.expires_at)
        table.add_row(
            key.public_id,
            escape(key.email),
            escape(key.name),
            scopes,
            f"{key.created_at:%Y-%m-%d %H:%M}",
            state,
        )
    Console().print(table)


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """End a key at once. KEY_ID is what `mailmux keys list` shows."""
    with open_unit() as unit:
        revoked_at = unit.accounts.revoke_key(key_id)
        if revoked_at is None:
            raise click.ClickException(f"There is no key {key_id}.")
        unit.commit()
    click.echo(f"Key {key_id} is revoked since {revoked_at:%Y-%m-%d %H:%M} UTC.")


def _until(ends: datetime | None) -> str:
    return "without an end" if ends is None else f"until {ends:%Y-%m-%d %H:%M} UTC"
