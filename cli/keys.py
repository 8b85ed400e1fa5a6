"""`mailmux keys`: makes, lists and revokes API keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click
from mailmux_client import Mailmux
from pydantic import ValidationError

from api.keys import KEY, SCOPES, TEST, TEST_SCOPES, mint, parse
from api.schemas.accounts import KeyCreate
from cli.remote import LIMIT, at_most, either_way, moment, over_http, print_fields, show, show_list
from cli.tables import print_table
from domain.keys import KeyLimits

_SPAN = re.compile(r"(?P<number>[1-9][0-9]{0,5})(?P<unit>[hdwy])")
_SECONDS = {"h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_TEN_YEARS = 10 * _SECONDS["y"]


def _read_span(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """A length of time, as 12h, 90d, 4w or 1y; in seconds."""
    return None if value is None else _seconds_of(value)


def _seconds_of(value: str) -> float:
    match = _SPAN.fullmatch(value)
    seconds = int(match["number"]) * _SECONDS[match["unit"]] if match else 0
    if not 0 < seconds <= _TEN_YEARS:
        raise click.BadParameter("must be like 12h, 90d, 4w or 1y, and ten years at most")
    return seconds


def _from_now(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _read_scopes(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    if value == "all":
        return SCOPES
    given = {part.strip() for part in value.split(",")}
    if wrong := sorted(given - set(SCOPES)):
        raise click.BadParameter(f"unknown: {', '.join(wrong)}. There are: {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in given)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys.

    \b
    mailmux keys create --user ada@example.com --scopes emails:send,emails:read --name checkout --expires 90d
    mailmux keys create --sender shop.example.com --network 203.0.113.0/24 --per-minute 600
    mailmux keys create --test
    mailmux keys rotate kdMAS1NDANlt --overlap-hours 24 --expires 90d
    mailmux keys revoke kdMAS1NDANlt

    With a key (MAILMUX_KEY) these are your own keys, over the API, and no key makes one that may do more than itself.
    Without one, or with --local, they are everybody's, on the machine itself, with the service's settings.
    """


@keys.command()
@click.option("--user", help="The e-mail address of the key's user, with --local. Left out: the first user.")
@click.option(
    "--scopes",
    callback=_read_scopes,
    default="all",
    show_default=True,
    help="Separated by commas, or all that there are to give.",
)
@click.option(
    "--expires", callback=_read_span, help="When it ends: 12h, 90d, 4w, 1y. Left out: when it is revoked."
)
@click.option("--name", default="", help="What it is for.")
@click.option(
    "--sender", "senders", multiple=True, help="An address or a domain that it may send from; repeatable."
)
@click.option(
    "--network", "networks", multiple=True, help="Where it may be used, as 203.0.113.0/24; repeatable."
)
@click.option("--per-minute", type=click.IntRange(1, 1_000_000), help="Requests a minute.")
@click.option(
    "--test", is_flag=True, help="A test key: its emails go to nobody, and it sees what test keys did only."
)
@either_way
def create(
    mailmux: Mailmux | None,
    as_json: bool,
    user: str | None,
    scopes: tuple[str, ...],
    expires: float | None,
    name: str,
    senders: tuple[str, ...],
    networks: tuple[str, ...],
    per_minute: int | None,
    test: bool,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    if len(name) > 100:
        raise click.BadParameter("at most 100 characters", param_hint="--name")
    limits = _read_limits(senders, networks, per_minute)
    if mailmux is not None:
        if user is not None:
            raise click.UsageError("over the API a key is your own: leave --user out, or add --local")
        given = {
            "senders": [*senders],
            "networks": [*networks],
            "per_minute": per_minute,
            "test": test or None,
        }
        wanted = _may_give(mailmux, test) if scopes == SCOPES else scopes
        until = None if expires is None else _from_now(expires)
        made = mailmux.keys.create(name=name, scopes=[*wanted], expires_at=until, **given)
        show(made, as_json, lambda key: click.echo(key["key"]))
        click.echo("Keep it now: it is not shown again.", err=True)
        return
    # What the machine itself needs takes seconds to load, which commands over HTTP do not want.
    from api.testing import test_account_of
    from cli.database import note, open_unit, read_settings
    from wiring.bootstrap import build_sealer, new_id
    from wiring.seed import FIRST_EMAIL

    user = user or FIRST_EMAIL
    if test and scopes == SCOPES:
        scopes = TEST_SCOPES
    if test and (live_only := sorted(set(scopes) - set(TEST_SCOPES))):
        raise click.BadParameter(f"no test key has {', '.join(live_only)}", param_hint="--scopes")
    key = mint(TEST if test else KEY)
    with open_unit() as unit:
        user_id = unit.accounts.find_user(user)
        if user_id is None:
            raise click.ClickException(f"There is no user {user}.")
        if test:
            user_id = test_account_of(unit.accounts, user_id, build_sealer(read_settings()), new_id)
        ends = unit.accounts.add_key(
            key_id := new_id(), user_id, key.public_id, key.hash, scopes,
            name=name, lifetime=expires, limits=limits,
        )  # fmt: skip
        note(unit, "keys create", key_id)
        unit.commit()
    shown = {"id": str(key_id), "public_id": key.public_id, "key": key.reveal(), "scopes": [*scopes]}
    show(shown, as_json, lambda made: click.echo(made["key"]))
    click.echo(
        f"{'Test key' if test else 'Key'} {key.public_id} of {user}, {_until(ends)}: {', '.join(scopes)}",
        err=True,
    )
    click.echo("Keep it now: it is not shown again.", err=True)


@keys.command("list")
@click.option("--user", help="Only the keys of this user, with --local.")
@at_most
@either_way
def list_keys(mailmux: Mailmux | None, as_json: bool, user: str | None, limit: int | None) -> None:
    """Show what is known of the keys; never the keys themselves."""
    if mailmux is not None:
        if user is not None:
            raise click.UsageError("over the API the keys are your own: leave --user out, or add --local")
        columns = (
            ("id", lambda k: k["public_id"]),
            ("kind", lambda k: "test" if k["test"] else "live"),
            ("name", lambda k: k["name"]),
            ("scopes", lambda k: k["scopes"]),
            ("made", lambda k: moment(k["created_at"])),
            ("ends", lambda k: moment(k["revoked_at"] or k["expires_at"])),
        )
        show_list(mailmux.keys.list(), limit or LIMIT, as_json, columns)
        return
    from cli.database import open_unit

    with open_unit() as unit:
        found = unit.accounts.list_keys(user)
    rows = []
    for key in found[:limit]:
        scopes = (
            "all" if set(key.scopes) == set(TEST_SCOPES if key.test else SCOPES) else ", ".join(key.scopes)
        )
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else _until(key.expires_at)
        made = f"{key.created_at:%Y-%m-%d %H:%M}"
        rows.append((key.public_id, key.email, "test" if key.test else "live", key.name, scopes, made, state))
    print_table(("id", "user", "kind", "name", "scopes", "made", "state"), rows, as_json)


@keys.command()
@click.argument("key_id")
@either_way
def revoke(mailmux: Mailmux | None, as_json: bool, key_id: str) -> None:
    """End a key at once. KEY_ID is what `mailmux keys list` shows."""
    if mailmux is not None:
        mailmux.keys.delete(_id_of(mailmux, key_id))
        show({"id": key_id, "revoked": True}, as_json, lambda _: click.echo(f"Key {key_id} is revoked."))
        return
    from cli.database import note, open_unit

    with open_unit() as unit:
        revoked_at = unit.accounts.revoke_key(key_id)
        if revoked_at is None:
            raise click.ClickException(f"There is no key {key_id}.")
        note(unit, f"keys revoke {key_id}")
        unit.commit()
    done = {"id": key_id, "revoked": True}
    show(
        done, as_json, lambda _: click.echo(f"Key {key_id} is revoked since {revoked_at:%Y-%m-%d %H:%M} UTC.")
    )


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 720),
    default=24.0,
    show_default=True,
    help="So long the former one still holds; 0: not at all.",
)
@click.option(
    "--expires",
    metavar="SPAN",
    help="When the new one ends: 12h, 90d, 4w, 1y, or never. Needed where the former one has an end.",
)
@over_http
def rotate(mailmux: Mailmux, as_json: bool, key_id: str, overlap_hours: float, expires: str | None) -> None:
    """Make a new key like one of your own, over the API; the former one holds for a while. KEY_ID: what
    `mailmux keys list` shows, or its id.
    """
    ends: dict[str, str | None] = {}
    if expires is not None:
        ends["expires_at"] = None if expires == "never" else _from_now(_seconds_of(expires))
    made = mailmux.keys.rotate(_id_of(mailmux, key_id), overlap_hours, **ends)
    show(made, as_json, print_fields)
    click.echo("Keep it now: it is not shown again.", err=True)


def _id_of(mailmux: Mailmux, key_id: str) -> str:
    """The id of one of the caller's keys that is named by it, or by the part of it that may be shown."""
    return next((k["id"] for k in mailmux.keys.list() if key_id in (k["id"], k["public_id"])), key_id)


def _may_give(mailmux: Mailmux, test: bool) -> Sequence[str]:
    """All scopes that the key has which asks. It is found among the caller's keys by the part that may be shown."""
    own = parse(click.get_current_context().params["key"])
    mine = next((k["scopes"] for k in mailmux.keys.list() if own and k["public_id"] == own.public_id), SCOPES)
    return [scope for scope in mine if not test or scope in TEST_SCOPES]


def _read_limits(senders: tuple[str, ...], networks: tuple[str, ...], per_minute: int | None) -> KeyLimits:
    """As the API reads them."""
    given = {"scopes": ["emails:send"], "senders": list(senders), "networks": list(networks)}
    try:
        return KeyCreate.model_validate({**given, "per_minute": per_minute}).limits()
    except ValidationError as wrong:
        lines = [f"{e['loc'][0]}: {e['input']}: {e['msg']}" for e in wrong.errors()]
        raise click.BadParameter("; ".join(lines)) from wrong


def _until(ends: datetime | None) -> str:
    return "without an end" if ends is None else f"until {ends:%Y-%m-%d %H:%M} UTC"
