"""/v1/keys: the caller's API keys; /v1/users: who may use the service, for operators."""

from __future__ import annotations

from datetime import datetime

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api import keys
from api.auditing import commit
from api.auth import Caller, caller, unauthorized
from api.documents import problems
from api.errors import FieldError, Problem, invalid, not_found
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, scoped
from api.schemas.accounts import (
    KeyCreate,
    KeyMade,
    KeyOut,
    KeyPage,
    KeyPath,
    KeyRotate,
    UserChange,
    UserCreate,
    UserMade,
    UserOut,
    UserPage,
    UserPath,
)
from api.schemas.providers import PageQuery
from api.testing import test_account_of
from db.repositories.accounts import LastOperator, UserKnown, limits_of
from db.uow import SqlUnitOfWork

blueprint = APIBlueprint("accounts", __name__, url_prefix="/v1", abp_tags=[Tag(name="keys and users")])
KEYS_READ, KEYS_WRITE, USERS = "keys:read", "keys:write", "users:write"
_KEY, _USER = "/keys/<uuid:key_id>", "/users/<uuid:user_id>"


@blueprint.post("/keys", summary="Make an API key", responses={201: KeyMade, **problems(413, 415, 422)})
@scoped(KEYS_WRITE)
def create_key(body: KeyCreate) -> Response:
    """It is shown once: only its hash is kept. It may do no more than the key that makes it."""
    deps, asker = dependencies(), caller()
    limits = body.limits().under(asker.limits)
    errors = [
        FieldError("pointer", f"/{name}", "beyond", "your key is limited to less itself")
        for name in limits.beyond(asker.limits)
    ]
    if beyond := sorted(set(body.scopes) - asker.scopes):
        errors.append(
            FieldError("pointer", "/scopes", "beyond", f"your key lacks {', '.join(beyond)} itself")
        )
    test = asker.is_test if body.test is None else body.test
    if asker.is_test and not test:
        errors.append(FieldError("pointer", "/test", "beyond", "a test key makes test keys only"))
    if live_only := sorted(set(body.scopes) - set(keys.TEST_SCOPES)) if test else []:
        errors.append(
            FieldError("pointer", "/scopes", "live_only", f"no test key has {', '.join(live_only)}")
        )
    ends_at = body.expires_at or asker.ends_at
    errors += _outliving(asker, ends_at)
    if errors:
        raise invalid(errors)
    made, key_id = keys.mint(keys.TEST if test else keys.KEY), deps.ids()
    scopes = [scope for scope in keys.SCOPES if scope in body.scopes]
    with deps.units() as unit:
        _demand_standing(unit, asker)
        _demand_ahead(unit, ends_at)
        owner = asker.user_id
        if test and not asker.is_test:
            owner = test_account_of(unit.accounts, asker.user_id, deps.sealer, deps.ids)
        unit.accounts.add_key(key_id, owner, made.public_id, made.hash, scopes, name=body.name, limits=limits)
        unit.accounts.end_key(key_id, ends_at)
        row = unit.accounts.own_key(asker.user_id, key_id)
        commit(unit, key_id)
    return answer(_made(row, made), 201, {"Location": f"/v1/keys/{key_id}"})


@blueprint.get("/keys", summary="List API keys", responses={200: KeyPage, **problems(422)})
@scoped(KEYS_READ)
def list_keys(query: PageQuery) -> Response:
    """The caller's, test keys among them, newest first, those that have ended included. A test key sees test keys."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.accounts.own_keys(caller().user_id, before, query.limit + 1)
    return answer(page(KeyPage, rows, query.limit, _key))


@blueprint.get(_KEY, summary="Look up an API key", responses={200: KeyOut, **problems(404)})
@scoped(KEYS_READ)
def get_key(path: KeyPath) -> Response:
    """What it may do, and until when."""
    with dependencies().units() as unit:
        row = unit.accounts.own_key(caller().user_id, path.key_id)
    return answer(_key(row))


@blueprint.delete(_KEY, summary="Revoke an API key", responses={204: None, **problems(404)})
@scoped(KEYS_WRITE)
def revoke_key(path: KeyPath) -> Response:
    """At once: an email that is posted with it is not accepted any more."""
    with dependencies().units() as unit:
        row = unit.accounts.own_key(caller().user_id, path.key_id)
        if row is None:
            raise not_found()
        unit.accounts.revoke_key(row["public_id"])
        commit(unit)
    return empty()


@blueprint.post(
    f"{_KEY}/rotate",
    summary="Rotate an API key",
    responses={201: KeyMade, **problems(404, 409, 413, 415, 422)},
)
@scoped(KEYS_WRITE)
def rotate_key(path: KeyPath, body: KeyRotate) -> Response:
    """A new key with the same name, scopes and limits; the former one stands for a while beside it."""
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        _demand_standing(unit, asker)
        row = unit.accounts.own_key(asker.user_id, path.key_id, lock=True)
        if row is None:
            raise not_found()
        made, key_id = keys.mint(keys.TEST if row["test"] else keys.KEY), deps.ids()
        if row["revoked_at"] is not None or row["ended"]:
            raise Problem(409, "The key has ended: make a new one")
        limits = limits_of(row)
        if not set(row["scopes"]) <= asker.scopes or any(limits.beyond(asker.limits)):
            raise Problem(403, "The key may do more than yours")
        if row["expires_at"] is not None and "expires_at" not in body.model_fields_set:
            detail = "the former key has an end: say when the new one ends, or null for never"
            raise invalid([FieldError("pointer", "/expires_at", "missing", detail)])
        if errors := _outliving(asker, body.expires_at):
            raise invalid(errors)
        _demand_ahead(unit, body.expires_at)
        unit.accounts.add_key(
            key_id,
            row["user_id"],
            made.public_id,
            made.hash,
            row["scopes"],
            name=row["name"],
            limits=limits,
        )
        unit.accounts.end_key(key_id, body.expires_at)
        if body.overlap_hours:
            unit.accounts.end_key_in(path.key_id, body.overlap_hours)
        else:
            unit.accounts.revoke_key(row["public_id"])
        fresh = unit.accounts.own_key(asker.user_id, key_id)
        commit(unit)
    return answer(_made(fresh, made), 201, {"Location": f"/v1/keys/{key_id}"})


@blueprint.post("/users", summary="Add a user", responses={201: UserMade, **problems(409, 413, 415, 422)})
@scoped(USERS)
def create_user(body: UserCreate) -> Response:
    """Operators only. Comes with a first key, which is limited as the one that asks."""
    _operators_only(caller())
    deps = dependencies()
    user_id, made = deps.ids(), keys.mint()
    nobody_knows = deps.passwords.nobodys()
    with deps.units() as unit:
        try:
            unit.accounts.add_user(user_id, body.email, nobody_knows, body.role)
        except UserKnown as known:
            raise Problem(409, "There is a user with this address") from known
        scopes = keys.scopes_of(body.role)
        unit.accounts.add_key(
            key_id := deps.ids(),
            user_id,
            made.public_id,
            made.hash,
            scopes,
            name="first key",
            limits=caller().limits,
        )
        unit.accounts.end_key(key_id, caller().ends_at)
        row = unit.accounts.user(user_id)
        commit(unit, user_id)
    return answer(
        UserMade(**_user(row).model_dump(), key=made.reveal()), 201, {"Location": f"/v1/users/{user_id}"}
    )


@blueprint.get("/users", summary="List users", responses={200: UserPage, **problems(422)})
@scoped(USERS)
def list_users(query: PageQuery) -> Response:
    """Operators only. Newest first."""
    _operators_only(caller())
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.accounts.users(before, query.limit + 1)
    return answer(page(UserPage, rows, query.limit, _user))


@blueprint.get(_USER, summary="Look up a user", responses={200: UserOut, **problems(404)})
@scoped(USERS)
def get_user(path: UserPath) -> Response:
    """Operators only."""
    _operators_only(caller())
    with dependencies().units() as unit:
        row = unit.accounts.user(path.user_id)
    return answer(_user(row))


@blueprint.patch(
    _USER, summary="Change a user", responses={200: UserOut, **problems(404, 409, 413, 415, 422)}
)
@scoped(USERS)
def change_user(path: UserPath, body: UserChange) -> Response:
    """Operators only. 409: somebody has to stay operator."""
    _operators_only(caller())
    with dependencies().units() as unit:
        if unit.accounts.user(path.user_id) is None:
            raise not_found()
        try:
            unit.accounts.set_role(path.user_id, body.role)
        except LastOperator as last:
            raise Problem(409, "This is the last operator") from last
        row = unit.accounts.user(path.user_id)
        commit(unit)
    return answer(_user(row))


@blueprint.post(f"{_USER}/lock-out", summary="Lock a user out", responses={204: None, **problems(404, 409)})
@scoped(USERS)
def lock_out(path: UserPath) -> Response:
    """Operators only. At once all the user's keys, test keys and sessions end, and the password opens nothing. What was
    accepted from them is still sent: `POST /v1/halts` keeps it back. A password link lets them in again.

    409: nobody locks themselves out, so that an operator is left.
    """
    asker, deps = caller(), dependencies()
    _operators_only(asker)
    if path.user_id == asker.user_id:
        raise Problem(409, "Nobody locks themselves out: ask another operator")
    nobody_knows = deps.passwords.nobodys()
    with deps.units() as unit:
        if not unit.accounts.lock_out(path.user_id, nobody_knows):
            raise not_found()
        commit(unit)
    return empty()


def _outliving(asker: Caller, ends_at: datetime | None) -> list[FieldError]:
    """What is wrong with the end of a key that the caller makes."""
    if asker.ends_at is None or (ends_at is not None and ends_at <= asker.ends_at):
        return []
    return [FieldError("pointer", "/expires_at", "beyond", "your key ends before that itself")]


def _demand_standing(unit: SqlUnitOfWork, asker: Caller) -> None:
    """Raise Problem 401 where the asker's key ended, or its user was locked out, since the request began."""
    if not unit.accounts.stands(asker.library, asker.key_id):
        raise unauthorized("the API key was revoked, or has ended")


def _demand_ahead(unit: SqlUnitOfWork, ends_at: datetime | None) -> None:
    if ends_at is not None and not unit.accounts.is_ahead(ends_at):
        raise invalid([FieldError("pointer", "/expires_at", "in_the_past", "expires_at lies in the past")])


def _operators_only(asker: Caller) -> None:
    if not asker.is_operator:
        raise Problem(403, "Only an operator may see and change users", type="operators-only")


def _key(row: RowMapping | None) -> KeyOut:
    if row is None:
        raise not_found()
    return KeyOut(**{name: row[name] for name in KeyOut.model_fields})


def _made(row: RowMapping | None, made: keys.ApiKey) -> KeyMade:
    return KeyMade(**_key(row).model_dump(), key=made.reveal())


def _user(row: RowMapping | None) -> UserOut:
    if row is None:
        raise not_found()
    return UserOut(**{name: row[name] for name in UserOut.model_fields})
