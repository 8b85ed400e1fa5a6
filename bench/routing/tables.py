"""The figures as tables: for a terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from rich.console import Console
from rich.table import Table

from bench.routing.figures import Figures, mean_excess, merge
from bench.routing.run import Report
from domain.message import OnUnknown

_DETAILS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("excess %", lambda f: f"{100 * f.excess:.1f}"),
    ("worst %", lambda f: f"{100 * f.worst:.1f}"),
    ("$/1k delivered", lambda f: f"{f.cost_per_delivered:.3f}"),
    ("delivered %", lambda f: f"{100 * f.delivered:.2f}"),
    ("first try %", lambda f: f"{100 * f.first_attempt_success:.2f}"),
    ("extra tries ‰", lambda f: f"{f.extra_attempts:.1f}"),
    ("p50 s", lambda f: f"{f.p50:.2f}"),
    ("p99 s", lambda f: f"{f.p99:.2f}"),
    ("429 ‰", lambda f: f"{f.throttled:.2f}"),
    ("overruns ‰", lambda f: f"{f.overruns:.3f}"),
    ("duplicates ‰", lambda f: f"{f.duplicates:.2f}"),
    ("held ‰", lambda f: f"{f.held:.2f}"),
    ("given up ‰", lambda f: f"{f.given_up:.2f}"),
    ("found s", lambda f: _or_dash(f.detected)),
    ("back s", lambda f: _or_dash(f.recovered)),
)


def show(report: Report, *, markdown: bool) -> None:
    for mode in report.order.modes:
        rows = report.figures[mode]
        policies = list(next(iter(rows.values())))
        _print(
            f"Excess over the best possible, %, under `{mode.value}`",
            ["scenario", *policies],
            _excess(report, mode, policies),
            markdown,
        )
        _print(
            f"All scenarios together, under `{mode.value}`",
            ["policy", *(name for name, _ in _DETAILS)],
            [[p, *_details(merge([row[p] for row in rows.values()]))] for p in policies],
            markdown,
        )
        if "mailmux" in policies:
            _print(
                f"mailmux per scenario, under `{mode.value}`",
                ["scenario", *(name for name, _ in _DETAILS)],
                [[scenario, *_details(row["mailmux"])] for scenario, row in rows.items()],
                markdown,
            )
    found = report.as_json()
    seeds = ", ".join(map(str, report.order.seeds))
    click.echo(f"seeds {seeds}; {found['seconds']} s; {found['machine']}")


def _excess(report: Report, mode: OnUnknown, policies: Sequence[str]) -> list[list[str]]:
    rows = report.figures[mode]
    table = [[s, *(f"{100 * row[p].excess:.1f}" for p in policies)] for s, row in rows.items()]
    means = mean_excess(rows)
    held = [merge([row[p] for row in rows.values()]).held for p in policies]
    table.append(["mean", *(f"{100 * means[p]:.1f}" for p in policies)])
    table.append(["held per 1,000", *(f"{h:.2f}" for h in held)])
    return table


def _details(figures: Figures) -> list[str]:
    return [tell(figures) for _, tell in _DETAILS]


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _print(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool) -> None:
    if markdown:
        click.echo(f"{title}\n")
        for line in (head, ["---"] * len(head), *rows):
            click.echo(f"| {' | '.join(line)} |")
        click.echo()
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    # As wide as it needs to be where nobody looks at it in a terminal.
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)
