"""Webhooks that we call: what is told, how it is signed, and when it is told again.

The form is Standard Webhooks (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain.budgets import NoticeType
from domain.events import EventType
from domain.lifecycle import Status

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # what every secret begins with
SECRET_BYTES: Final = 32  # the specification asks for 24 to 64
_NEVER_TOLD = {Status.SCHEDULED.value, Status.QUEUED.value, Status.SENDING.value}

TEST: Final = "webhook.test"
DISABLED: Final = "webhook.disabled"
BUDGET_TYPES: Final = tuple(notice.value for notice in NoticeType)
# What happens to emails: every visible status, and every event of a provider.
EMAIL_TYPES: Final = tuple(
    f"email.{name}"
    for name in dict.fromkeys([*(s.value for s in Status), *(e.value for e in EventType)])
    if name not in _NEVER_TOLD
)
TYPES: Final = (*EMAIL_TYPES, *BUDGET_TYPES, DISABLED, TEST)

# Seconds before each try. The first is at once; the tenth comes three days after it.
WAITS: Final = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
_JITTER: Final = 0.1
LONGEST_WAIT: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a user wants to be told. `sealed`: its secrets. `trusted`: an operator's, which may be anywhere in the
    network.
    """

    id: UUID
    user_id: UUID
    url: str
    sealed: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class Telling:
    """A message on its way to an endpoint. `tries`: those before this one. `old_too`: the endpoint's former secret
    still signs. `payload` None: what it was to tell is gone.
    """

    id: UUID
    tries: int
    payload: Mapping[str, Any] | None
    at: datetime
    old_too: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """That an endpoint was disabled, for its owner at `email`. `operator_id`: who writes it; None: there is nobody."""

    owner_id: UUID

    webhook_id: UUID
    url: str
    reason: str
    at: datetime
    email: str
    operator_id: UUID | None


@dataclass(frozen=True, slots=True)
class Told:
    """How a try ended. `status`: the HTTP status; None where there was no answer. `error`: in our words."""

    status: int | None
    error: str | None = None
    retry_after: float | None = None

    @property
    def taken(self) -> bool:
        """Only 2xx is a yes: a redirect is not followed."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def unwanted(self) -> bool:
        """410 Gone: the receiver wants nothing more."""
        return self.status == 410


def next_wait(tries: int, chance: float, retry_after: float | None = None) -> float | None:
    """Seconds until the next try after `tries` have failed; None: there is none. `chance` is from 0 to 1.

    A receiver that asks for more time (Retry-After) gets it, up to a day.
    """
    if tries >= len(WAITS):
        return None
    wait = WAITS[tries] * (1 + _JITTER * (2 * chance - 1))
    return max(wait, min(retry_after or 0.0, LONGEST_WAIT))


def new_secret(random_bytes: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(random_bytes).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises ValueError where this is no secret of ours."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not a webhook secret") from error


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The headers of a message: one signature for each secret, so that a receiver may change over in its own time."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def payload(type_: str, at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    """What a message says, before it becomes JSON."""
    return {"type": type_, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": dict(data)}
