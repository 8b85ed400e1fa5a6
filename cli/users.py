"""`mailmux users`: adds people, and sets the passwords that they sign in with. Works on the database itself."""

from __future__ import annotations

import click
from pydantic import ValidationError

from api.passwords import LONGEST, Passwords, weakness
from api.routes.sessions import LINK_SECONDS, new_token, token_hash
from api.schemas.accounts import UserCreate
from cli.database import note, open_unit
from cli.remote import as_json_option
from cli.tables import print_table
from db.repositories.accounts import LastOperator, UserKnown
from db.repositories.sessions import Person
from db.uow import SqlUnitOfWork
from wiring.bootstrap import new_id

_ROLE = click.Choice(["member", "operator"])


@click.group()
def users() -> None:
    """Add people, and let them set their passwords.

    \b
    mailmux users add ada@example.com --role operator
    mailmux users password-link ada@example.com
    mailmux users lock-out ada@example.com

    Programs use API keys (mailmux keys create --user EMAIL). People sign in with an address and a password:
    POST /v1/sessions gives a token for some hours.
    """


@users.command("list")
@as_json_option
def list_users(as_json: bool) -> None:
    """Show everybody who may use the service."""
    with open_unit() as unit:
        found = unit.accounts.users(None, 10_000)
    print_table(
        ("email", "role", "since", "id"),
        ((row["email"], row["role"], f"{row['created_at']:%Y-%m-%d %H:%M}", str(row["id"])) for row in found),
        as_json,
    )


@users.command()
@click.argument("email")
@click.option(
    "--role", type=_ROLE, default="member", show_default=True, help="Operators see to what is shared."
)
def add(email: str, role: str) -> None:
    """Add somebody. EMAIL is what they sign in with; the token that is printed sets their first password."""
    try:
        email = UserCreate.model_validate({"email": email}).email
    except ValidationError as wrong:
        raise click.BadParameter(wrong.errors()[0]["msg"], param_hint="EMAIL") from wrong
    user_id, nobodys = new_id(), Passwords().nobodys()
    with open_unit() as unit:
        try:
            unit.accounts.add_user(user_id, email, nobodys, role)
        except UserKnown as known:
            raise click.ClickException(f"There is a user {email} already.") from known
        token = _link(unit, unit.sessions.person(email))
        note(unit, "users add", user_id)
        unit.commit()
    _tell(email, token)


@users.command()
@click.argument("email")
@click.argument("role", type=_ROLE)
def role(email: str, role: str) -> None:
    """Make somebody a member, or an operator."""
    with open_unit() as unit:
        person = _person(unit, email)
        try:
            unit.accounts.set_role(person.id, role)
        except LastOperator as last:
            raise click.ClickException(f"{email} is the last operator.") from last
        note(unit, f"users role {role}", person.id)
        unit.commit()
    click.echo(f"{email} is {role}.")


@users.command()
@click.argument("email")
@click.option(
    "--password",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    envvar="MAILMUX_NEW_PASSWORD",
    help="Asked for where it is left out, which keeps it from the shell's history.",
)
def password(email: str, password: str) -> None:
    """Set somebody's password, here and now. All their sessions end; API keys stand."""
    problem = weakness(password, email)
    if problem is not None or len(password) > LONGEST:
        raise click.ClickException(problem or f"a password has at most {LONGEST} characters")
    fresh = Passwords().hash(password)
    with open_unit() as unit:
        person = _person(unit, email)
        if not unit.sessions.set_password(person, fresh):
            raise click.ClickException("Somebody else changed it just now.")
        unit.sessions.end_others(person.id)
        note(unit, "users password", person.id)
        unit.commit()
    click.echo(f"{email} has a new password, and signs in anew.")


@users.command("password-link")
@click.argument("email")
def password_link(email: str) -> None:
    """Print a token by which somebody sets their own password, once, within a day."""
    with open_unit() as unit:
        person = _person(unit, email)
        token = _link(unit, person)
        note(unit, "users password-link", person.id)
        unit.commit()
    _tell(email, token)


@users.command("lock-out")
@click.argument("email")
def lock_out(email: str) -> None:
    """End all of somebody's keys, test keys and sessions at once, and their password with them.

    What was accepted from them is still sent; mailmux halts keeps it back. `mailmux users password-link` lets them in
    again.
    """
    nobodys = Passwords().nobodys()
    with open_unit() as unit:
        person = _person(unit, email)
        unit.accounts.lock_out(person.id, nobodys)
        note(unit, "users lock-out", person.id)
        unit.commit()
    click.echo(f"{email} is locked out.")


def _person(unit: SqlUnitOfWork, email: str) -> Person:
    person = unit.sessions.person(email)
    if person is None:
        raise click.ClickException(f"There is no user {email}.")
    return person


def _link(unit: SqlUnitOfWork, person: Person | None) -> str:
    assert person is not None
    token = new_token()
    unit.sessions.link_password(person.id, token_hash(token), LINK_SECONDS)
    return token


def _tell(email: str, token: str) -> None:
    click.echo(token)
    click.echo(f"{email} sets a password with it, once, within a day: POST /v1/password", err=True)
    click.echo("""  {"token": "mx_pass_…", "password": "…"}""", err=True)
