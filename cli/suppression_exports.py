"""The files in which other services give out whom they list, read in our terms."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from providers.lists import MEANINGS, listed, postmark_reason

PROVIDERS: Final = tuple(sorted(MEANINGS))
LISTS: Final = tuple(sorted({*MEANINGS["sendgrid"], *MEANINGS["mailgun"]}))

# What the columns are called; compared in lower case and without blanks, - and _.
_ADDRESS: Final = ("email", "emailaddress", "address", "recipient")
_REASON: Final = ("suppressionreason", "reason", "type")
_ORIGIN: Final = ("origin", "source")
_SINCE: Final = ("created", "createdat", "lastupdatetime", "suppressedat", "date")
# A column that only one list has.
_TELLING: Final[Mapping[str, Mapping[str, str]]] = {
    "sendgrid": {"ip": "spam_reports", "groupid": "group_unsubscribes", "groupname": "group_unsubscribes"},
    "mailgun": {"code": "bounces", "error": "bounces", "tags": "unsubscribes"},
}


def read_export(file: Path, provider: str, which: str | None) -> Iterator[dict[str, str]]:
    """Entries as POST /v1/suppressions takes them. `which`: the list, where the provider has a file for each.

    Raises ClickException where this is no such file.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as source:
            reader = csv.reader(source, strict=True)
            first = next(reader, None)
            if first is None:
                return
            names = [re.sub(r"[\s_-]", "", name).lower() for name in first]
            if provider == "ses" and len(first) == 2 and "@" in first[0]:  # an import job's file has no heads
                yield _entry(file, 1, provider, first[1].strip().upper(), first[0], None)
                names = ["email", "reason"]
            if not (address := _column(names, _ADDRESS)):
                raise click.ClickException(f"{file}: no column is called email, address or recipient")
            name = _list_of(file, provider, names, which)
            for row in reader:
                found = dict(zip(names, (cell.strip() for cell in row), strict=False))
                said = name or _reason(provider, found, names)
                yield _entry(
                    file, reader.line_num, provider, said, found.get(address, ""), _cell(found, names, _SINCE)
                )
    except (csv.Error, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: no CSV in UTF-8: {error}") from error


def _list_of(file: Path, provider: str, names: Sequence[str], which: str | None) -> str | None:
    """The list that the whole file is; None: each row says what it is."""
    if provider in ("postmark", "ses"):
        if which is not None:
            raise click.BadParameter(f"a file of {provider} says in each row what it is", param_hint="--list")
        return None
    known = MEANINGS[provider]
    if which is not None and which not in known:
        raise click.BadParameter(f"{provider} has: {', '.join(known)}", param_hint="--list")
    told = which or next((of for column, of in _TELLING[provider].items() if column in names), None)
    if told is None:
        raise click.ClickException(
            f"{file} does not say which list it is: give --list, of {', '.join(known)}"
        )
    return told


def _reason(provider: str, found: Mapping[str, str], names: Sequence[str]) -> str:
    reason = _cell(found, names, _REASON) or ""
    if provider == "ses":
        return reason.upper()
    return postmark_reason(re.sub(r"[\s_-]", "", reason), _cell(found, names, _ORIGIN) or "")


def _column(names: Sequence[str], called: Sequence[str]) -> str | None:
    return next((name for name in called if name in names), None)


def _cell(found: Mapping[str, str], names: Sequence[str], called: Sequence[str]) -> str | None:
    name = _column(names, called)
    return found.get(name) or None if name else None


def _entry(
    file: Path, line: int, provider: str, name: str, address: str, since: str | None
) -> dict[str, str]:
    one = listed(provider, name, address, since)
    if one is None:
        known = ", ".join(n for n in MEANINGS[provider] if " by " not in n)
        what = f"no address: {address!r}" if name in MEANINGS[provider] else f"{name!r} is none of {known}"
        raise click.ClickException(f"{file}, line {line}: {what}")
    return {"address": one.address, "scope": one.scope, "cause": one.cause.value, "detail": one.detail}
