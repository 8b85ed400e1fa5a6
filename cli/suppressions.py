"""`mailmux suppressions`: who is not written to any more; in and out as CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from mailmux_client import Mailmux, MailmuxError
from mailmux_client.shapes import ProviderOut

from cli.cells import cell, uncell
from cli.remote import counting, moment, over_http, show, show_list
from cli.suppression_exports import LISTS, PROVIDERS, read_export

_COLUMNS = ("address", "scope", "cause", "detail", "expires_at", "created_at")
_GIVEN = _COLUMNS[:-1]
_AT_ONCE = 1000


@click.group()
def suppressions() -> None:
    """Say who is not written to any more.

    \b
    mailmux suppressions list --cause complaint
    mailmux suppressions add ada@example.org --scope marketing
    mailmux suppressions import --from sendgrid
    mailmux suppressions export > left.csv
    """


@suppressions.command("list")
@click.option("--address", help="Whether, and why, somebody is listed.")
@click.option("--scope", help="all, marketing, or type:NAME.")
@click.option("--cause", help="As hard_bounce, complaint, unsubscribed, provider, manual, imported.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@over_http
def list_them(mailmux: Mailmux, as_json: bool, limit: int, **filters: Any) -> None:
    """Show entries, newest first."""
    columns = (
        ("id", lambda e: e["id"]),
        ("address", lambda e: e["address"]),
        ("scope", lambda e: e["scope"]),
        ("cause", lambda e: e["cause"]),
        ("until", lambda e: moment(e["expires_at"])),
        ("since", lambda e: moment(e["created_at"])),
    )
    show_list(mailmux.suppressions.list(**filters), limit, as_json, columns)


@suppressions.command()
@click.argument("addresses", nargs=-1, required=True)
@click.option("--scope", default="all", show_default=True, help="all, marketing, or type:NAME.")
@over_http
def add(mailmux: Mailmux, as_json: bool, addresses: tuple[str, ...], scope: str) -> None:
    """Do not write to ADDRESSES any more."""
    entries = [{"address": address, "scope": scope} for address in addresses]
    show(mailmux.suppressions.create(entries=entries), as_json, _print)


@suppressions.command()
@click.argument("id")
@over_http
def remove(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Take an entry off the list."""
    mailmux.suppressions.delete(id)
    show({"id": id, "removed": True}, as_json, lambda _: click.echo(f"{id} is taken off"))


@suppressions.command("import")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "service", type=click.Choice(PROVIDERS), help="Whose lists, or whose file.")
@click.option(
    "--provider",
    help="Without FILE: which of your accounts there, by name or id. Not needed for the only one.",
)
@click.option(
    "--list", "which", type=click.Choice(LISTS), help="Of a FILE of SendGrid or Mailgun: which list it is."
)
@over_http
def import_them(
    mailmux: Mailmux,
    as_json: bool,
    file: Path | None,
    service: str | None,
    provider: str | None,
    which: str | None,
) -> None:
    """Add the addresses of a CSV FILE, or of a provider's own lists. What is there already stays.

    \b
      mailmux suppressions import left.csv
          columns address, and perhaps scope, cause, detail, expires_at
      mailmux suppressions import --from sendgrid
          what SendGrid lists, asked with the credentials of your account there
      mailmux suppressions import --from mailgun --list bounces bounces.csv
          a file that was exported there

    Bounces and invalid addresses stop every email; complaints and unsubscriptions stop marketing. Rows of a file that
    are wrong are named by their line; then nothing of their thousand is added. To go on after a break, give the same
    command again.
    """
    if file is None:
        if service is None:
            raise click.UsageError("give a FILE, or --from")
        total = _import_lists(mailmux, _account(mailmux, service, provider), as_json)
    else:
        rows = _read(file) if service is None else read_export(file, service, which)
        total = _import_rows(mailmux, file, rows, as_json)
    show(total, as_json, _print)


def _import_rows(
    mailmux: Mailmux, file: Path, rows: Iterator[dict[str, str]], as_json: bool
) -> dict[str, int]:
    total = {"added": 0, "known": 0}
    with counting(as_json) as progress:
        task = progress.add_task(file.name, total=None)
        for first, entries in _parts(rows):
            try:
                done = mailmux.suppressions.create(entries=entries)
            except MailmuxError as refused:
                lines = [f"line {first + _place(e.where)}: {e.detail}" for e in refused.errors]
                raise click.ClickException(
                    "\n".join([f"{file}: nothing from line {first} on is added", *lines])
                ) from refused
            total["added"] += done["added"]
            total["known"] += done["known"]
            progress.advance(task, len(entries))
    return total


def _import_lists(mailmux: Mailmux, account: ProviderOut, as_json: bool) -> dict[str, int]:
    total = {"added": 0, "known": 0, "skipped": 0}
    with counting(as_json) as progress:
        task = progress.add_task(account["name"], total=None)
        for done in mailmux.providers.import_suppressions(account["id"]):
            total["added"] += done["added"]
            total["known"] += done["known"]
            total["skipped"] += done["skipped"]
            progress.advance(task, done["added"] + done["known"] + done["skipped"])
    return total


def _account(mailmux: Mailmux, service: str, wanted: str | None) -> ProviderOut:
    found = [p for p in mailmux.providers.list() if p["kind"] == service]
    if wanted is not None:
        found = [p for p in found if wanted in (p["id"], p["name"])]
    if len(found) == 1:
        return found[0]
    names = ", ".join(p["name"] for p in found)
    raise click.ClickException(
        f"You have several accounts at {service}: give --provider, of {names}"
        if found
        else f"You have no account at {service}" + (f" called {wanted}" if wanted else "")
    )


@suppressions.command()
@over_http
def export(mailmux: Mailmux, as_json: bool) -> None:
    """Print all entries as CSV."""
    if as_json:
        show_list(mailmux.suppressions.list(), sys.maxsize, True, ())
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for listed in mailmux.suppressions.list():
        entry: Mapping[str, Any] = listed
        writer.writerow([cell(entry[name]) for name in _COLUMNS])


def _print(done: dict[str, int]) -> None:
    skipped = f", {n} skipped: no addresses" if (n := done.get("skipped")) else ""
    click.echo(f"{done['added']} added, {done['known']} known before{skipped}")


def _read(file: Path) -> Iterator[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as source:
            reader = csv.DictReader(source, strict=True)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            if "address" not in names:
                raise click.ClickException(f'{file}: the first line names the columns, and one is "address"')
            reader.fieldnames = names
            for row in reader:
                found = {name: uncell(row.get(name)).strip() for name in _GIVEN}
                yield {"cause": "imported"} | {name: value for name, value in found.items() if value}
    except (csv.Error, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: no CSV in UTF-8: {error}") from error


def _parts(rows: Iterator[dict[str, str]]) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A thousand at a time, with the number of the first one's line."""
    first, part = 2, []
    for row in rows:
        part.append(row)
        if len(part) == _AT_ONCE:
            yield first, part
            first, part = first + len(part), []
    if part:
        yield first, part


def _place(where: str) -> int:
    """The entry that a pointer like /entries/7/address is about."""
    parts = where.split("/")
    return int(parts[2]) if len(parts) > 2 and parts[2].isdigit() else 0
