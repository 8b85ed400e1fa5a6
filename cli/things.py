"""`mailmux rules`, `types`, `templates`, `webhooks`: what is set up, over the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from mailmux_client import Mailmux

from cli.remote import moment, over_http, pairs, print_fields, show, show_list

Column = tuple[str, Callable[[Any], Any]]


def _field(name: str) -> Column:
    return name.replace("_", " "), lambda thing: thing[name]


def _made(name: str) -> Column:
    return "made", lambda thing: moment(thing[name])


def _group(kind: str, attribute: str, purpose: str, columns: Sequence[Column], example: str) -> click.Group:
    """The commands that all kinds of things have."""

    @click.group(kind, help=f"{purpose}\n\n\b\nmailmux {kind} list\nmailmux {kind} show ID\n{example}")
    def group() -> None:
        pass

    @group.command("list")
    @click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
    @over_http
    def list_them(mailmux: Mailmux, as_json: bool, limit: int) -> None:
        """Show them, newest first."""
        show_list(getattr(mailmux, attribute).list(), limit, as_json, columns)

    @group.command("show")
    @click.argument("id")
    @over_http
    def show_one(mailmux: Mailmux, as_json: bool, id: str) -> None:
        """Show one."""
        show(getattr(mailmux, attribute).get(id), as_json, print_fields)

    @group.command(help=f"Make one. FIELDS is JSON, or @FILE with it.\n\n\b\n{example}")
    @click.argument("fields")
    @over_http
    def create(mailmux: Mailmux, as_json: bool, fields: str) -> None:
        show(getattr(mailmux, attribute).create(**_json(fields)), as_json, print_fields)

    @group.command()
    @click.argument("id")
    @click.argument("fields")
    @over_http
    def change(mailmux: Mailmux, as_json: bool, id: str, fields: str) -> None:
        """Change one. FIELDS is JSON, or @FILE with it; what is left out stays."""
        show(getattr(mailmux, attribute).change(id, **_json(fields)), as_json, print_fields)

    @group.command()
    @click.argument("id")
    @over_http
    def delete(mailmux: Mailmux, as_json: bool, id: str) -> None:
        """Delete one."""
        getattr(mailmux, attribute).delete(id)
        show({"id": id, "deleted": True}, as_json, lambda _: click.echo(f"{id} is deleted"))

    return group


_CONDITIONS = {
    "email_type": "type", "sender_domain": "from", "recipient_domain": "to", "tag": "tag", "user_id": "user",
}  # fmt: skip


def _emails_of(rule: Any) -> str:
    said = [f"{short} {rule[name]}" for name, short in _CONDITIONS.items() if rule[name] is not None]
    return ", ".join(said) or "all"


rules = _group(
    "rules", "rules", "Say which providers carry which emails.",
    (_field("id"), ("emails", _emails_of), ("providers", lambda r: " > ".join(
        p["name"] for p in (r["default_provider"], *r["fallback_providers"]))),
     _field("policy"), _field("priority"), _field("shared")),
    'mailmux rules create \'{"tag": "invoice", "default_provider": "ses", "fallback_providers": ["postmark"]}\'\n'
    "mailmux rules add ses postmark --tag invoice --to gmail.com",
)  # fmt: skip


@rules.command()
@click.argument("providers", nargs=-1, required=True, metavar="PROVIDER [FALLBACK]...")
@click.option("--type", "email_type", metavar="TYPE", help="For emails of this declared type.")
@click.option("--from", "sender_domain", metavar="DOMAIN", help="For emails from this domain.")
@click.option("--to", "recipient_domain", metavar="DOMAIN", help="For emails to this domain alone.")
@click.option("--tag", metavar="TAG", help="For emails with this tag.")
@click.option("--user", "user_id", metavar="ID", help="For a user's emails; operators may, with --shared.")
@click.option("--all", "catch_all", is_flag=True, help="For all emails.")
@click.option(
    "--policy", metavar="POLICY", help="Weigh them by cheapest, balanced or most_reliable, not in order."
)
@click.option("--priority", type=click.IntRange(0), help="Of several rules the lowest number holds.")
@click.option("--shared", is_flag=True, help="For all users; operators may.")
@over_http
def add(mailmux: Mailmux, as_json: bool, providers: tuple[str, ...], **said: Any) -> None:
    """Make one from options. All conditions that are given hold together."""
    default, *fallbacks = providers
    given = {name: value for name, value in said.items() if value is not None and value is not False}
    made = mailmux.rules.create(default_provider=default, fallback_providers=fallbacks, **given)
    show(made, as_json, print_fields)


types = _group(
    "types", "email_types", "Declare kinds of email.",
    (_field("id"), _field("name"), _field("category"), _field("lane"), _field("policy"), _field("on_unknown"),
     _field("urgent"), _field("shared")),
    'mailmux types create \'{"name": "login-code", "urgent": true}\'',
)  # fmt: skip
templates = _group(
    "templates",
    "templates",
    "Write templates, look at what they make.",
    (_field("id"), _field("name"), _field("published_version"), _made("created_at")),
    "mailmux templates create @welcome.json",
)
webhooks = _group(
    "webhooks",
    "webhooks",
    "Be told what becomes of emails.",
    (_field("id"), _field("url"), _field("types"), _field("enabled"), _field("disabled_reason")),
    'mailmux webhooks create \'{"url": "https://app.example.com/mail-events", "types": ["email.bounced"]}\'',
)


campaigns = _group(
    "campaigns", "campaigns", "Send emails that belong together; pause, resume and cancel them.",
    (_field("id"), _field("name"), _field("status"), _field("status_reason"), _field("per_minute"),
     _made("created_at")),
    'mailmux campaigns create \'{"name": "spring sale", "per_minute": 6000, "spend_cap": "25"}\'',
)  # fmt: skip


@campaigns.command()
@click.argument("id")
@over_http
def pause(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Send nothing more of it for now."""
    show(mailmux.campaigns.pause(id), as_json, print_fields)


@campaigns.command()
@click.argument("id")
@over_http
def resume(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Go on with it."""
    show(mailmux.campaigns.resume(id), as_json, print_fields)


@campaigns.command()
@click.argument("id")
@over_http
def cancel(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Take back what is unsent, for good."""
    show(mailmux.campaigns.cancel(id), as_json, print_fields)


@templates.command()
@click.argument("id")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="What it is rendered with.")
@over_http
def preview(mailmux: Mailmux, as_json: bool, id: str, variables: tuple[str, ...]) -> None:
    """Show what a template says with these variables."""
    show(mailmux.templates.preview(id, pairs(variables, "--var")), as_json, print_fields)


@templates.command()
@click.argument("id")
@click.argument("fields")
@over_http
def revise(mailmux: Mailmux, as_json: bool, id: str, fields: str) -> None:
    """Write another version; FIELDS is JSON, or @FILE with it. Emails say what it says once it is published."""
    show(mailmux.templates.add_version(id, **_json(fields)), as_json, print_fields)


@templates.command()
@click.argument("id")
@over_http
def versions(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Show its versions, newest first."""
    found = mailmux.templates.versions(id)["data"]
    show_list(found, len(found), as_json, (_field("version"), _field("subject"), _made("created_at")))


@templates.command()
@click.argument("id")
@click.argument("version", type=click.IntRange(1))
@over_http
def publish(mailmux: Mailmux, as_json: bool, id: str, version: int) -> None:
    """Have emails from now on say what VERSION says."""
    show(mailmux.templates.publish(id, version), as_json, print_fields)


@webhooks.command()
@click.argument("id")
@over_http
def test(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Send a test message."""
    show(mailmux.webhooks.test(id), as_json, print_fields)


@webhooks.command()
@click.argument("id")
@click.option("--state", type=click.Choice(["waiting", "told", "failed"]), help="Only these.")
@click.option("--limit", type=click.IntRange(1), default=25, show_default=True, help="How many at most.")
@over_http
def messages(mailmux: Mailmux, as_json: bool, id: str, state: str | None, limit: int) -> None:
    """Show what it was told, and how it answered."""
    columns = (
        _field("id"), _field("type"), _field("email_id"), _field("state"), _field("tries"), _field("answer"),
        _field("error"), _made("created_at"),
    )  # fmt: skip
    show_list(mailmux.webhooks.messages(id, state=state), limit, as_json, columns)


@webhooks.command()
@click.argument("id")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 168),
    default=24.0,
    show_default=True,
    help="So long the former one signs too.",
)
@over_http
def rotate(mailmux: Mailmux, as_json: bool, id: str, overlap_hours: float) -> None:
    """Give it a new secret; the former one signs too for a while."""
    show(mailmux.webhooks.rotate(id, overlap_hours), as_json, print_fields)


@webhooks.command()
@click.argument("id")
@click.argument("since", metavar="FROM")
@click.argument("until", metavar="UNTIL")
@click.option("--failed-only", is_flag=True, help="Only what it has not taken.")
@over_http
def replay(mailmux: Mailmux, as_json: bool, id: str, since: str, until: str, failed_only: bool) -> None:
    """Tell a range again: 2030-01-31T00:00:00Z 2030-02-01T00:00:00Z."""
    done = mailmux.webhooks.replay(id, since, until, failed_only=failed_only)
    total, asked_at = done["messages"], done["asked_at"]
    while done["has_more"]:
        done = mailmux.webhooks.replay(id, since, until, failed_only=failed_only, asked_at=asked_at)
        total += done["messages"]
    show({"messages": total}, as_json, print_fields)


def _json(given: str) -> dict[str, Any]:
    try:
        text = Path(given[1:]).read_text("utf-8") if given.startswith("@") else given
        found = json.loads(text)
    except OSError as error:
        raise click.BadParameter(f"{given[1:]}: {error.strerror}", param_hint="FIELDS") from error
    except ValueError as error:
        raise click.BadParameter(f"no JSON: {error}", param_hint="FIELDS") from error
    if not isinstance(found, dict):
        raise click.BadParameter("a JSON object is wanted", param_hint="FIELDS")
    return found
