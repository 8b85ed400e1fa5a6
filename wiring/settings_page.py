"""Writes docs/reference/settings.md from the settings themselves: `python -m wiring.settings_page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from wiring.settings import Delivery, ProviderTimeouts, StartSettings, Upkeep, variables

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"

_HEAD: Final = """\
# Settings

Everything is set by environment variables, read once when a process starts. All are checked together, and one message
names every variable that is wrong.

- Each variable can also be given as a file, for secrets that should not stand in the environment: `DATABASE_URL_FILE`
  names a file that holds the value of `DATABASE_URL`. Giving both is an error.
- A variable that is set but empty counts as not set.
- `mailmux up` (which `./run` calls) needs none of them. What it runs by itself, it tells its children and other
  commands through files in the data directory, so `mailmux keys` and its like need no variable either.

This page is written by `python -m wiring.settings_page` from `wiring/settings/`, and a test compares the two.
"""


def render() -> str:
    groups: dict[str, type[BaseModel]] = {
        "Services and the API": StartSettings,
        "Delivery": Delivery,
        "Providers": ProviderTimeouts,
        "Upkeep": Upkeep,
    }
    inner = {*variables(Delivery), *variables(ProviderTimeouts), *variables(Upkeep)}
    parts = [_HEAD]
    for title, model in groups.items():
        parts.append(f"\n## {title}\n\n")
        if model is not StartSettings:
            parts.append(f"{(model.__doc__ or '').strip()}\n\n")
        parts.append("| Variable | Default | Meaning |\n|---|---|---|\n")
        parts += [
            f"| `{name}` | {_shown(default)} | {meaning} |\n"
            for name, (_, default, meaning) in variables(model).items()
            if model is not StartSettings or name not in inner
        ]
    return "".join(parts)


def _shown(default: Any) -> str:
    if default is None or default == ():
        return "–"
    number = isinstance(default, float) and default.is_integer()
    return f"`{int(default) if number else default}`"


if __name__ == "__main__":
    PAGE.write_text(render())
