"""What all commands share that speak to a running service over HTTP: where it is, the key, tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import islice
from typing import Any, TypeVar

import click
from mailmux_client import Mailmux, MailmuxError, Unreachable
from rich.console import Console
from rich.markup import escape
from rich.table import Table

F = TypeVar("F", bound=Callable[..., Any])


def over_http(command: F) -> F:
    """Give a command `mailmux`, the client, and `as_json`; turn refusals into clear errors."""

    @click.option(
        "--url",
        envvar="MAILMUX_URL",
        default="http://127.0.0.1:8025",
        show_default=True,
        help="Where the service is. Also MAILMUX_URL.",
    )
    @click.option("--key", envvar="MAILMUX_KEY", required=True, help="An API key. Better as MAILMUX_KEY.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    @wraps(command)
    def wrapped(url: str, key: str, as_json: bool, **given: Any) -> Any:
        with clear_errors():
            return command(Mailmux(url, key), as_json, **given)

    return wrapped  # type: ignore[return-value]  # click reads what a caller gives, and knows it by its own types


@contextmanager
def clear_errors() -> Iterator[None]:
    try:
        yield
    except MailmuxError as refused:
        raise click.ClickException(str(refused)) from refused
    except Unreachable as away:
        hint = (
            ""
            if away.idempotency_key is None
            else (
                f"\nIt may have been accepted. To ask again safely: --idempotency-key {away.idempotency_key}"
            )
        )
        raise click.ClickException(f"{away}. Is it started, and --url right?{hint}") from away
    except ValueError as wrong:
        raise click.ClickException(str(wrong)) from wrong


def show(value: Any, as_json: bool, lines: Callable[[Any], None]) -> None:
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))
    else:
        lines(value)


def show_list(
    rows: Iterable[Any], limit: int, as_json: bool, columns: Sequence[tuple[str, Callable[[Any], Any]]]
) -> None:
    """Up to `limit` of the rows, as a table, or as one JSON object per line."""
    some = islice(rows, limit)
    if as_json:
        for row in some:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    console = Console()
    if not console.is_terminal:  # for grep and awk: a line each, nothing cut
        console = Console(width=1000)
    table = Table(box=None)
    for name, _ in columns:
        table.add_column(name, no_wrap=name == "id" or not console.is_terminal)
    for row in some:
        table.add_row(*(escape(text_of(read(row))) for _, read in columns))
    console.print(table)


def text_of(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(text_of(v) for v in value) or "–"
    if isinstance(value, dict):
        return str(value.get("name") or value.get("email") or json.dumps(value, ensure_ascii=False))
    return str(value)


def moment(text: str | None) -> str:
    """A time as tables show it, UTC."""
    return "–" if text is None else text[:19].replace("T", " ")


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE options as a mapping."""
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{one!r} is not NAME=VALUE", param_hint=option)
        found[name] = value
    return found
