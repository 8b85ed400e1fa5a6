"""`mailmux batch`: an email for each row of a CSV file."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from mailmux_client import BatchAccepted, BatchResult, Mailmux, MailmuxError
from mailmux_client.shapes import ProblemInItem
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.cells import cell
from cli.remote import over_http, show

_AT_ONCE = 500  # rows in a request
_OF_THE_EMAIL = ("to", "subject", "text", "html", "send_at")
_RESULT = ("row", "to", "id", "status", "error")


@dataclass(frozen=True, slots=True)
class Row:
    """`number`: the line of the file's data, from 1."""

    number: int
    fields: Mapping[str, Any]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "sender", required=True, metavar="ADDRESS", help='As "Shop <shop@example.com>".')
@click.option("--subject", help="Of rows that have none of their own.")
@click.option("--text", help="Likewise.")
@click.option(
    "--html-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Likewise, the html."
)
@click.option("--template", help="Columns that are no fields of an email are its variables.")
@click.option("--type", "email_type", default="marketing", show_default=True, help="A declared email type.")
@click.option("--campaign", "campaign_id", metavar="ID", help="The campaign that they belong to.")
@click.option("--tag", "tags", multiple=True, help="To find them by; may be given several times.")
@click.option("--at", "send_at", metavar="TIME", help="When to send them: 2030-01-31T09:30:00+01:00.")
@click.option(
    "--results", type=click.Path(dir_okay=False, path_type=Path), help="[default: FILE.results.csv]"
)
@over_http
def batch(mailmux: Mailmux, as_json: bool, file: Path, results: Path | None, **given: Any) -> None:
    """Send an email for each row of a CSV FILE with the column "to"; "name" is put before the address.

    The columns subject, text, html and send_at are fields of the email; all others are variables of the template, or
    metadata where there is none. What became of each row is written to the results file.

    \b
      mailmux batch people.csv --from shop@example.com --template spring --tag spring
          people.csv:  to,name,city
                       ada@example.org,Ada,Ulm

    To go on after a break, give the same command again: rows that were accepted are left out, and those whose answer
    was lost are not sent twice.
    """
    defaults = _defaults(given)
    rows = list(_read(file, given["template"] is not None))
    results = results or file.with_name(file.name + ".results.csv")
    done = _accepted(results)
    left = [row for row in rows if row.number not in done]
    accepted, rejected = len(done), 0
    once = hashlib.sha256(json.dumps(defaults, sort_keys=True).encode() + file.read_bytes()).hexdigest()[:32]
    fresh = not results.exists()
    with results.open("a", newline="", encoding="utf-8") as sink, _progress(as_json) as progress:
        writer = csv.writer(sink)
        if fresh:
            writer.writerow(_RESULT)
        task = progress.add_task(file.name, total=len(rows), completed=len(done))
        for some in _parts(left):
            key = f"{once}-{some[0].number}-{some[-1].number}"
            answer = _hand_over(mailmux, [row.fields for row in some], defaults, key)
            for row, result in zip(some, answer["results"], strict=True):
                error = "; ".join(e["detail"] for e in result["errors"])
                writer.writerow(
                    (row.number, cell(_address(row)), result["id"] or "", result["status"], cell(error))
                )
            sink.flush()
            accepted, rejected = accepted + answer["accepted"], rejected + answer["rejected"]
            progress.advance(task, len(some))
    summary = {
        "rows": len(rows),
        "accepted": accepted,
        "accepted_before": len(done),
        "rejected": rejected,
        "results": str(results),
    }
    show(summary, as_json, _print)
    if rejected:
        raise SystemExit(1)


def _hand_over(
    mailmux: Mailmux, emails: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any], key: str
) -> BatchAccepted:
    """Raises MailmuxError where the request as a whole is refused, and not for its entries."""
    try:
        return mailmux.emails.send_batch(emails, defaults=defaults, permissive=True, idempotency_key=key)
    except MailmuxError as refused:
        wrong: dict[int, list[ProblemInItem]] = {}
        for error in refused.errors:
            _, _, place = error.where.partition("/emails/")
            number = place.partition("/")[0]
            if not number.isdigit():
                raise
            wrong.setdefault(int(number), []).append(
                {"pointer": error.where, "detail": error.detail, "code": error.code}
            )
        if refused.status != 422 or set(wrong) != set(range(len(emails))):
            raise
        results: list[BatchResult] = [
            {"index": index, "status": "rejected", "id": None, "errors": errors}
            for index, errors in wrong.items()
        ]
        results.sort(key=lambda result: result["index"])
        return {"accepted": 0, "rejected": len(emails), "results": results}


def _print(summary: Mapping[str, Any]) -> None:
    before = f" ({n} of them before, and left out now)" if (n := summary["accepted_before"]) else ""
    click.echo(
        f"{summary['accepted']} accepted{before}, {summary['rejected']} rejected: {summary['results']}"
    )


def _progress(as_json: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=as_json or not console.is_terminal,
    )  # fmt: skip


def _defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"from": given["sender"], "email_type": given["email_type"]}
    found |= {
        name: given[name]
        for name in ("subject", "text", "template", "send_at", "campaign_id")
        if given[name] is not None
    }
    if given["html_file"] is not None:
        found["html"] = given["html_file"].read_text("utf-8")
    if given["tags"]:
        found["tags"] = list(given["tags"])
    return found


def _read(file: Path, has_template: bool) -> Iterator[Row]:
    """Raises ClickException where this is no such file."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as source:
            reader = csv.DictReader(source, strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            if "to" not in names:
                raise click.ClickException(f'{file}: the first line names the columns, and one is "to"')
            if len(set(names)) != len(names):
                raise click.ClickException(f"{file}: a column is there twice")
            reader.fieldnames = names
            for number, values in enumerate(reader, start=1):
                if None in values or None in values.values():
                    raise click.ClickException(
                        f"{file}: row {number} has not as many values as the first line"
                    )
                yield Row(number, _fields(values, has_template))
    except (csv.Error, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: no CSV in UTF-8: {error}") from error


def _fields(values: Mapping[str, str], has_template: bool) -> dict[str, Any]:
    name = values.get("name", "")
    fields: dict[str, Any] = {n: values[n] for n in _OF_THE_EMAIL[1:] if values.get(n)}
    fields["to"] = [{"email": values["to"].strip(), "name": name} if name else values["to"].strip()]
    rest = {n: v for n, v in values.items() if n not in _OF_THE_EMAIL and v}
    if has_template:
        fields["variables"] = rest
    else:
        rest.pop("name", None)
        if rest:
            fields["metadata"] = rest
    return fields


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Always cut at the same places of the file, so that a repeated request is the same request."""
    parts: dict[int, list[Row]] = {}
    for row in rows:
        parts.setdefault((row.number - 1) // _AT_ONCE, []).append(row)
    yield from parts.values()


def _accepted(results: Path) -> set[int]:
    """The rows that were accepted before."""
    if not results.exists():
        return set()
    with results.open(newline="", encoding="utf-8") as source:
        return {int(line["row"]) for line in csv.DictReader(source) if line.get("id")}


def _address(row: Row) -> str:
    to = row.fields["to"][0]
    return str(to["email"] if isinstance(to, dict) else to)
