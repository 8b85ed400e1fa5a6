"""`mailmux doctor`: looks at everything that the service rests on, and says what to do."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import asdict

import click
from rich.console import Console
from rich.text import Text

from wiring.checkup import Finding, State, examine, fail
from wiring.settings import Settings, SettingsError

_SIGNS = {State.OK: ("✓", "green"), State.WARN: ("!", "yellow"), State.FAIL: ("✗", "bold red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: {ok, findings: […]}.")
@click.option(
    "--providers/--no-providers",
    default=True,
    help="Whether to sign in at every provider that is not paused; nothing is sent.",
)
def doctor(as_json: bool, providers: bool) -> None:
    """Check services, versions, clocks, migrations, Redis, keys, disk, workers and providers, and say what to do.

    It changes nothing. The exit code is 0 where nothing failed (warnings are no failures), else 1.
    """
    console = Console(highlight=False)
    findings: list[Finding] = []
    try:
        for finding in examine(Settings.from_env(os.environ), providers=providers):
            findings.append(finding)
            if not as_json:
                _show(console, finding)
    except SettingsError as error:
        for name, problem in error.problems.items():
            findings.append(fail(name, problem, "docs/reference/settings.md describes it."))
            if not as_json:
                _show(console, findings[-1])
    count = Counter(finding.state for finding in findings)
    well = not count[State.FAIL]
    if as_json:
        click.echo(json.dumps({"ok": well, "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        console.print(f"\n{count[State.OK]} well, {count[State.WARN]} warnings, {count[State.FAIL]} failures")
    sys.exit(0 if well else 1)


def _show(console: Console, finding: Finding) -> None:
    sign, style = _SIGNS[finding.state]
    line = Text(f"{sign} ", style=style) + Text(f"{finding.check}: ", style="bold") + Text(finding.detail)
    console.print(line, soft_wrap=True)
    if finding.advice:
        console.print(Text(f"    {finding.advice}", style=style), soft_wrap=True)
