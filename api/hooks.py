"""/hooks/<kind>/<account>/<token>: providers' webhooks in. Verify on the raw body, store, answer; nothing else.

What is stored is applied later by workers (workers.inbound). A call is answered 2xx whether or not its emails are
known.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from flask import Blueprint, Flask, Response, request

from api.deps import Dependencies
from api.errors import Problem, not_found
from api.posts import Post
from db.repositories.inbound import NonceReused
from db.sealing import SealBroken, UnknownKey, open_hook
from domain.errors import ProviderError
from domain.events import Forged, Unreadable, WebhookRequest
from domain.ports import WebhookReceiver
from providers.registry import InvalidSettings, UnknownKind

log = structlog.get_logger(__name__)

LARGEST_CALL = 5_000_000  # bytes; SendGrid's largest batch has less than one
_FRESH = 5.0  # seconds that an account's secrets are used before they are read again
_LEAST = 0.5  # seconds between two readings of one account for calls that do not verify
_MOST = 1000  # accounts that are known at once


class Unusable(Exception):
    """The account is there, and its webhook cannot be used as we are set up now: the fault is ours."""


@dataclass(frozen=True, slots=True)
class Account:
    """A provider account with a webhook. `now` is the database's time when it was read, at `read_at` of the clock.

    `row`: what it was built from. `reading`: held while it is read again.
    """

    id: UUID
    name: str
    token: str
    receiver: WebhookReceiver
    now: datetime
    read_at: float
    row: Mapping[str, Any]
    reading: threading.Lock = field(default_factory=threading.Lock)


class Accounts:
    """Accounts that were looked up a moment ago.

    One that is known is read again by one thread, for which the others wait. What is not there is looked for each time
    by whoever asks, and kept nowhere, so that made-up addresses keep nobody waiting and push nobody out.
    """

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._known: dict[tuple[str, UUID], Account] = {}

    def find(self, kind: str, account_id: UUID, at_least: float = _FRESH) -> Account | None:
        """The account, read at most `at_least` seconds ago; None: there is no such webhook. Raises Unusable."""
        key = (kind, account_id)
        known = self._known.get(key)
        if known is None:
            return self._look(key, None)
        if self._is_fresh(known, at_least):
            return known
        with known.reading:
            now_known = self._known.get(key)
            if now_known is not None and self._is_fresh(now_known, at_least):
                return now_known
            return self._look(key, known)

    def _is_fresh(self, account: Account, at_least: float) -> bool:
        return self._deps.clock.monotonic() - account.read_at < at_least

    def _look(self, key: tuple[str, UUID], known: Account | None) -> Account | None:
        found = self._read(*key, known)
        if found is None:
            self._known.pop(key, None)
            return None
        if key not in self._known and len(self._known) >= _MOST:
            self._known = {}
        self._known[key] = found
        return found

    def _read(self, kind: str, account_id: UUID, known: Account | None) -> Account | None:
        """The receiver of an unchanged row stays as it is, with all that it has fetched."""
        read_at = self._deps.clock.monotonic()
        with self._deps.units() as unit:
            found = unit.inbound.receiver(kind, account_id)
        if found is None:
            return None
        row = dict(found)
        now = row.pop("now")
        if known is not None and known.row == row:
            return replace(known, now=now, read_at=read_at)
        try:
            hook = open_hook(self._deps.sealer, row["sealed"], owner=row["user_id"], kind=kind, row=row["id"])
            receiver = self._deps.build_receiver(
                kind, row["name"], row["config"], hook.secrets, trusted=row["trusted"]
            )
        except (SealBroken, UnknownKey, InvalidSettings, UnknownKind, ValueError) as error:
            log.warning("webhook_unusable", provider_id=str(account_id), error=type(error).__name__)
            raise Unusable from error
        if receiver is None:
            return None
        return Account(row["id"], row["name"], hook.token, receiver, now, read_at, row)


def register_hooks(app: Flask, deps: Dependencies) -> None:
    """Give the app its webhooks."""
    accounts = Accounts(deps)
    blueprint = Blueprint("hooks", __name__)

    def receive(kind: str, account_id: UUID, token: str) -> Response:
        if not kind.isascii() or not kind.isprintable():
            raise not_found()  # no kind is written so, and the database takes no NUL
        try:
            account = accounts.find(kind, account_id)
            if account is not None and not _same(account.token, token):
                account = accounts.find(kind, account_id, _LEAST)
        except Unusable as ours:  # a 404 would be final to some, and lose what they have to tell
            raise _again() from ours
        if account is None or not _same(account.token, token):
            raise not_found()
        if request.method != "POST":
            return Response(status=200)  # a provider that looks whether somebody is here
        asked = WebhookRequest(_public(deps), _headers(), _body(), request.method)
        try:
            return _take(deps, accounts, (kind, account_id), account, asked)
        except Forged as forged:
            log.warning("webhook_forged", provider_id=str(account_id), reason=str(forged))
            raise Problem(
                401, f"The call is not proved to be the provider's: {forged}", type="forged"
            ) from forged
        except NonceReused as reused:
            log.warning(
                "webhook_forged", provider_id=str(account_id), reason="a token came with another body"
            )
            raise Problem(401, "Its token came before, with another body", type="forged") from reused
        except Unreadable as unreadable:
            log.warning("webhook_unreadable", provider_id=str(account_id), reason=str(unreadable))
            raise Problem(400, f"The body cannot be read: {unreadable}") from unreadable
        except ProviderError as away:
            log.warning("webhook_unverified", provider_id=str(account_id), reason=away.detail)
            raise _again() from away

    receive.public = True  # type: ignore[attr-defined]  # it proves itself
    blueprint.add_url_rule(
        "/hooks/<kind>/<uuid:account_id>/<token>", "receive", receive, methods=["GET", "HEAD", "POST"]
    )
    app.register_blueprint(blueprint)


def _take(
    deps: Dependencies, accounts: Accounts, key: tuple[str, UUID], account: Account, asked: WebhookRequest
) -> Response:
    try:
        verified = account.receiver.verify(asked, _now(deps, account))
    except Forged:
        # The secrets may have changed since they were read.
        fresh = accounts.find(*key, _LEAST)
        if fresh is None or fresh is account:
            raise
        account = fresh
        verified = account.receiver.verify(asked, _now(deps, account))
    notice = account.receiver.parse(asked)
    if notice.events or verified.nonce is not None:
        digest = hashlib.sha256(asked.body).digest()
        nonce = None if verified.nonce is None else (verified.nonce, digest)
        deps.posts.keep(Post(account.id, notice.events, nonce))
    if notice.confirm is not None:
        deps.confirm(account.name, notice.confirm)  # raises ProviderError: then the provider calls again
    if notice.reply is not None:
        return Response(json.dumps(dict(notice.reply)), 200, content_type="application/json")
    return Response(status=200)


def _again() -> Problem:
    return Problem(503, "It cannot be verified now: call again", headers={"Retry-After": "30"})


def _now(deps: Dependencies, account: Account) -> datetime:
    """The database's time, carried on by the monotonic clock."""
    return account.now + timedelta(seconds=deps.clock.monotonic() - account.read_at)


def _public(deps: Dependencies) -> str:
    """The address as the provider was given it: what stands before us may have changed host and scheme."""
    base = deps.public_url or f"{request.scheme}://{request.host}"
    query = request.query_string.decode("latin-1")
    return f"{base}{request.path}" + (f"?{query}" if query else "")


def _headers() -> Mapping[str, str]:
    """With names in lower case. Those that came twice were joined by the server (RFC 3875, 4.1.18)."""
    environ = request.environ
    found = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        found["content-type"] = environ["CONTENT_TYPE"]
    return found


def _body() -> bytes:
    if (request.content_length or 0) > LARGEST_CALL:
        raise Problem(413, f"A call may have {LARGEST_CALL} bytes")
    body = request.stream.read(LARGEST_CALL + 1)
    if len(body) > LARGEST_CALL:
        raise Problem(413, f"A call may have {LARGEST_CALL} bytes")
    return body


def _same(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))
