"""The command `mailmux`. Subcommands are imported when they are called, so that `mailmux --help` is quick."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Final

import click

# Each command: where it lives, and its line in the help.
_COMMANDS: Final = {
    "up": ("cli.up:up", "Start the whole service on this machine."),
    "sandbox": (
        "cli.sandbox:sandbox",
        "Make the sandbox's providers fail, heal them, see what they received.",
    ),
    "send": ("cli.send:send", "Send an email."),
    "batch": ("cli.batch:batch", "Send an email for each row of a CSV file."),
    "emails": ("cli.emails:emails", "List emails, show what became of them, take them back."),
    "rules": ("cli.things:rules", "Say which providers carry which type of email."),
    "types": ("cli.things:types", "Declare kinds of email."),
    "templates": ("cli.things:templates", "Write templates, look at what they make."),
    "routing": ("cli.routing:routing", "See who would carry an email now, or would have."),
    "domains": ("cli.domains:domains", "Declare domains to send from, see the DNS records that they need."),
    "webhooks": ("cli.things:webhooks", "Be told what becomes of emails."),
    "campaigns": ("cli.things:campaigns", "Send emails that belong together."),
    "halts": ("cli.halts:halts", "Have emails of a user, a type or a lane wait."),
    "stats": ("cli.stats:stats", "Show what was sent, what became of it, and what it cost."),
    "budgets": ("cli.budgets:budgets", "Say what may be spent in a day or a month."),
    "suppressions": ("cli.suppressions:suppressions", "Say who is not written to any more."),
    "erase": ("cli.erase:erase", "Take away everything about a recipient."),
    "providers": ("cli.accounts:providers", "Add accounts at providers, test them, set up their webhooks."),
    "keys": ("cli.keys:keys", "Make, list, rotate and revoke API keys."),
    "users": ("cli.users:users", "Add people, and let them set their passwords."),
    "encryption": ("cli.encryption:encryption", "Use another key for the secrets in the database."),
    "audit": ("cli.audit:audit", "Show who changed what."),
    "init": ("cli.init:init", "Make a database ready: its schema, the first user and its key."),
    "bench": ("bench.command:bench", "Break the service on purpose, and measure it."),
    "doctor": ("cli.doctor:doctor", "Check everything the service rests on, and say what to do."),
    "recover": ("cli.recover:recover", "After a restore from a backup: hold what may have been sent since."),
    "guard": ("cli.guard:guard", "Run a worker, and end it when it stands still; for containers."),
    "alive": ("cli.alive:alive", "Tell whether a worker takes tasks; for health checks."),
    "completion": ("cli.completion:completion", "Have the shell complete commands."),
    "migrate": ("cli.migrate:migrate", "Bring the database to this version's schema."),
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


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailmux", prog_name="mailmux")
def mailmux() -> None:
    """One API in front of many email providers."""


def main() -> None:
    """The entry of the console script. Errors that a user can mend are one clear text and exit code 1 or 2."""
    try:
        mailmux(prog_name="mailmux")
    except _mendable() as error:
        click.echo(f"mailmux: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:  # `mailmux … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _mendable() -> tuple[type[Exception], ...]:
    """The errors whose message says what to do. Looked up when something has gone wrong already."""
    found: list[type[Exception]] = []
    for module, name in (
        ("wiring.settings", "SettingsError"),
        ("wiring.embedded.processes", "ServiceFailed"),
        ("cli.supervisor", "AlreadyRunning"),
    ):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)
