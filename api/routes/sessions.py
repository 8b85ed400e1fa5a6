"""/v1/sessions: people sign in and out; /v1/password: what they sign in with."""

from __future__ import annotations

import hashlib
import secrets
from ipaddress import IPv6Address, ip_address, ip_network
from uuid import UUID

import structlog
from flask import Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api import keys
from api.auditing import commit
from api.auth import OPERATOR, caller
from api.deps import Dependencies
from api.documents import open_problems, problems
from api.errors import FieldError, Problem, invalid, not_found
from api.origin import client_address
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, public, scoped
from api.schemas.accounts import UserPath
from api.schemas.providers import PageQuery
from api.schemas.sessions import (
    PasswordChange,
    PasswordFirst,
    PasswordLink,
    SessionMade,
    SessionOut,
    SessionPage,
    SessionPath,
    SignIn,
)
from db.repositories.audit import AuditLine
from db.repositories.sessions import Person
from db.uow import SqlUnitOfWork

blueprint = APIBlueprint("sessions", __name__, url_prefix="/v1", abp_tags=[Tag(name="signing in")])
READ, WRITE, USERS = "sessions:read", "sessions:write", "users:write"
WINDOW = 15 * 60  # seconds in which tries are counted
TRIES_OF_ACCOUNT, TRIES_FROM_ADDRESS = 10, 50
LINK_SECONDS = 24 * 3600

log = structlog.get_logger(__name__)


@blueprint.post(
    "/sessions", summary="Sign in", responses={201: SessionMade, **open_problems(401, 413, 415, 422, 429)}
)
@public
def create_session(body: SignIn) -> Response:
    """A token for some hours, sent as `Authorization: Bearer mx_sess_…`. It may do all that the user may.

    What is answered does not depend on whether there is such a user. An account is asked ten times in a quarter of an
    hour, and an address may ask fifty times; then it is 429 until the time in `Retry-After`.
    """
    deps = dependencies()
    person = _proved(deps, body.email, body.password)
    made, session_id = keys.mint(keys.SESSION), deps.ids()
    with deps.units() as unit:
        if not unit.sessions.stands(person):
            raise _wrong()  # it was changed, or the user locked out, since it was proved
        row = unit.sessions.open(
            session_id,
            person.id,
            made.public_id,
            made.hash,
            keys.scopes_of(person.role),
            lifetime=deps.limits.session_seconds,
            name=_program(),
            came_from=_came_from(deps),
        )
        _note(unit, deps, person, session_id, session_id)
        unit.commit()
    shown = SessionMade(**_session(row, session_id).model_dump(), token=made.reveal(), user_id=person.id)
    return answer(shown, 201)


@blueprint.get("/sessions", summary="List sessions", responses={200: SessionPage, **problems(422)})
@scoped(READ)
def list_sessions(query: PageQuery) -> Response:
    """The caller's that have not ended, newest first."""
    before, asker = read_cursor(query.cursor), caller()
    with dependencies().units() as unit:
        rows = unit.sessions.standing(asker.user_id, before, query.limit + 1)
    return answer(page(SessionPage, rows, query.limit, lambda row: _session(row, asker.key_id)))


@blueprint.delete("/sessions/current", summary="Sign out", responses={204: None, **problems(409)})
@scoped(WRITE)
def sign_out() -> Response:
    """The session that asks ends at once. 409: it was asked with an API key."""
    asker = caller()
    with dependencies().units() as unit:
        if not unit.sessions.end(asker.user_id, asker.key_id):
            raise Problem(409, "This was asked with an API key, and no session")
        commit(unit)
    return empty()


@blueprint.delete(
    "/sessions/<uuid:session_id>", summary="End a session", responses={204: None, **problems(404)}
)
@scoped(WRITE)
def end_session(path: SessionPath) -> Response:
    """One of the caller's, at once."""
    with dependencies().units() as unit:
        if not unit.sessions.end(caller().user_id, path.session_id):
            raise not_found()
        commit(unit)
    return empty()


@blueprint.put(
    "/password", summary="Change the password", responses={204: None, **problems(413, 415, 422, 429)}
)
@scoped(WRITE)
def change_password(body: PasswordChange) -> Response:
    """All other sessions of the caller end; API keys stand."""
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        person = unit.sessions.person_of(asker.user_id)
    if person is None:
        raise not_found()
    subjects = _count(deps, person.email)
    checked = deps.passwords.check(body.current_password, person.password_hash)
    fresh = deps.passwords.hash(body.new_password) if checked.right else ""
    with deps.units() as unit:
        if not checked.right or not unit.sessions.set_password(person, fresh):
            raise invalid([FieldError("pointer", "/current_password", "wrong", "this is not the password")])
        unit.sessions.end_others(person.id, but=asker.key_id)
        _forget(unit, subjects)
        commit(unit)
    return empty()


@blueprint.post(
    "/password",
    summary="Set a password by a link",
    responses={204: None, **open_problems(413, 415, 422, 429)},
)
@public
def set_password(body: PasswordFirst) -> Response:
    """With the token that an operator asked for. It holds once; all sessions of the user end."""
    deps = dependencies()
    _count(deps, None)
    fresh = deps.passwords.hash(body.password)
    with deps.units() as unit:
        person = unit.sessions.linked(token_hash(body.token))
        if person is None or not unit.sessions.set_password(person, fresh):
            raise invalid(
                [FieldError("pointer", "/token", "bad_link", "it was used, has ended, or never was")]
            )
        unit.sessions.end_others(person.id)
        unit.sessions.forget_tries(_account(person.email))
        _note(unit, deps, person, person.id, None)
        unit.commit()
    return empty()


@blueprint.post(
    "/users/<uuid:user_id>/password-link",
    summary="Let a user set a password",
    responses={201: PasswordLink, **problems(404)},
)
@scoped(USERS)
def link_password(path: UserPath) -> Response:
    """Operators only. A token for `POST /v1/password`, for a day; a former one does not hold any more."""
    if caller().role != OPERATOR:
        raise Problem(403, "Only an operator may see and change users", type="operators-only")
    token = new_token()
    with dependencies().units() as unit:
        ends = unit.sessions.link_password(path.user_id, token_hash(token), LINK_SECONDS)
        if ends is None:
            raise not_found()
        commit(unit)
    return answer(PasswordLink(token=token, expires_at=ends), 201)


def new_token() -> str:
    """A token that sets a password: 192 bits."""
    return f"mx_pass_{secrets.token_urlsafe(24)}"


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _proved(deps: Dependencies, email: str, password: str) -> Person:
    """Whoever signs in. Raises Problem 401 alike for a wrong password and an unknown user, after the same work."""
    subjects = _count(deps, email)
    with deps.units() as unit:
        person = unit.sessions.person(email)
    checked = deps.passwords.check(password, None if person is None else person.password_hash)
    if person is None or not checked.right:
        log.warning("sign_in_refused", user=None if person is None else str(person.id))
        raise _wrong()
    with deps.units() as unit:
        _forget(unit, subjects)
        if checked.fresh is not None:
            person = unit.sessions.rehash(person, checked.fresh)
        unit.commit()
    return person


def _wrong() -> Problem:
    return Problem(
        401,
        "The address or the password is wrong",
        type="wrong-credentials",
        headers={"WWW-Authenticate": 'Bearer realm="mailmux"'},
    )


def _count(deps: Dependencies, email: str | None) -> list[bytes]:
    """Count a try for the account, whether there is one or not, and for the network address. Raises Problem 429."""
    asked = [] if email is None else [(_account(email), TRIES_OF_ACCOUNT)]
    if (network := _network(_came_from(deps))) is not None:
        asked.append((_subject("address", network), TRIES_FROM_ADDRESS))
    with deps.units() as unit:
        tries = [(unit.sessions.attempt(subject, WINDOW), most) for subject, most in asked]
        unit.commit()
    waits = [found.reset for found, most in tries if found.count > most]
    if waits:
        raise Problem(
            429,
            "There were too many tries; API keys and sessions work as before",
            type="too-many-tries",
            headers={"Retry-After": str(max(waits))},
        )
    return [subject for subject, _ in asked]


def _forget(unit: SqlUnitOfWork, subjects: list[bytes]) -> None:
    """It was right: the account's count begins anew, and the address did nothing wrong."""
    account, *addresses = subjects
    unit.sessions.forget_tries(account)
    for address in addresses:
        unit.sessions.give_back_try(address)


def _account(email: str) -> bytes:
    return _subject("account", email.strip().lower())


def _subject(kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{kind}\n{name}".encode()).digest()


def _network(address: str | None) -> str | None:
    """Who is counted as one: an IPv4 address, or a /64 of IPv6, which one machine has to itself."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found) >> 64 << 64, 64)))
    return str(found)


def _came_from(deps: Dependencies) -> str | None:
    address = client_address(request, deps.limits.trusted_proxies)
    return None if address is None else address[:45]


def _program() -> str:
    given = request.headers.get("User-Agent", "")
    return "".join(c for c in given if c.isprintable())[:100]


def _note(unit: SqlUnitOfWork, deps: Dependencies, person: Person, target: UUID, key_id: UUID | None) -> None:
    """A line in the audit log, in the same transaction: routes without a scope write none by themselves."""
    unit.audit.add(
        AuditLine(
            deps.ids(), "api", f"{request.method} {request.url_rule}", target, (),
            person.id, key_id, g.get("request_id"),
        )
    )  # fmt: skip


def _session(row: RowMapping, current: UUID) -> SessionOut:
    return SessionOut(
        id=row["id"],
        program=row["name"],
        came_from=row["came_from"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        current=row["id"] == current,
    )
