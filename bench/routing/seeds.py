"""Seeds as they are written: `1001-1005`, `7`, `1,2,10-12`."""

from __future__ import annotations

import click

MOST = 10_000


class Seeds(click.ParamType):  # type: ignore[type-arg]
    name = "seeds"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        found: list[int] = []
        for part in str(value).split(","):
            first, dash, last = part.strip().partition("-")
            if not first.isdigit() or (dash and not last.isdigit()):
                self.fail(f"{part.strip()!r} is neither a number nor a range such as 1001-1005", param, ctx)
            ends = int(first), int(last if dash else first)
            if ends[1] < ends[0] or ends[1] - ends[0] >= MOST:
                self.fail(f"{part.strip()!r} is not a range of up to {MOST:,} seeds", param, ctx)
            found += range(ends[0], ends[1] + 1)
        return tuple(dict.fromkeys(found))
