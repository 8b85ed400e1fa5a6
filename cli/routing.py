"""`mailmux routing`: a decision now, and past traffic under other conditions, over the API."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
from mailmux_client import Mailmux
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.remote import fields, over_http, pairs, show, show_list, text_of

POLICIES: Final = ("cheapest", "balanced", "most_reliable")
MOST: Final = 20_000  # emails of a log that one request carries
_TRUE: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": None}
_FIGURES: Final = (
    ("cost per 1,000", "cost_per_1000", "{:.4f}"),
    ("cost, all of it", "cost", "{:.2f}"),
    ("delivered %", "delivered", "{:.2%}"),
    ("in doubt %", "held", "{:.3%}"),
    ("seconds, mean", "seconds", "{:.3f}"),
    ("seconds, p95", "seconds_p95", "{:.3f}"),
)


@click.group()
def routing() -> None:
    """See who would carry an email now, and what other choices of providers would have come to.

    \b
    mailmux routing preview --from shop@example.com --to ada@gmail.com
    mailmux routing replay --days 7 --policy cheapest
    """


@routing.command()
@click.option("--from", "sender", required=True, metavar="ADDRESS", help="Who would send it.")
@click.option("--to", multiple=True, required=True, metavar="ADDRESS", help="Who would receive it.")
@click.option(
    "--type", "email_type", default="transactional", show_default=True, help="A declared email type."
)
@click.option("--provider", "pinned", multiple=True, help="Only these providers may carry it.")
@over_http
def preview(
    mailmux: Mailmux,
    as_json: bool,
    sender: str,
    to: tuple[str, ...],
    email_type: str,
    pinned: tuple[str, ...],
) -> None:
    """Say who would carry an email now, who else could, and why the others not. Nothing is sent."""
    email: dict[str, Any] = {
        "from": sender, "to": list(to), "email_type": email_type, "subject": "preview", "text": "preview",
    }  # fmt: skip
    if pinned:
        email["routing"] = {"pinned": list(pinned)}
    show(mailmux.preview_routing(email)["decision"], as_json, _print_decision)


def _print_decision(decision: Mapping[str, Any]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(escape(decision["explanation"]))
    columns = [name for name in ("provider", "index", "price", "delivered", "accepted", "state", "cost")
               if any(name in one for one in decision["candidates"])]  # fmt: skip
    show_list(decision["candidates"], len(decision["candidates"]), False, fields(*columns))
    if decision["excluded"]:
        out = decision["excluded"]
        show_list(out, len(out), False, fields("provider", "because", "detail", "until"))


@routing.command()
@click.option("--since", metavar="TIME", help="Emails accepted from here on: 2030-01-31T00:00:00Z.")
@click.option("--until", metavar="TIME", help="And before this.")
@click.option("--days", type=click.IntRange(1, 92), help="Instead: the last so many days.")
@click.option("--type", "email_types", multiple=True, help="Only emails of this type. May be repeated.")
@click.option(
    "--log", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of a period: what another service has sent, .csv or .jsonl.",
)  # fmt: skip
@click.option(
    "--known-as",
    multiple=True,
    metavar="THEIRS=OURS",
    help="A provider of the log that we have too. May be repeated.",
)
@click.option(
    "--policy", "policies", multiple=True, metavar="[TYPE=]POLICY",
    help=f"For all types, or for one: {', '.join(POLICIES)}. May be repeated.",
)  # fmt: skip
@click.option(
    "--provider", "providers", multiple=True, help="Only these may carry anything. May be repeated."
)
@click.option(
    "--prices", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON: [{"provider": "ses", "tiers": [{"per_recipient": "0.0001"}]}]',
)  # fmt: skip
@click.option(
    "--price", "flat", multiple=True, metavar="PROVIDER=AMOUNT", help="Per recipient. May be repeated."
)
@click.option("--without-rules", is_flag=True, help="As if there were no routing rules.")
@click.option(
    "--limit",
    type=click.IntRange(100, MOST),
    default=10_000,
    show_default=True,
    help="Of more emails a sample is replayed.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Of chance: equals give equal answers.",
)
@over_http
def replay(mailmux: Mailmux, as_json: bool, **given: Any) -> None:
    """Replay past traffic under another policy, other prices or with other providers; nothing is sent.

    A log has the columns (or, as JSON lines, the names) at, domain or to, and perhaps email_type, provider, outcome
    (accepted, not_sent, unknown), delivered (true, false, or nothing: not told), seconds, cost and recipients. Of an
    address in "to" only the domain leaves this machine.

    \b
    mailmux routing replay --days 7 --policy cheapest --policy login-code=most_reliable
    mailmux routing replay --days 30 --price ses=0.00009 --provider ses --provider postmark
    mailmux routing replay --log sent.csv --known-as sendgrid-main=sendgrid
    """
    asked = _asked(given)
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, disable=as_json,
    ) as progress:  # fmt: skip
        task = progress.add_task("replaying", total=None)
        found = mailmux.replay_routing(
            progress=lambda done, of: progress.update(task, completed=done, total=of), **asked
        )
    show(found, as_json, _print)


def _asked(given: Mapping[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "limit": given["limit"],
        "seed": given["seed"],
        "rules": not given["without_rules"],
    }
    ways = [given["log"] is not None, given["days"] is not None, bool(given["since"] or given["until"])]
    if sum(ways) != 1:
        raise click.UsageError("say which traffic: --days, or --since and --until, or --log")
    if given["log"] is not None:
        entries, asked["sample_of"] = _read_log(given["log"])
        asked |= {"log": entries, "known_as": pairs(given["known_as"], "--known-as")}
    elif given["known_as"]:
        raise click.UsageError("--known-as is of a --log")
    elif given["days"] is not None:
        now = datetime.now(UTC)
        asked |= {"since": (now - timedelta(days=given["days"])).isoformat(), "until": now.isoformat()}
    else:
        asked |= {"since": given["since"], "until": given["until"]}
    if given["email_types"]:
        asked["email_types"] = list(given["email_types"])
    if given["providers"]:
        asked["providers"] = list(given["providers"])
    asked |= _policies(given["policies"])
    prices = [] if given["prices"] is None else _json_list(given["prices"])
    for provider, amount in pairs(given["flat"], "--price").items():
        prices.append({"provider": provider, "tiers": [{"per_recipient": amount}]})
    if prices:
        asked["prices"] = prices
    return asked


def _policies(given: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in given:
        email_type, _, policy = one.rpartition("=")
        if policy not in POLICIES:
            raise click.BadParameter(f"{policy!r} is none of {', '.join(POLICIES)}", param_hint="--policy")
        if email_type:
            found.setdefault("policies", {})[email_type] = policy
        else:
            found["policy"] = policy
    return found


def _json_list(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise click.BadParameter(f"{path}: no JSON: {error}", param_hint="--prices") from error
    if not isinstance(found, list):
        raise click.BadParameter(f"{path}: a JSON list is wanted", param_hint="--prices")
    return found


def _read_log(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The log's emails, or an even sample where they are too many, and how many there are. Reads it twice, and keeps
    no more than are sent.
    """
    count = sum(1 for _ in _rows(path))
    if not count:
        raise click.BadParameter(f"{path}: nothing in it", param_hint="--log")
    step = max(1.0, count / MOST)
    entries = [
        _entry(n, row) for n, row in enumerate(_rows(path)) if int(n / step) > int((n - 1) / step) or n == 0
    ]
    return entries[:MOST], count


def _rows(path: Path) -> Iterator[dict[Any, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        if path.suffix.lower() == ".csv":
            yield from csv.DictReader(lines)
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise click.BadParameter(f"{path}, line {number}: no JSON", param_hint="--log") from error
                if not isinstance(row, dict):
                    raise click.BadParameter(f"{path}, line {number}: no JSON object", param_hint="--log")
                yield row


def _entry(number: int, row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as the API wants it; empty fields, and columns without a name, are left out."""
    found = {name: value for name, value in row.items() if name is not None and value not in ("", None)}
    to = found.pop("to", None)
    if to is not None:
        found.setdefault("domain", str(to).rpartition("@")[2].strip(" >"))
    try:
        for name, read in (("seconds", float), ("recipients", int)):
            if name in found:
                found[name] = read(found[name])
        if isinstance(found.get("delivered"), str):
            found["delivered"] = _TRUE[found["delivered"].strip().lower()]
    except (ValueError, KeyError) as error:
        raise click.BadParameter(f"row {number + 1}: {error} cannot be read", param_hint="--log") from error
    if "cost" in found:
        found["cost"] = str(found["cost"])
    return found


def _print(found: Mapping[str, Any]) -> None:
    console, traffic = Console(), found["traffic"]
    sample = f", of which an even sample of {traffic['replayed']}" if traffic["sampled"] else ""
    console.print(
        f"{traffic['found']} emails{sample}, {traffic['since']} to {traffic['until']}", highlight=False
    )
    table = Table("", "happened", "would have", "between (90%)", "emails", box=None)
    for title, name, form in _FIGURES:
        one = found[name]
        would = one["would"]
        table.add_row(
            title,
            "–" if one["happened"] is None else form.format(one["happened"]),
            "not known" if would is None else form.format(would["mean"]),
            "" if would is None else f"{form.format(would['low'])} – {form.format(would['high'])}",
            str(one["emails"]),
        )
    console.print(table)
    for said in dict.fromkeys(found[name]["unknown"] for _, name, _ in _FIGURES if found[name]["unknown"]):
        console.print(f"Not known: {escape(said)}", highlight=False)
    if found["not_carried"]:
        console.print(f"{found['not_carried']} could not have been carried by anybody.", highlight=False)
    shares = Table("provider", "carried", "cost", "would carry", "would cost", box=None)
    for one in found["providers"]:
        shares.add_row(
            escape(one["provider"]),
            str(one["emails"]),
            one["cost"],
            text_of(one["would_emails"]),
            one["would_cost"],
        )
    console.print(shares)
