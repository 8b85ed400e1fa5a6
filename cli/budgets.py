"""`mailmux budgets`: what may be spent in a day or a month, over the API."""

from __future__ import annotations

from typing import Any

import click
from mailmux_client import Mailmux

from cli.remote import moment, over_http, show, show_list, text_of


@click.group()
def budgets() -> None:
    """Say what may be spent in a day or a month.

    \b
    mailmux budgets set 250 --provider ses-main
    mailmux budgets list

    At four fifths, and when a budget first keeps an email back, webhooks are told (`budget.alert`, `budget.stopped`).
    Then emails go by providers that it is not for; where there is none, their type says what becomes of them:

    \b
    mailmux budgets set 250 --provider ses --time-zone Europe/Berlin
    mailmux types change ID '{"at_budget": "ignore"}'    # defer, fail or ignore
    """


@budgets.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@over_http
def list_them(mailmux: Mailmux, as_json: bool, limit: int) -> None:
    """Show them and what is spent, newest first."""
    columns = (
        ("id", lambda b: b["id"]),
        ("amount", lambda b: f"{b['amount']} {b['currency']}"),
        ("period", lambda b: b["period"]),
        ("spent", lambda b: b["spent"]),
        ("left", lambda b: b["left"]),
        ("provider", lambda b: b["provider"] or "all"),
        ("whose", _whose),
        ("until", lambda b: moment(b["period_ends"])),
        ("stopped", lambda b: moment(b["stopped_at"])),
    )
    show_list(mailmux.budgets.list(), limit, as_json, columns)


@budgets.command("show")
@click.argument("id")
@over_http
def show_one(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Show one."""
    show(mailmux.budgets.get(id), as_json, _print)


@budgets.command("set")
@click.argument("amount")
@click.option("--currency", default="USD", show_default=True, help="That AMOUNT is in.")
@click.option(
    "--period",
    type=click.Choice(["day", "month"]),
    default="month",
    show_default=True,
    help="That it is for.",
)
@click.option("--provider", metavar="NAME", help="Left out: all providers together.")
@click.option(
    "--time-zone", metavar="ZONE", default="UTC", show_default=True, help="Where days and months begin."
)
@click.option(
    "--user", "user_id", metavar="ID", help="For a user, who cannot change it; operators may. Left out: you."
)
@click.option("--shared", is_flag=True, help="For all users together; operators may.")
@over_http
def set_one(mailmux: Mailmux, as_json: bool, amount: str, **said: Any) -> None:
    """Set a budget of AMOUNT, as 25.50. What was spent in this day or month before counts."""
    given = {name: value for name, value in said.items() if value is not None}
    show(mailmux.budgets.create(amount=amount, **given), as_json, _print)


@budgets.command()
@click.argument("id")
@click.argument("amount")
@over_http
def change(mailmux: Mailmux, as_json: bool, id: str, amount: str) -> None:
    """Give a budget another AMOUNT. Where that is more, what waits is looked at again."""
    show(mailmux.budgets.change(id, amount=amount), as_json, _print)


@budgets.command()
@click.argument("id")
@over_http
def delete(mailmux: Mailmux, as_json: bool, id: str) -> None:
    """Delete one. What waits for it is looked at again."""
    mailmux.budgets.delete(id)
    show({"id": id, "deleted": True}, as_json, lambda _: click.echo(f"{id} is deleted"))


def _whose(budget: dict[str, Any]) -> str:
    if budget["shared"]:
        return "everybody's"
    return f"{budget['user_id']}, by an operator" if budget["imposed"] else "its user's"


def _print(budget: dict[str, Any]) -> None:
    at = budget["provider"] or "all providers"
    click.echo(f"{budget['amount']} {budget['currency']} a {budget['period']}, {at}, {_whose(budget)}")
    click.echo(
        f"spent {budget['spent']}, left {budget['left']}, until {moment(budget['period_ends'])} UTC"
        f" ({budget['time_zone']})"
    )
    told = [(name, budget[f"{name}_at"]) for name in ("alerted", "stopped") if budget[f"{name}_at"]]
    for name, at_time in told:
        click.echo(f"{name} {moment(at_time)}")
    click.echo(f"id {text_of(budget['id'])}")
