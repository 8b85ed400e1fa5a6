"""What `--help` says: all options are explained, groups show examples, and the examples are commands that exist."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from cli.main import mailmux

ROOT = click.Context(mailmux, info_name="mailmux")


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield inner, command
        if isinstance(command, click.Group):
            yield from commands(command, inner)


ALL = {context.command_path: command for context, command in commands(mailmux, ROOT)}
GROUPS = sorted(
    path for path, command in ALL.items()
    if isinstance(command, click.Group) and path not in ("mailmux bench", "mailmux sandbox", "mailmux encryption")
)  # fmt: skip


def examples(command: click.Command) -> list[str]:
    lines = (line.strip() for line in (command.help or "").splitlines())
    return [line.partition("   ")[0] for line in lines if line.startswith("mailmux ")]


SHOWN = sorted({line for command in ALL.values() for line in examples(command)})


@pytest.mark.parametrize("path", sorted(ALL))
def test_every_command_and_every_option_is_explained(path: str) -> None:
    command = ALL[path]
    assert command.help or command.short_help
    unexplained = [p.opts[-1] for p in command.params if isinstance(p, click.Option) and not p.help]
    assert not unexplained


@pytest.mark.parametrize("path", [*GROUPS, "mailmux send", "mailmux batch", "mailmux stats"])
def test_a_group_shows_how_it_is_used(path: str) -> None:
    assert examples(ALL[path])


@pytest.mark.parametrize("line", SHOWN)
def test_what_is_shown_is_a_command_that_there_is(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("MAILMUX_KEY", "mx_live_x")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line.partition(" > ")[0])[1:]
    for word in words:
        if word.endswith((".csv", ".pdf", ".json")):
            (tmp_path / word.lstrip("@")).write_text("{}")
    command: click.Command = mailmux
    context = ROOT
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    with command.make_context(
        context.info_name, words, parent=context.parent
    ):  # raises what a user would be told
        pass


@pytest.mark.parametrize("module", ["keys", "accounts", "emails", "send", "stats"])
def test_what_works_over_http_loads_nothing_of_the_service(module: str) -> None:
    """Celery, migrations and the database's driver would take seconds."""
    looks = f"import sys, cli.{module}; print(sorted({{'celery', 'alembic', 'psycopg2'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
