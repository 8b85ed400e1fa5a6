"""What all commands share that speak to a running service over HTTP: where it is, the key, tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

import click
from mailmux_client import Mailmux, MailmuxError, Unreachable
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.tables import print_table

F = TypeVar("F", bound=Callable[..., Any])


LIMIT = 200  # things of a list that is read over the API, unless somebody asks for more
at_most = click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"How many at most. Left out: {LIMIT} over the API, all on the machine itself.",
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


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
    @as_json_option
    @wraps(command)
    def wrapped(url: str, key: str, as_json: bool, **given: Any) -> Any:
        with clear_errors():
            return command(Mailmux(url, key), as_json, **given)

    return wrapped  # type: ignore[return-value]  # click reads what a caller gives, and knows it by its own types


def either_way(command: F) -> F:
    """As `over_http` where there is a key. Without one, or with --local, `mailmux` is None: the command works on the
    machine itself, with the service's settings, and on what is everybody's.
    """

    @click.option(
        "--url",
        envvar="MAILMUX_URL",
        default="http://127.0.0.1:8025",
        show_default=True,
        help="Where the service is. Also MAILMUX_URL.",
    )
    @click.option(
        "--key", envvar="MAILMUX_KEY", help="An API key. Better as MAILMUX_KEY. Without one: as with --local."
    )
    @click.option("--local", is_flag=True, help="On the machine itself, with the service's settings.")
    @as_json_option
    @wraps(command)
    def wrapped(url: str, key: str | None, local: bool, as_json: bool, **given: Any) -> Any:
        with clear_errors():
            return command(None if local or key is None else Mailmux(url, key), as_json, **given)

    return wrapped  # type: ignore[return-value]  # as above


def provider_named(mailmux: Mailmux, wanted: str) -> Mapping[str, Any]:
    """The account that has this name, or this id. Raises ClickException."""
    found = [one for one in mailmux.providers.list() if wanted in (one["id"], one["name"])]
    if not found:
        raise click.ClickException(f"There is no provider {wanted}. `mailmux providers list` shows them all.")
    if len(found) > 1:
        ids = ", ".join(one["id"] for one in found)
        raise click.ClickException(f"Several accounts have the name {wanted}: say which by its id: {ids}")
    return found[0]


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


def counting(as_json: bool) -> Progress:
    """A progress bar of what is counted, whether or not its end is known; on a terminal only."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, disable=as_json or not console.is_terminal,
    )  # fmt: skip


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
    print_table([name for name, _ in columns], ([text_of(read(row)) for _, read in columns] for row in some))


def fields(*names: str) -> list[tuple[str, Callable[[Any], Any]]]:
    """Columns of a table, each a field of that name."""
    return [(name.replace("_", " "), itemgetter(name)) for name in names]


def print_fields(thing: Mapping[str, Any]) -> None:
    """One thing, a field a line."""
    width = max((len(name) for name in thing), default=0)
    for name, value in thing.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {text_of(value)}")


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
