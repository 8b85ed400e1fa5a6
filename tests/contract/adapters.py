"""Adapters by kind, without a server: what they compose, and what an answer means to them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, cast

from domain.errors import ProviderError
from domain.message import Submission
from providers import registry
from providers.base import HTTPProvider
from providers.exchange import Request, Response
from tests.contract.emails import a_world, new_id

CREDENTIALS: dict[str, dict[str, str]] = {
    "brevo": {"api_key": "k"},
    "mailersend": {"api_token": "k"},
    "mailgun": {"api_key": "k"},
    "mailjet": {"api_key": "k", "secret_key": "s"},
    "mailtrap": {"api_token": "k"},
    "postmark": {"server_token": "k"},
    "resend": {"api_key": "k"},
    "sendgrid": {"api_key": "k"},
    "ses": {"access_key_id": "AKIA", "secret_access_key": "secret"},
    "sparkpost": {"api_key": "k"},
}


def adapter(kind: str, **config: Any) -> HTTPProvider:
    return _adapter(kind, tuple(config.items()))


@cache
def _adapter(kind: str, config: tuple[tuple[str, Any], ...]) -> HTTPProvider:
    valid = registry.validate(kind, dict(config), CREDENTIALS[kind])
    return cast(HTTPProvider, registry.build(kind, f"the-{kind}", *valid, a_world()))


def composed(kind: str, submission: Submission, **config: Any) -> Request:
    return adapter(kind, **config).compose(submission, new_id())


def payload(kind: str, submission: Submission, **config: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(composed(kind, submission, **config).body)
    return found


def judged(kind: str, status: int, body: Any = b"", **headers: str) -> ProviderError | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-type": "application/json", **{n.replace("_", "-"): v for n, v in headers.items()}}
    return adapter(kind).judge(Response(status, fields, raw))
