"""`mailmux sandbox`: makes the sandbox's providers fail, heals them, and shows what they received.

It talks HTTP to a sandbox that runs already.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import requests
from rich.console import Console
from rich.table import Table
from rich.text import Text

DEFAULT_URL = "http://127.0.0.1:8026"
_TIMEOUT_SECONDS = 10

MODES: dict[str, str] = {
    "refuse": "nobody listens: connecting is refused. Not sent, so the next provider is tried",
    "unavailable": "HTTP 503 / SMTP 421. Not sent",
    "ratelimit": "HTTP 429 / SMTP 450; --delay is the seconds until the limit resets. Not sent",
    "auth": "HTTP 401 / SMTP 535: the credentials are refused. Not sent",
    "reject": "HTTP 400 / SMTP 550 5.1.1: the recipient is refused. Not sent, and nobody else is tried",
    "sender": "HTTP 403 / SMTP 550 5.7.1: the sender is not verified. Not sent",
    "timeout": "the email is taken, but never answered. Sent, though the sender cannot know",
    "hang": "the email is read, but neither taken nor answered. Not sent, though the sender cannot know",
    "bare500": "HTTP 500 without a word / SMTP closed after the final dot. Not sent, though it cannot be known",
    "drop": "the email is taken, then the connection closed. Sent, though the sender cannot know",
    "garbage": "the email is taken, but the answer is nonsense. Sent, though the sender cannot know",
    "slow": "the email is taken, the usual answer comes after --delay seconds (5)",
}
"""Every way to fail, in the order of the help."""


class SandboxError(click.ClickException):
    """What the user did cannot work; the message says what would."""


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox."""

    url: str
    directory: Path

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, params=query)

    def change(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A call that changes something, and so needs the token."""
        token_file = self.directory / "control-token"
        try:
            token = token_file.read_text().strip()
        except OSError as error:
            raise SandboxError(
                f"cannot read {token_file}: {error.strerror}. Name the data directory of the running sandbox with "
                "--data-dir or MAILMUX_DATA_DIR."
            ) from error
        return self._call(method, path, json=body, headers={"Authorization": f"Bearer {token}"})

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy has no business between this machine and itself
                answer = session.request(
                    method, self.url + path, timeout=_TIMEOUT_SECONDS, allow_redirects=False, **options
                )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise SandboxError(
                f"no sandbox answers at {self.url}. Start everything with ./run, or the sandbox alone with\n"
                f"  python -m sandbox --data-dir {self.directory}"
            ) from error
        except requests.RequestException as error:
            raise SandboxError(f"{self.url}: {error}") from error
        try:
            content = answer.json()
        except ValueError as error:
            raise SandboxError(f"what answers at {self.url} is not the sandbox") from error
        if answer.ok:
            return content
        detail = content.get("error") if isinstance(content, dict) else None
        raise SandboxError(str(detail or f"the sandbox answered {answer.status_code}"))


def _find_sandbox(url: str | None, data_dir: Path) -> Sandbox:
    directory = data_dir / "sandbox"
    if not url:
        endpoint = directory / "endpoint"
        url = endpoint.read_text().strip() if endpoint.exists() else DEFAULT_URL
    return Sandbox(url.rstrip("/"), directory)


def _modes_help() -> str:
    width = max(map(len, MODES))
    return "\b\n" + "\n".join(f"{name:<{width}}  {meaning}" for name, meaning in MODES.items())


@click.group()
@click.option(
    "--url", envvar="MAILMUX_SANDBOX_URL", help="Where the sandbox runs. Found by itself as a rule."
)
@click.option(
    "--data-dir",
    envvar="MAILMUX_DATA_DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".data"),
    show_default=True,
    help="The data directory; the sandbox's is the folder `sandbox` in it.",
)
@click.pass_context
def sandbox(context: click.Context, url: str | None, data_dir: Path) -> None:
    """Make the sandbox's providers fail, heal them, see what they received."""
    context.obj = _find_sandbox(url, data_dir)


@sandbox.command(
    help="Make PROVIDER fail from now on, in one of these ways:\n\n"
    + _modes_help()
    + "\n\n`heal` ends it, and so does a restart of the sandbox.",
    short_help="Make a provider fail.",
)
@click.argument("provider")
@click.option(
    "--mode", type=click.Choice(list(MODES)), required=True, metavar="MODE", help="One of the above."
)
@click.option("--count", type=click.IntRange(1), help="Heal by itself after so many failures.")
@click.option("--delay", type=click.FloatRange(0), help="Seconds before the answer.")
@click.pass_obj
def fail(running: Sandbox, provider: str, mode: str, count: int | None, delay: float | None) -> None:
    body: dict[str, Any] = {"mode": mode, "count": count, "delay": delay}
    account = running.change("POST", _fault_path(running, provider), body)
    often = "until healed" if count is None else "once" if count == 1 else f"{count} times"
    _console().print(
        f"[bold]{account['name']}[/] now fails with [bold red]{mode}[/], {often}: {MODES[mode]}."
    )


@sandbox.command()
@click.argument("provider", required=False)
@click.option("--all", "everyone", is_flag=True, help="Heal every provider.")
@click.pass_obj
def heal(running: Sandbox, provider: str | None, everyone: bool) -> None:
    """End the failing of PROVIDER, or of --all."""
    if (provider is None) is not everyone:
        raise click.UsageError("name a provider, or give --all")
    names = [one["name"] for one in _accounts(running)] if provider is None else [provider]
    for name in names:
        running.change("DELETE", _fault_path(running, name))
    _console().print(f"[bold]{', '.join(names)}[/]: [green]healthy[/].")


@sandbox.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(running: Sandbox, as_json: bool) -> None:
    """Show the providers, and how each is failing."""
    accounts = _accounts(running)
    if as_json:
        click.echo(json.dumps(accounts, indent=2))
        return
    table = Table(title=None, box=None, pad_edge=False, header_style="dim")
    for heading in ("provider", "address", "state", "struck"):
        table.add_column(heading, overflow="fold")
    for account in accounts:
        table.add_row(account["name"], account["url"], _state(account["fault"]), str(account["struck"]))
    console = _console()
    console.print(table)
    console.print(f"inbox: {running.url}", style="dim")


@sandbox.command()
@click.option("--limit", type=click.IntRange(1, 2000), default=20, show_default=True, help="At most so many.")
@click.option("--to", default="", help="Only those to a recipient with this in the address.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with bodies and headers.")
@click.pass_obj
def inbox(running: Sandbox, limit: int, to: str, as_json: bool) -> None:
    """Show the newest emails that the providers received."""
    found = running.get("/messages.json", limit=limit, to=to)
    if as_json:
        click.echo(json.dumps(found["messages"], indent=2))
        return
    console = _console()
    if not found["messages"]:
        console.print("Nothing received." if not to else f"Nothing received for {_plain(to)}.", markup=False)
        return
    table = Table(title=None, box=None, pad_edge=False, header_style="dim")
    for heading in ("no.", "at (UTC)", "provider", "to", "subject"):
        table.add_column(heading, overflow="ellipsis", no_wrap=heading in ("no.", "at (UTC)"))
    for message in found["messages"]:
        cells = (
            str(message["seq"]),
            message["received_at"][11:19],
            message["account"],
            ", ".join(message["envelope"]["to"]),
            message["subject"] or "(no subject)",
        )
        table.add_row(*(Text(_plain(cell)) for cell in cells))
    console.print(table)
    console.print(f"{running.url}/messages/NO. shows one", style="dim")


@sandbox.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--times", type=click.IntRange(1, 1000), default=1, show_default=True, help="Each so often.")
@click.option("--shuffle", is_flag=True, help="In any order.")
@click.option("--forged", is_flag=True, help="With a proof that is wrong.")
@click.option("--age", type=click.FloatRange(0), default=0.0, help="Signed so many seconds ago.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def tell(
    running: Sandbox, number: int, times: int, shuffle: bool, forged: bool, age: float, as_json: bool
) -> None:
    """Call the webhook again with all that was told of the email NUMBER.

    What happens to an email is said by the recipient's address, up to a + or the @: delivered, bounce-hard,
    bounce-soft, late-bounce, complaint, deferred, delayed, dropped, dropped-listed, opened, clicked, unsubscribed.
    """
    body = {"times": times, "shuffle": shuffle, "forged": forged, "age": age}
    found = running.change("POST", f"/control/messages/{number}/events", body)
    if as_json:
        click.echo(json.dumps(found))
        return
    counts = Counter(found["statuses"])
    said = ", ".join(f"{count} times {status or 'no answer'}" for status, count in sorted(counts.items()))
    _console().print(f"Told {len(found['statuses'])} times: {said}.")


def _accounts(running: Sandbox) -> list[dict[str, Any]]:
    accounts: list[dict[str, Any]] = running.get("/control/accounts")["accounts"]
    return accounts


def _fault_path(running: Sandbox, provider: str) -> str:
    known = [account["name"] for account in _accounts(running)]
    if provider not in known:
        raise SandboxError(f"no provider {provider!r} in the sandbox; there are {', '.join(known)}")
    return f"/control/accounts/{provider}/fault"


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _state(fault: dict[str, Any] | None) -> Text:
    if fault is None:
        return Text("healthy", style="green")
    count = "" if fault["count"] is None else f" ×{fault['count']}"
    return Text(f"{fault['mode']}{count}", style="bold red")


def _plain(text: str) -> str:
    """Without control characters: an email must not drive the reader's terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)
