"""Tables for people, and for grep and awk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]], as_json: bool = False) -> None:
    """Print a table. Ids stand whole, so that they can be copied; where nobody reads it, so does everything.

    `as_json`: a JSON object for each row, instead.
    """
    if as_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)
    table = Table(box=None)
    for name in names:
        table.add_column(name, no_wrap=name == "id" or not console.is_terminal)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
