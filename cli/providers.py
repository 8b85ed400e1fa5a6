"""`mailmux providers`: looks at accounts at providers, tests them, and says how their webhooks are set up."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

import click
from mailmux_client import Mailmux
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy import RowMapping

from api.fields import show_cost
from api.schemas.prices import PriceListOut, PricesOut, PricesReplace, exact
from cli.remote import LIMIT, at_most, either_way, print_fields, provider_named, show, show_list
from cli.tables import print_table
from db.sealing import Hook, SealBroken, UnknownKey, open_hook, seal_hook
from domain.checkup import Checkup
from domain.errors import ProviderError
from providers import registry
from providers.webhook_steps import STEPS
from providers.webhooks import BasicAuthSecret
from routing.pricing import UNLIMITED


@click.group()
def providers() -> None:
    """Add accounts at providers, test them, set up their webhooks.

    \b
    mailmux providers kinds
    mailmux providers add ses-main ses --cost 0.0001 --config region=eu-central-1 --credentials ses.json
    mailmux providers test ses-main
    mailmux providers webhook ses-main
    mailmux providers pause ses-main

    With a key (MAILMUX_KEY) they speak to the service. Without one, or with --local, list, test, webhook and prices
    work on the machine itself, with the service's settings, on everybody's accounts.
    """


@providers.command("list")
@at_most
@either_way
def list_providers(mailmux: Mailmux | None, as_json: bool, limit: int | None) -> None:
    """Show the accounts, never their credentials: your own and the shared ones; on the machine itself everybody's."""
    if mailmux is not None:
        columns = (
            ("id", lambda p: p["id"]),
            ("name", lambda p: p["name"]),
            ("kind", lambda p: p["kind"]),
            ("owner", lambda p: "shared" if p["shared"] else "you"),
            ("state", lambda p: "active" if p["status"] else "paused"),
            ("costs", lambda p: f"{p['base_cost']} {p['currency']}"),
        )
        show_list(mailmux.providers.list(), limit or LIMIT, as_json, columns)
        return
    # What the machine itself needs takes seconds to load, which commands over HTTP do not want.
    from cli.database import open_unit

    with open_unit() as unit:
        found = unit.providers.every()
    print_table(
        ("id", "name", "kind", "owner", "state", "webhook"),
        (
            (
                str(row["id"]),
                row["name"],
                row["kind"],
                row["owner_email"] or "shared",
                "active" if row["status"] else "paused",
                "–" if row["webhook"] is None else "set up",
            )
            for row in found[:limit]
        ),
        as_json,
    )


@providers.command()
@click.argument("provider")
@either_way
def test(mailmux: Mailmux | None, as_json: bool, provider: str) -> None:
    """Connect and sign in, sending nothing. PROVIDER is a name or an id.

    Says whether the credentials are right, which senders the provider knows as verified, and what is left of its own
    quota, where it tells. Ends with 1 where sending would fail.
    """
    if mailmux is not None:
        found = mailmux.providers.test(provider_named(mailmux, provider)["id"])
        show(found, as_json, print_fields)
        if not found["ok"]:
            raise click.exceptions.Exit(1)
        return
    from cli.database import open_unit, read_settings
    from wiring.bootstrap import Foundry, SystemClock, build_sealer

    settings = read_settings()
    with open_unit() as unit:
        row = _find(unit.providers.every(), provider)
    clock = SystemClock()
    began = clock.monotonic()
    try:
        credentials = build_sealer(settings).open(
            row["sealed"], owner=row["user_id"], kind=row["kind"], row=row["id"]
        )
        built = Foundry(settings, clock).build(
            row["kind"], row["name"], row["config"], credentials, trusted=row["trusted"]
        )
        try:
            told = built.check()
        finally:
            built.close()
    except ProviderError as error:
        raise click.ClickException(f"{error.code}: {error.detail}") from error
    except (registry.InvalidSettings, registry.UnknownKind, SealBroken, UnknownKey) as error:
        raise click.ClickException(str(error)) from error
    took, lines = clock.monotonic() - began, [*_told(told)]
    right = f"{row['name']} ({row['kind']}): the credentials are right, {took:.2f} s"
    shown = {"ok": True, "latency_ms": round(took * 1000, 1), "told": lines}
    show(shown, as_json, lambda _: click.echo("\n".join([right, *lines])))


def _told(told: Checkup) -> Iterable[str]:
    if told.identities is None:
        yield "senders: the provider does not tell"
    for identity in told.identities or ():
        yield f"sender {identity.name}: {'verified' if identity.verified else 'NOT verified'}"
    if told.allowance is None:
        yield "quota: the provider does not tell"
    elif told.allowance.limit is None:
        yield f"quota: without a limit; used {told.allowance.used} in {told.allowance.hours} h"
    else:
        yield f"quota: {told.allowance.left} left of {told.allowance.limit} in {told.allowance.hours} h"
    if told.rate_per_second is not None:
        yield f"rate: {told.rate_per_second:g} a second"
    yield from (f"note: {note}" for note in told.notes)


@providers.command()
@click.argument("provider")
@click.option(
    "--secret",
    "given",
    multiple=True,
    metavar="FIELD=VALUE",
    help="What proves the calls, as the provider shows it. Several fields make one secret.",
)
@click.option(
    "--rotate", is_flag=True, help="Keep the newest old secret beside the new one, while you change it there."
)
@click.option("--forget-old", is_flag=True, help="Keep only the newest secret, once the provider uses it.")
@click.option(
    "--new-address", is_flag=True, help="Give it another address: the old one is refused from then on."
)
@either_way
def webhook(
    mailmux: Mailmux | None,
    as_json: bool,
    provider: str,
    given: tuple[str, ...],
    rotate: bool,
    forget_old: bool,
    new_address: bool,
) -> None:
    """Print where PROVIDER (a name or an id) is to send its events, what proves its calls, and the steps to set it up.

    Where the secret is ours to choose, one is made; else --secret takes what the provider shows. Until there is one,
    all calls are refused.
    """
    if rotate and forget_old:
        raise click.UsageError("--rotate keeps an old secret, --forget-old none.")
    if mailmux is not None:
        if rotate or forget_old:
            raise click.UsageError(
                "secrets are not shown over the API: rotate on the machine itself, with --local"
            )
        _webhook_over_http(mailmux, as_json, provider_named(mailmux, provider), given, new_address)
        return
    from cli.database import note, open_unit, read_settings
    from wiring.bootstrap import build_sealer

    settings = read_settings()
    sealer = build_sealer(settings)
    with open_unit() as unit:
        row = _find(unit.providers.every(), provider)
        kind = registry.kind(row["kind"])
        if kind.WebhookSecret is None:
            raise click.ClickException(_without_webhook(row))
        place: dict[str, Any] = {"owner": row["user_id"], "kind": row["kind"], "row": row["id"]}
        try:
            old = None if row["webhook"] is None else open_hook(sealer, row["webhook"], **place)
        except (SealBroken, UnknownKey) as error:
            raise click.ClickException(f"What proves its calls cannot be read: {error}") from error
        ours = issubclass(kind.WebhookSecret, BasicAuthSecret)
        fresh = _secret(row["kind"], given)
        chosen = row["kind"] != "sendgrid" and ours  # there, the public key of its signature is better
        if fresh is None and chosen and (old is None or rotate or not old.secrets):
            fresh = {"username": row["kind"], "password": secrets.token_urlsafe(24)}
        hook = _changed(old, fresh, rotate, forget_old, new_address)
        if hook != old:
            unit.inbound.set_webhook(row["id"], seal_hook(sealer, hook, **place))
            note(unit, "providers webhook", row["id"])
            unit.commit()
    base = str(settings.public_url or "").rstrip("/")
    address = f"{base or 'https://YOUR-PUBLIC-ADDRESS'}/hooks/{row['kind']}/{row['id']}/{hook.token}"
    secret = hook.secrets[0] if hook.secrets else {}
    _show_webhook(dict(row), address, secret, len(hook.secrets), ours, as_json)
    if not base:
        click.echo(
            "\nSet MAILMUX_PUBLIC_URL to the address under which providers reach this service.", err=True
        )


def _webhook_over_http(
    mailmux: Mailmux, as_json: bool, row: Mapping[str, Any], given: tuple[str, ...], new_address: bool
) -> None:
    kind = registry.kind(row["kind"])
    if kind.WebhookSecret is None:
        raise click.ClickException(_without_webhook(row))
    ours, there = issubclass(kind.WebhookSecret, BasicAuthSecret), mailmux.providers.webhook(row["id"])
    fresh = _secret(row["kind"], given)
    if fresh is None and not there["secrets"] and ours and row["kind"] != "sendgrid":
        fresh = {"username": row["kind"], "password": secrets.token_urlsafe(24)}
    if fresh is not None:
        there = mailmux.providers.set_webhook(row["id"], [fresh], new_address)
    elif new_address or there["url"] is None:
        raise click.UsageError("give --secret: the API does not tell the one that there is")
    _show_webhook(row, there["url"] or "", fresh or {}, there["secrets"], ours, as_json)


@providers.command()
@click.argument("provider")
@click.option(
    "--set",
    "file",
    type=click.File("rb"),
    help='Take a file\'s lists: JSON, as `PUT /v1/providers/{id}/prices` takes them; {"prices": []} takes all away.',
)
@either_way
def prices(mailmux: Mailmux | None, as_json: bool, provider: str, file: BinaryIO | None) -> None:
    """Show what PROVIDER (a name or an id) charges, and what the next recipient costs; or set it.

    Amounts are in the account's currency, per recipient; `base_cost` holds where there is no list.
    """
    raw = None if file is None else file.read()
    wanted = None if raw is None else _read_prices(raw)
    if mailmux is not None:
        account = provider_named(mailmux, provider)["id"]
        if raw is not None:
            mailmux.providers.set_prices(account, json.loads(raw)["prices"])
        show(mailmux.providers.prices(account), as_json, print_fields)
        return
    from cli.database import note, open_unit

    with open_unit() as unit:
        row = _find(unit.providers.every(), provider)
        if wanted is not None:
            unit.prices.replace(row["id"], [one.value(row["currency"]) for one in wanted.prices])
            note(unit, "providers prices", row["id"])
            unit.commit()
        lists, now, volume = unit.prices.of_one(row["id"])
    if as_json:
        told = {"provider_id": row["id"], "currency": row["currency"], "recipients_this_month": int(volume)}
        cost = row["base_cost"] if now is None else exact(now.price_at(volume) / 1000)
        shown = [PriceListOut.of(one, one is now) for one in lists]
        click.echo(PricesOut(**told, per_recipient_now=cost, prices=shown).model_dump_json(indent=2))
        return
    table = Table("from", "holds", "fee", "included", "recipients of a month", "each", box=None)
    for one in lists:
        head = [
            f"{one.valid_from:%Y-%m-%d %H:%M} UTC",
            "now" if one is now else "",
            show_cost(exact(one.monthly_fee)),
        ]
        begin = 1.0
        for tier in one.tiers:
            end = "on" if tier.up_to == UNLIMITED else f"to {tier.up_to:,.0f}"
            table.add_row(
                *head, f"{one.included:,.0f}", f"{begin:,.0f} {end}", show_cost(exact(tier.price / 1000))
            )
            head, begin = ["", "", ""], tier.up_to + 1
    if lists:
        Console().print(table)
    cost = row["base_cost"] if now is None else exact(now.price_at(volume) / 1000)
    click.echo(f"{volume:,.0f} recipients this month; the next one costs {show_cost(cost)} {row['currency']}")


def _read_prices(raw: bytes) -> PricesReplace:
    try:
        return PricesReplace.model_validate_json(raw)
    except ValidationError as wrong:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in wrong.errors()]
        raise click.BadParameter("\n".join(lines), param_hint="--set") from wrong


def _changed(
    old: Hook | None, fresh: Mapping[str, str] | None, rotate: bool, forget_old: bool, new_address: bool
) -> Hook:
    """The hook with the new secret; the old ones go, but for one while it rotates. Nothing new: as it was."""
    token = secrets.token_urlsafe(24) if old is None or new_address else old.token
    known = [] if old is None else [dict(s) for s in old.secrets]
    if fresh is not None and dict(fresh) not in known[:1]:
        known = [dict(fresh), *(known[:1] if rotate else [])]
    if forget_old:
        known = known[:1]
    return Hook(token, known)


def _secret(kind: str, given: tuple[str, ...]) -> dict[str, str] | None:
    """What was given, checked. None: nothing was, and what there is stays."""
    if not given:
        return None
    fields = dict(text.partition("=")[::2] for text in given)
    try:
        registry.webhook_secrets(kind, [fields])
    except registry.InvalidSettings as wrong:
        lines = "; ".join(f"{p.path.removeprefix('secrets.0.')}: {p.message}" for p in wrong.problems)
        raise click.BadParameter(lines, param_hint="--secret") from wrong
    return fields


def _show_webhook(
    row: Mapping[str, Any], address: str, secret: Mapping[str, str], in_use: int, ours: bool, as_json: bool
) -> None:
    steps = STEPS.get(row["kind"], ("Give the provider the address below.",))
    if as_json:
        shown = {"address": address, "secret": secret or None, "secrets": in_use, "steps": [*steps]}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    for number, step in enumerate(steps, start=1):
        click.echo(f"{number}. {step}")
    click.echo(f"\naddress: {address}")
    if ours and "username" in secret and "password" in secret:
        click.echo(f"user: {secret['username']}\npassword: {secret['password']}")
        parts = urlsplit(address)
        both = f"{quote(secret['username'], safe='')}:{quote(secret['password'], safe='')}@{parts.netloc}"
        click.echo(f"both in one: {urlunsplit(parts._replace(netloc=both))}")
    elif in_use:
        click.echo(f"secret: {', '.join(secret) or 'not shown again'}, {in_use} in use")
    else:
        click.echo("secret: none yet; until you give it with --secret, all calls are refused")


def _without_webhook(row: Mapping[str, Any] | RowMapping) -> str:
    if "reports" in registry.kind(row["kind"]).Config.model_fields:
        return (
            f"{row['name']} ({row['kind']}) calls nobody back: it sends bounces as emails. Set config.reports to the "
            "mailbox that they come into (docs/howto/receive-events.md)."
        )
    return f"{row['name']} ({row['kind']}) tells nothing later."


def _find(rows: Iterable[RowMapping], wanted: str) -> RowMapping:
    found = [row for row in rows if wanted in (row["name"], str(row["id"]))]
    if not found:
        raise click.ClickException(f"There is no provider {wanted}. `mailmux providers list` shows them all.")
    if len(found) > 1:
        ids = ", ".join(str(row["id"]) for row in found)
        raise click.ClickException(f"Several accounts have the name {wanted}: say which by its id: {ids}")
    return found[0]
