"""`mailmux providers`, what of it goes over the API: adds accounts, changes, pauses, deletes them, warms domains up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from mailmux_client import Mailmux

from cli.providers import providers
from cli.remote import over_http, pairs, print_fields, provider_named, show, show_list


def _id_of(mailmux: Mailmux, provider: str) -> str:
    """The id of an account that is named by it, or by its name. Raises ClickException."""
    return str(provider_named(mailmux, provider)["id"])


@providers.command()
@over_http
def kinds(mailmux: Mailmux, as_json: bool) -> None:
    """Show the kinds of accounts that there are, and what each is set up with."""

    def fields(schema: dict[str, Any]) -> list[str]:
        needed = schema.get("required", ())
        return [name if name in needed else f"[{name}]" for name in schema.get("properties", {})]

    columns = (
        ("kind", lambda k: k["name"]),
        ("title", lambda k: k["title"]),
        ("credentials", lambda k: fields(k["credentials_schema"])),
        ("config", lambda k: fields(k["config_schema"])),
    )
    found = mailmux.providers.kinds()
    show_list(found, len(found), as_json, columns)


@providers.command()
@click.argument("name")
@click.argument("kind")
@click.option(
    "--cost", "base_cost", required=True, metavar="AMOUNT", help="What one recipient costs: 0.0004."
)
@click.option("--currency", default="USD", show_default=True, help="That --cost is in.")
@click.option(
    "--config", "config", multiple=True, metavar="NAME=VALUE", help="As `providers kinds` names them."
)
@click.option(
    "--credentials",
    type=click.File("r"),
    metavar="FILE",
    help="JSON with its credentials; - is the standard input. Left out: you are asked, and nothing shows.",
)
@click.option("--daily", type=click.IntRange(0), help="Recipients a day at most.")
@click.option("--monthly", type=click.IntRange(0), help="Recipients a month at most.")
@click.option("--rate", type=click.FloatRange(0.001), help="Emails a second at most.")
@click.option("--time-zone", default="UTC", show_default=True, help="Where its days and months begin.")
@click.option("--shared", is_flag=True, help="For all users; operators may.")
@over_http
def add(mailmux: Mailmux, as_json: bool, name: str, kind: str, **given: Any) -> None:
    """Add an account NAME of a KIND.

    \b
    mailmux providers add ses-main ses --cost 0.0001 --config region=eu-central-1 --credentials ses.json
    mailmux providers add sendgrid-main sendgrid --cost 0.0004 --daily 10000
    """
    known = next((k for k in mailmux.providers.kinds() if k["name"] == kind), None)
    if known is None:
        raise click.BadParameter(f"there is no kind {kind}: see mailmux providers kinds", param_hint="KIND")
    quota = {"daily": given["daily"], "monthly": given["monthly"], "rate_per_second": given["rate"]}
    made = mailmux.providers.create(
        name=name,
        kind=kind,
        base_cost=given["base_cost"],
        currency=given["currency"],
        config=_config(pairs(given["config"], "--config"), known["config_schema"]),
        credentials=_credentials(given["credentials"], known["credentials_schema"]),
        quota={"time_zone": given["time_zone"], **{n: v for n, v in quota.items() if v is not None}},
        shared=given["shared"],
    )
    show(
        made,
        as_json,
        lambda p: click.echo(f"{p['id']}  {p['name']}  (check it: mailmux providers test {name})"),
    )


@providers.command()
@click.argument("provider")
@click.option("--name", help="Another name.")
@click.option("--cost", "base_cost", metavar="AMOUNT", help="What one recipient costs from now on.")
@click.option("--credentials", type=click.File("r"), metavar="FILE", help="JSON; replaces them all.")
@over_http
def change(mailmux: Mailmux, as_json: bool, provider: str, credentials: Any, **given: str | None) -> None:
    """Change PROVIDER (a name or an id). What is left out stays."""
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if credentials is not None:
        fields["credentials"] = _json(credentials)
    if not fields:
        raise click.UsageError("say what to change")
    done = mailmux.providers.change(_id_of(mailmux, provider), **fields)
    show(done, as_json, print_fields)


@providers.command()
@click.argument("provider")
@over_http
def pause(mailmux: Mailmux, as_json: bool, provider: str) -> None:
    """Send nothing more by PROVIDER (a name or an id); its emails go by others, or wait."""
    show(mailmux.providers.pause(_id_of(mailmux, provider)), as_json, print_fields)


@providers.command()
@click.argument("provider")
@over_http
def resume(mailmux: Mailmux, as_json: bool, provider: str) -> None:
    """Send by PROVIDER (a name or an id) again."""
    show(mailmux.providers.resume(_id_of(mailmux, provider)), as_json, print_fields)


@providers.command()
@click.argument("provider")
@click.confirmation_option(prompt="Its credentials go for good. Delete it?")
@over_http
def delete(mailmux: Mailmux, as_json: bool, provider: str) -> None:
    """Take PROVIDER (a name or an id) out of use for good."""
    account = _id_of(mailmux, provider)
    mailmux.providers.delete(account)
    show({"id": account, "deleted": True}, as_json, lambda _: click.echo(f"{provider} is deleted"))


@providers.command()
@click.argument("provider")
@over_http
def health(mailmux: Mailmux, as_json: bool, provider: str) -> None:
    """Show what was learned of PROVIDER (a name or an id): whether it takes emails, and what it delivers."""
    show(mailmux.providers.health(_id_of(mailmux, provider)), as_json, print_fields)


@providers.command()
@click.argument("provider")
@over_http
def healed(mailmux: Mailmux, as_json: bool, provider: str) -> None:
    """Say that PROVIDER (a name or an id) is well: what was held against it goes."""
    account = _id_of(mailmux, provider)
    mailmux.providers.healed(account)
    show(
        {"id": account, "healed": True},
        as_json,
        lambda _: click.echo(f"{provider}: nothing is held against it"),
    )


@providers.command("warm-up")
@click.argument("provider")
@click.argument("domain")
@click.option("--daily", metavar="N,N,…", help="Recipients on each day. Left out: two weeks, 50 to 100,000.")
@click.option("--end", is_flag=True, help="It has no limit of its own there any more.")
@over_http
def warm_up(
    mailmux: Mailmux, as_json: bool, provider: str, domain: str, daily: str | None, end: bool
) -> None:
    """Warm a sender DOMAIN up at PROVIDER (a name or an id), from now on."""
    account = _id_of(mailmux, provider)
    if end:
        mailmux.providers.end_warm_up(account, domain)
        show({"domain": domain, "ended": True}, as_json, lambda _: click.echo(f"{domain}: ended"))
        return
    try:
        numbers = None if daily is None else [int(n) for n in daily.split(",")]
    except ValueError as error:
        raise click.BadParameter("numbers, as 50,100,500", param_hint="--daily") from error
    show(mailmux.providers.warm_up(account, domain, numbers), as_json, print_fields)


def _config(given: dict[str, str], schema: dict[str, Any]) -> dict[str, Any]:
    """What stands on the command line is text; numbers, yes and no become what the schema says."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        kinds = json.dumps(schema.get("properties", {}).get(name, {}))
        plain = any(f'"type": "{kind}"' in kinds for kind in ("integer", "number", "boolean"))
        try:
            found[name] = json.loads(value) if plain else value
        except ValueError:
            found[name] = value  # the service says what is wrong with it
    return found


def _credentials(given: Any, schema: dict[str, Any]) -> dict[str, Any]:
    if given is not None:
        return _json(given)
    needed = schema.get("required", ())
    return {name: click.prompt(name.replace("_", " "), hide_input=True) for name in needed}


def _json(given: Any) -> dict[str, Any]:
    try:
        found = json.load(given)
    except ValueError as error:
        raise click.BadParameter(f"{Path(given.name).name}: no JSON", param_hint="--credentials") from error
    if not isinstance(found, dict):
        raise click.BadParameter("a JSON object is wanted", param_hint="--credentials")
    return found


__all__ = ["providers"]
