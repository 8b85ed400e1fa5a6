"""`mailmux emails`: lists emails, shows what became of them, takes them back."""

from __future__ import annotations

from typing import Any

import click
from mailmux_client import Mailmux
from rich.console import Console
from rich.markup import escape

from cli.remote import moment, over_http, show, show_list, text_of

_FILTERS = (
    click.option("--status", help="As queued, deferred, sent, delivered, bounced, unknown, failed."),
    click.option("--type", "email_type", help="The email type."),
    click.option("--lane", type=click.Choice(["transactional", "bulk"]), help="The queue that it waits in."),
    click.option("--recipient", help="One of to, cc and bcc."),
    click.option("--tag", help="One of its tags."),
    click.option("--campaign", "campaign_id", metavar="ID", help="The campaign that it belongs to."),
    click.option("--provider", help="Name of the provider that accepted it."),
    click.option("--metadata", metavar="NAME:VALUE", help="An entry of its metadata."),
    click.option("--after", "created_after", metavar="TIME", help="Accepted after: 2030-01-31T09:30:00Z."),
    click.option("--before", "created_before", metavar="TIME", help="Accepted before."),
)


def _filtered(command: Any) -> Any:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def emails() -> None:
    """List emails, show what became of them, take them back.

    \b
    mailmux emails list --status bounced --tag spring
    mailmux emails trace 01a207b4-25c0-71f3-818e-e049f920cd73
    mailmux emails cancel-many --tag spring --dry-run
    mailmux emails reschedule-many 2030-01-31T09:30:00+01:00 --tag spring
    mailmux emails resend-many --status failed --after 2030-01-31T00:00:00Z
    """


@emails.command("list")
@_filtered
@click.option("--limit", type=click.IntRange(1), default=25, show_default=True, help="How many at most.")
@over_http
def list_emails(mailmux: Mailmux, as_json: bool, limit: int, **filters: Any) -> None:
    """Show emails, newest first; all filters hold together."""
    columns = (
        ("id", lambda e: e["id"]),
        ("status", lambda e: e["status"]),
        ("to", lambda e: e["recipients"][0]["email"] + (" …" if len(e["recipients"]) > 1 else "")),
        ("subject", lambda e: e["subject"][:40]),
        ("provider", lambda e: e["provider"]),
        ("accepted", lambda e: moment(e["created_at"])),
    )
    show_list(mailmux.emails.list(**filters), limit, as_json, columns)


@emails.command("show")
@click.argument("email_id")
@over_http
def show_email(mailmux: Mailmux, as_json: bool, email_id: str) -> None:
    """Show one email: status, recipients, timeline."""
    show(mailmux.emails.get(email_id), as_json, print_email)


@emails.command()
@click.argument("email_id")
@over_http
def trace(mailmux: Mailmux, as_json: bool, email_id: str) -> None:
    """Tell everything that happened to an email, and why each provider was chosen or left out."""
    show(mailmux.emails.get(email_id), as_json, _print_trace)


@emails.command()
@click.argument("email_id")
@over_http
def cancel(mailmux: Mailmux, as_json: bool, email_id: str) -> None:
    """Take an email back that still waits."""
    show(mailmux.emails.cancel(email_id), as_json, lambda a: click.echo(f"{a['id']}  {a['status']}"))


@emails.command("cancel-many")
@_filtered
@click.option("--dry-run", is_flag=True, help="Only count them.")
@over_http
def cancel_many(mailmux: Mailmux, as_json: bool, dry_run: bool, **filters: Any) -> None:
    """Take back all waiting emails that the filters find."""
    done = mailmux.emails.cancel_many(dry_run=dry_run, **filters)
    total = done["cancelled"]
    while done["has_more"] and not dry_run:
        done = mailmux.emails.cancel_many(**filters)
        total += done["cancelled"]
    more = " or more" if done["has_more"] else ""
    words = "would be taken back" if dry_run else "taken back"
    show({**done, "cancelled": total}, as_json, lambda d: click.echo(f"{d['cancelled']}{more} {words}"))


@emails.command()
@click.argument("email_id")
@click.argument("send_at", metavar="TIME")
@over_http
def reschedule(mailmux: Mailmux, as_json: bool, email_id: str, send_at: str) -> None:
    """Send a waiting email at another TIME: 2030-01-31T09:30:00+01:00."""
    found = mailmux.emails.reschedule(email_id, send_at)
    show(found, as_json, lambda e: click.echo(f"{e['id']}  {e['status']}"))


@emails.command("reschedule-many")
@click.argument("send_at", metavar="TIME")
@_filtered
@click.option("--dry-run", is_flag=True, help="Only count them.")
@over_http
def reschedule_many(mailmux: Mailmux, as_json: bool, send_at: str, dry_run: bool, **filters: Any) -> None:
    """Send all emails whose time has not come, and that the filters find, at another TIME."""
    done = mailmux.emails.reschedule_many(send_at, dry_run=dry_run, **filters)
    total = done["rescheduled"]
    while done["has_more"] and not dry_run:
        done = mailmux.emails.reschedule_many(send_at, **filters)
        total += done["rescheduled"]
    words = "would be sent then" if dry_run else "are sent then"
    left = f"; {done['expire_before']} expire before" if done["expire_before"] else ""
    show({**done, "rescheduled": total}, as_json, lambda d: click.echo(f"{d['rescheduled']} {words}{left}"))


@emails.command()
@click.argument("email_id")
@over_http
def resend(mailmux: Mailmux, as_json: bool, email_id: str) -> None:
    """Send an email again that failed, or whose fate is unknown (it may arrive twice then)."""
    show(mailmux.emails.resend(email_id), as_json, lambda e: click.echo(f"{e['id']}  {e['status']}"))


@emails.command("resend-many")
@_filtered
@click.option("--dry-run", is_flag=True, help="Only count them.")
@over_http
def resend_many(mailmux: Mailmux, as_json: bool, dry_run: bool, **filters: Any) -> None:
    """Send all emails again that failed and that the filters find, none twice; with --status unknown those instead."""
    done = mailmux.emails.resend_many(dry_run=dry_run, **filters)
    total, refused = done["resent"], list(done["refused"])
    while done["has_more"] and not dry_run:
        done = mailmux.emails.resend_many(cursor=done["next_cursor"], **filters)
        total += done["resent"]
        refused += done["refused"]
    words = "would be sent again" if dry_run else "sent again"
    show(
        {**done, "resent": total, "refused": refused}, as_json, lambda d: click.echo(f"{d['resent']} {words}")
    )
    if not as_json:
        for one in refused:
            click.echo(f"{one['id']}  {one['detail']}", err=True)


def print_email(email: Any) -> None:
    console = Console(soft_wrap=True, highlight=False)
    reason = f" ({email['status_reason']})" if email["status_reason"] else ""
    console.print(f"[bold]{email['status']}[/bold]{escape(reason)}  {email['id']}")
    console.print(escape(f"{email['subject']}  [{email['email_type']}]"))
    for recipient in email["recipients"]:
        console.print(escape(f"  {recipient['kind']:4} {recipient['email']}  {recipient['status']}"))
    for line in email["timeline"]:
        said = " ".join(text_of(line[name]) for name in ("event", "reason") if line[name])
        console.print(escape(f"  {moment(line['at'])}  {line['status']:10} {said}"))


def _print_trace(email: Any) -> None:
    print_email(email)
    console = Console(soft_wrap=True, highlight=False)
    for attempt in email["attempts"]:
        outcome = attempt["outcome"] or "under way"
        why = f": {attempt['error']} {attempt['detail'] or ''}" if attempt["error"] else ""
        latency = "" if attempt["latency_ms"] is None else f"  {attempt['latency_ms']:.0f} ms"
        console.print(escape(f"{attempt['provider']}  {outcome}{why}{latency}  {attempt['estimated_cost']} "
                             f"{attempt['currency']}"))  # fmt: skip
        console.print(escape(f"    {attempt['decision'].get('explanation', '')}"))
