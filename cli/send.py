"""`mailmux send`: one email."""

from __future__ import annotations

import base64
import mimetypes
import sys
import time
from pathlib import Path
from typing import Any

import click
from mailmux_client import Mailmux

from cli.emails import print_email
from cli.remote import over_http, pairs, show

_MOVING = ("queued", "scheduled", "sending", "deferred")
_POLL = 0.2  # seconds


@click.command()
@click.option("--from", "sender", required=True, metavar="ADDRESS", help='As "Shop <shop@example.com>".')
@click.option("--to", multiple=True, required=True, metavar="ADDRESS", help="May be given several times.")
@click.option("--cc", multiple=True, metavar="ADDRESS", help="Likewise.")
@click.option("--bcc", multiple=True, metavar="ADDRESS", help="Likewise.")
@click.option("--reply-to", multiple=True, metavar="ADDRESS", help="Where answers go.")
@click.option("--subject", help="Left out only with --template.")
@click.option("--text", help="The plain text. @FILE reads a file, - the standard input.")
@click.option("--html", help="As --text.")
@click.option("--template", help="Name or id of a template, in place of subject, text and html.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="For the template.")
@click.option("--type", "email_type", help="A declared email type.  [default: transactional]")
@click.option("--campaign", "campaign_id", metavar="ID", help="The campaign that it belongs to.")
@click.option(
    "--attach",
    "attached",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file to send with it; may be given several times.",
)
@click.option("--tag", "tags", multiple=True, help="To find it by; may be given several times.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Comes back with every event.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header field more.")
@click.option("--at", "send_at", metavar="TIME", help="When to send it: 2030-01-31T09:30:00+01:00.")
@click.option("--expires", "expires_at", metavar="TIME", help="Do not send it after this.")
@click.option("--provider", "pinned", multiple=True, help="Only these providers may carry it.")
@click.option("--residency", metavar="REGION", help="Only providers that are in this region.")
@click.option(
    "--policy", type=click.Choice(["cheapest", "balanced", "most_reliable"]), help="In place of the type's."
)
@click.option("--idempotency-key", help="Ask again with the same one, and one email is sent.")
@click.option("--wait", type=click.FloatRange(0), default=0.0, help="Seconds to wait for what becomes of it.")
@over_http
def send(mailmux: Mailmux, as_json: bool, wait: float, idempotency_key: str | None, **given: Any) -> None:
    """Send an email.

    \b
    mailmux send --from shop@example.com --to ada@example.org --subject Hello --text 'It works.' --wait 5
    mailmux send --from shop@example.com --to ada@example.org --template welcome --var name=Ada --attach terms.pdf
    """
    fields = _fields(given)
    accepted = mailmux.emails.send(idempotency_key=idempotency_key, **fields)
    if not wait:
        show(accepted, as_json, lambda a: click.echo(f"{a['id']}  {a['status']}"))
        return
    end = time.monotonic() + wait
    email = mailmux.emails.get(accepted["id"])
    while email["status"] in _MOVING and time.monotonic() < end:
        time.sleep(_POLL)  # between two looks at the status
        email = mailmux.emails.get(accepted["id"])
    show(email, as_json, print_email)
    if email["status"] in ("failed", "expired", "suppressed"):
        raise SystemExit(1)


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: given[name]
        for name in ("sender", "subject", "template", "email_type", "send_at", "expires_at", "campaign_id")
        if given[name] is not None
    }
    fields |= {name: list(given[name]) for name in ("to", "cc", "bcc", "reply_to", "tags") if given[name]}
    for name in ("text", "html"):
        if given[name] is not None:
            fields[name] = _content(given[name], f"--{name}")
    for name, option in (("variables", "--var"), ("metadata", "--metadata"), ("headers", "--header")):
        if given[name]:
            fields[name] = pairs(given[name], option)
    if given["attached"]:
        fields["attachments"] = [_attachment(path) for path in given["attached"]]
    routing = {"pinned": list(given["pinned"]), "residency": given["residency"], "policy": given["policy"]}
    if wishes := {name: wish for name, wish in routing.items() if wish}:
        fields["routing"] = wishes
    return fields


def _attachment(path: Path) -> dict[str, str]:
    kind, packed = mimetypes.guess_type(path.name)
    return {
        "filename": path.name,
        "content": base64.b64encode(path.read_bytes()).decode(),
        "content_type": "application/octet-stream" if kind is None or packed else kind,
    }


def _content(value: str, option: str) -> str:
    if value == "-":
        return sys.stdin.read()
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise click.BadParameter(f"{value[1:]}: {reason}", param_hint=option) from error
