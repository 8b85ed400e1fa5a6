"""Who asks, and may they? Every route says its scope, or that it is public; one that says neither does not start."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from flask import Flask, Request, current_app, g, request

from api.deps import Dependencies
from api.errors import Problem
from api.keys import ApiKey, parse
from domain.intake import Sender

OPERATOR = "operator"
_NOBODY = "0" * 64  # compared with where no key was found, so that the answer takes as long


@dataclass(frozen=True, slots=True)
class Caller:
    """The user on whose behalf a request is made, and what the key allows."""

    user_id: UUID
    key_id: UUID
    role: str
    scopes: frozenset[str]

    @property
    def is_operator(self) -> bool:
        return self.role == OPERATOR

    @property
    def sender(self) -> Sender:
        return Sender(self.user_id, self.key_id)


def caller() -> Caller:
    """The caller of the request being answered. Only below a route that has a scope."""
    found: Caller = g.caller
    return found


def guard(app: Flask, deps: Dependencies) -> None:
    """Have every request authenticated before anything of it is read."""

    @app.before_request
    def _authenticate() -> None:
        scope = scope_of(request.endpoint)
        if scope is not None:
            g.caller = authenticate(deps, request, scope)


def scope_of(endpoint: str | None) -> str | None:
    """The scope that an endpoint asks for; None where it is public or where nothing matched."""
    view = current_app.view_functions.get(endpoint or "")
    scope: str | None = getattr(view, "scope", None)
    return scope


def authenticate(deps: Dependencies, asked: Request, scope: str) -> Caller:
    """Return the caller. Raises Problem: 401 without a valid key, 403 where the key lacks the scope."""
    key = _presented(asked)
    with deps.units() as unit:
        stored = unit.accounts.find_key(key.public_id)
    if not key.matches(stored.hash if stored else _NOBODY) or stored is None:
        raise _unauthorized("the API key is not known")
    if stored.revoked:
        raise _unauthorized("the API key was revoked")
    if stored.expired:
        raise _unauthorized("the API key has expired")
    if scope not in stored.scopes:
        raise Problem(
            403,
            f"The API key lacks the scope {scope}",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
            extra={"scope": scope},
        )
    return Caller(stored.user_id, stored.id, stored.role, stored.scopes)


def _presented(asked: Request) -> ApiKey:
    header = asked.headers.get("Authorization", "")
    scheme, _, text = header.partition(" ")
    if not header:
        raise _unauthorized("send it as Authorization: Bearer mx_live_…", error=None)
    if scheme.lower() != "bearer":
        raise _unauthorized("the Authorization header must have the scheme Bearer")
    key = parse(text.strip())
    if key is None:
        raise _unauthorized("this is no API key: its form or its checksum is wrong")
    return key


def _unauthorized(detail: str, error: str | None = "invalid_token") -> Problem:
    """RFC 6750, 3: the challenge names an error only where a key was presented."""
    challenge = 'Bearer realm="mailmux"' + (f', error="{error}"' if error else "")
    return Problem(401, f"A valid API key is needed: {detail}", headers={"WWW-Authenticate": challenge})
