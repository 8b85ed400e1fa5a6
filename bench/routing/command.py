"""`mailmux bench routing`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.routing.catalogue import NotInCatalogue, policy_names, scenario_names
from bench.routing.plots import draw
from bench.routing.run import Order, carry_out
from bench.routing.seeds import Seeds
from bench.routing.tables import show
from domain.message import OnUnknown

_MODES = {
    "hold": (OnUnknown.HOLD,),
    "resend": (OnUnknown.RESEND,),
    "both": (OnUnknown.HOLD, OnUnknown.RESEND),
}


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


@click.command(short_help="Play the chooser against others and against the best possible.")
@click.option(
    "--seeds", type=Seeds(), default="1001-1002", show_default=True, help="For example 1001-1005 or 1,2,7."
)
@click.option("--scenarios", metavar="NAMES", help="Only these, or paths of Python files.")
@click.option("--policies", metavar="NAMES", help="Only these, or paths of Python files.")
@click.option(
    "--mode", type=click.Choice(list(_MODES)), default="hold", show_default=True,
    help="What happens to an email that may have been accepted: held, or sent again elsewhere.",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="5 minutes at most on two CPUs: the first seed only.")
@click.option("--plots", type=click.Path(path_type=Path, file_okay=False), help="Write SVG pictures here.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--list", "listed", is_flag=True, help="Say which scenarios and policies there are.")
def routing(
    seeds: tuple[int, ...],
    scenarios: str | None,
    policies: str | None,
    mode: str,
    quick: bool,
    plots: Path | None,
    markdown: bool,
    as_json: bool,
    listed: bool,
) -> None:
    """Simulate days of email with outages, quotas, tiers and lost mail, and count what each policy pays for them.

    The objective is charges, lost email, waiting and our own work, in $ per 1,000 emails. Excess is what a policy
    pays above one who knows the future (a linear program over the true day). All policies meet the same chance. Ours,
    mailmux, is what production runs.

    \b
    mailmux bench routing --quick                       one seed of everything, to begin with
    mailmux bench routing --seeds 1001-1005 --mode both
    mailmux bench routing --scenarios silent_drop,quota --policies mailmux,thompson
    mailmux bench routing --seeds 7 --plots plots/      who carried what, as pictures
    mailmux bench routing --scenarios ./mine.py         a day of your own

    A scenario is a file with build(seed), a policy one with make(briefing): docs/reference/routing-benchmark.md
    says how, and what every figure means. --json prints {mode, seeds, mean_excess: {policy: ratio}, scenarios:
    {name: {policy: {excess, worst, delivered, held, …}}}}; with --mode both the second mode's figures are under
    "resend".
    """
    if listed:
        click.echo("scenarios: " + ", ".join(scenario_names()))
        click.echo("policies:  " + ", ".join(policy_names()))
        return
    order = Order(
        _names(scenarios) or tuple(scenario_names()),
        _names(policies) or tuple(policy_names()),
        seeds[:1] if quick else seeds,
        _MODES[mode],
    )
    told = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=told
    ) as progress:
        task = progress.add_task("simulating", total=order.runs())

        def done(what: str) -> None:
            progress.update(task, advance=1, description=what)

        try:
            report = carry_out(order, done)
        except NotInCatalogue as error:
            raise click.BadParameter(str(error)) from error
    if plots is not None:
        for path in draw(report, plots):
            told.print(f"wrote {path}", highlight=False)
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        show(report, markdown=markdown)
