"""`mailmux bench`: break the service on purpose, and measure it."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

# Imported when they are called: they bring what the service itself does without.
_COMMANDS: Final = {
    "faults": ("bench.faults.command:faults", "Break the service and account for every email."),
    "throughput": (
        "bench.throughput.command:throughput",
        "Measure the service against what people use instead.",
    ),
}


class _LazyGroup(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return super().get_command(ctx, name)
        module, _, attribute = _COMMANDS[name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_LazyGroup)
def bench() -> None:
    """Break the service on purpose and count what became of every email; measure how fast it is."""
