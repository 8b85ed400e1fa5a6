"""What a started service says of itself: to people, and as a file to programs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Ready:
    """A service that runs. `api_key` and the passwords are known at the first start only."""

    api_url: str
    data_dir: str
    pids: Mapping[str, int]
    seconds: float
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    sandbox_url: str | None = None
    flower_url: str | None = None
    flower_user: str | None = None
    flower_password: str | None = field(default=None, repr=False)
    email: str | None = None
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)

    def to_json(self) -> str:
        """All of it; secrets too."""
        return json.dumps(asdict(self), indent=2) + "\n"


def greet(console: Console, ready: Ready) -> None:
    """Print where everything is, and a line to paste that sends a first email."""
    mailmux = shlex.quote(_command())

    def say(text: str = "", style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    say()
    say(f"Mailmux is ready after {ready.seconds:.1f} s.", "bold green")
    say()
    say(f"  API            {ready.api_url}")
    say(f"  Documentation  {ready.api_url}/docs")
    if ready.sandbox_url:
        say(f"  Sandbox inbox  {ready.sandbox_url}")
    if ready.flower_url:
        say(f"  Flower         {ready.flower_url}  (workers and tasks, for operators; there in a moment)")
    say(f"  Data and logs  {ready.data_dir}")
    say()
    if ready.api_key:
        say("The first user and its API key. They are shown once: keep them.", "bold")
        say(f"  user      {ready.email}")
        say(f"  password  {ready.password}")
        say(f"  key       {ready.api_key}")
        if ready.flower_password:
            say(f"  Flower    {ready.flower_user}  {ready.flower_password}")
    else:
        say(f"The API key was shown at the first start. A new one: {mailmux} keys create")
        if ready.flower_url:
            say(
                f"Flower's user is {ready.flower_user}; its password stands in {ready.data_dir}/flower-password"
            )
        say("Set MAILMUX_KEY to yours for this line:")
    say()
    say("Send an email:", "bold")
    say(_curl(ready.api_url, ready.api_key or "$MAILMUX_KEY"))
    if ready.sandbox_url:
        say()
        say("Let a provider fail, and send again:", "bold")
        say(f"{mailmux} sandbox fail sandbox-sendgrid --mode unavailable")
    say()
    say("Ctrl-C stops everything; the data stay.")
    say()


def _curl(api_url: str, key: str) -> str:
    email = {
        "from": "shop@example.com",
        "to": ["you@example.org"],
        "subject": "Hello",
        "text": "It works.",
    }
    return (
        f'curl -s {api_url}/v1/emails -H "Authorization: Bearer {key}" '
        f"-H 'Content-Type: application/json' -d '{json.dumps(email)}'"
    )


def _command() -> str:
    """How to call `mailmux` from where the user stands."""
    command = Path(sys.argv[0]).absolute()
    if command.name != "mailmux":
        command = Path(sys.executable).with_name("mailmux")
    at_home = Path.cwd() == command.parent.parent.parent
    return str(command.relative_to(Path.cwd()) if at_home else command)
