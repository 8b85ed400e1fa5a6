"""Who asks, and may they? Every route says its scope, or that it is public; one that says neither does not start."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import Flask, Request, Response, current_app, g, request

from api.deps import Dependencies
from api.errors import Problem
from api.keys import SESSION, ApiKey, parse
from api.origin import client_address
from db.repositories.accounts import StoredKey
from db.throttle import Turn
from domain.intake import Sender
from domain.value import value

OPERATOR = "operator"
SEND = "emails:send"
_KNOWN_SECONDS = 5.0
_MOST_KNOWN = 10_000
_NOBODY = "0" * 64  # compared with where no key was found, so that the answer takes as long


@value
class Caller(Sender):
    """Who makes a request: on whose behalf emails are accepted, and what else the key allows.

    `ends_at`: when the key ends, and with it those that it makes; None also for sessions, which are people's.
    """

    role: str = "member"
    scopes: frozenset[str] = frozenset()
    ends_at: datetime | None = None

    @property
    def key_id(self) -> UUID:
        assert self.api_key_id is not None  # whoever calls has one
        return self.api_key_id

    @property
    def is_operator(self) -> bool:
        return self.role == OPERATOR


def caller() -> Caller:
    """The caller of the request being answered. Only below a route that has a scope."""
    found: Caller = g.caller
    return found


class KnownKeys:
    """Keys that were looked up a moment ago. Only for accepting emails, which looks itself whether a key stands
    (api.intake), in the transaction that commits them.
    """

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._known: dict[str, tuple[float, StoredKey]] = {}

    def find(self, public_id: str, lately: bool) -> StoredKey | None:
        """`lately`: as it was some seconds ago will do."""
        now = self._deps.clock.monotonic()
        known = self._known.get(public_id)  # once: others may be taking it away
        if lately and known is not None and now - known[0] < _KNOWN_SECONDS:
            return known[1]
        with self._deps.units() as unit:
            found = unit.accounts.find_key(public_id)
        if found is not None:
            if len(self._known) >= _MOST_KNOWN:
                self._known = {}
            self._known[public_id] = now, found
        return found


def guard(app: Flask, deps: Dependencies) -> None:
    """Have every request authenticated before anything of it is read."""
    keys = KnownKeys(deps)

    @app.before_request
    def _authenticate() -> None:
        scope = scope_of(request.endpoint)
        if scope is not None:
            g.caller = authenticate(keys, request, scope, lately=_looks_again(request))
            _check_place(g.caller, client_address(request, deps.limits.trusted_proxies))
            _take_turn(deps, g.caller)

    @app.after_request
    def _tell_rate(response: Response) -> Response:
        turn: Turn | None = g.get("turn")
        if turn is not None:
            response.headers["RateLimit-Limit"] = str(turn.limit)
            response.headers["RateLimit-Remaining"] = str(turn.remaining)
            response.headers["RateLimit-Reset"] = str(turn.reset)
        return response


def _check_place(asker: Caller, address: str | None) -> None:
    if not asker.limits.may_come_from(address):
        raise Problem(403, "The API key may not be used from this address", type="address-not-allowed")


def _take_turn(deps: Dependencies, asker: Caller) -> None:
    if asker.limits.per_minute is None:
        return
    turn = g.turn = deps.throttle(asker.key_id, asker.limits.per_minute)
    if turn is not None and not turn.allowed:
        raise Problem(
            429,
            f"The API key may be used {turn.limit} times a minute",
            headers={"Retry-After": str(turn.reset)},
            type="key-rate-exceeded",
        )


def _looks_again(asked: Request) -> bool:
    """Whether the route looks at the key again in the transaction that does what is asked for; a dry run has none."""
    view = current_app.view_functions.get(asked.endpoint or "")
    return getattr(view, "looks_again", False) and "dry_run" not in asked.args


def scope_of(endpoint: str | None) -> str | None:
    """The scope that an endpoint asks for; None where it is public or where nothing matched."""
    view = current_app.view_functions.get(endpoint or "")
    scope: str | None = getattr(view, "scope", None)
    return scope


def authenticate(keys: KnownKeys, asked: Request, scope: str, lately: bool = False) -> Caller:
    """Return the caller. Raises Problem: 401 without a valid key, 403 where the key lacks the scope."""
    key = _presented(asked)
    stored = keys.find(key.public_id, lately)
    called = "session" if key.kind == SESSION else "API key"
    if not key.matches(stored.hash if stored else _NOBODY) or stored is None or stored.kind != key.kind:
        raise unauthorized(f"the {called} is not known")
    if stored.revoked:
        raise unauthorized(f"the {called} was revoked")
    if stored.expired:
        raise unauthorized(f"the {called} has expired")
    if scope not in stored.scopes:
        raise Problem(
            403,
            f"The API key lacks the scope {scope}",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
            extra={"scope": scope},
        )
    return Caller(
        stored.user_id,
        stored.id,
        stored.limits,
        stored.test_of,
        stored.role,
        stored.scopes,
        None if stored.kind == SESSION else stored.expires_at,
    )


def _presented(asked: Request) -> ApiKey:
    header = asked.headers.get("Authorization", "")
    scheme, _, text = header.partition(" ")
    if not header:
        raise unauthorized("send it as Authorization: Bearer mx_live_…", error=None)
    if scheme.lower() != "bearer":
        raise unauthorized("the Authorization header must have the scheme Bearer")
    key = parse(text.strip())
    if key is None:
        raise unauthorized("this is no API key: its form or its checksum is wrong")
    return key


def unauthorized(detail: str, error: str | None = "invalid_token") -> Problem:
    """401. RFC 6750, 3: the challenge names an error only where a key was presented."""
    challenge = 'Bearer realm="mailmux"' + (f', error="{error}"' if error else "")
    return Problem(401, f"A valid API key is needed: {detail}", headers={"WWW-Authenticate": challenge})
