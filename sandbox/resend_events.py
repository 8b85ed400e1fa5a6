"""Resend's webhook: its events, and Svix's signature over id, time and body.

Sources: `webhooks` of Resend's OpenAPI document; docs.svix.com/receiving/verifying-payloads/how-manual.
"""

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from typing import Any

from sandbox.messages import Received
from sandbox.stories import Happening, Signed

_BROWSER = {"ipAddress": "127.0.0.1", "userAgent": "Sandbox/1.0"}
_TOLD: dict[Happening, tuple[str, dict[str, Any]]] = {
    Happening.QUEUED: ("email.sent", {}),
    Happening.DELIVERED: ("email.delivered", {}),
    Happening.BOUNCED_HARD: (
        "email.bounced",
        {
            "bounce": {
                "type": "Permanent",
                "subType": "General",
                "message": "The recipient's email address does not exist.",
                "diagnosticCode": ["smtp; 550 5.1.1 user unknown"],
            }
        },
    ),
    Happening.BOUNCED_SOFT: (
        "email.bounced",
        {
            "bounce": {
                "type": "Transient",
                "subType": "MailboxFull",
                "message": "The recipient's mailbox is full.",
                "diagnosticCode": ["smtp; 552 5.2.2 Mailbox full"],
            }
        },
    ),
    Happening.DEFERRED: ("email.delivery_delayed", {}),
    Happening.DROPPED_LISTED: (
        "email.suppressed",
        {
            "suppressed": {
                "type": "OnAccountSuppressionList",
                "reason": "previous_bounce",
                "message": "The address is on the account's suppression list.",
                "diagnosticCode": [],
            }
        },
    ),
    Happening.DROPPED: ("email.failed", {"failed": {"reason": "reached_daily_quota"}}),
    Happening.COMPLAINED: ("email.complained", {}),
    Happening.OPENED: ("email.opened", {"open": _BROWSER}),
    Happening.CLICKED: ("email.clicked", {"click": {**_BROWSER, "link": "https://example.com/"}}),
}


def event_body(message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:  # noqa: ARG001
    """Resend names all recipients, and not the one that it means. It has no event for an unsubscribed one."""
    if happening not in _TOLD:
        return None
    kind, more = _TOLD[happening]
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    people = {
        name: [m.email for m in found]
        for name, found in (("to", message.to), ("cc", message.cc), ("bcc", message.bcc))
        if found
    }
    data = {
        "created_at": moment,
        "email_id": message.message_id,
        "from": str(message.sender),
        "subject": message.subject,
        "tags": message.custom_args,
        **people,
        **more,
    }
    return json.dumps({"type": kind, "created_at": moment, "data": data}).encode()


def fresh_secret() -> dict[str, Any]:
    return {"secret": {"signing_secret": f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"}}


def sign(secret: str, body: bytes, at: float) -> Signed:
    """A call that is made again has the same id, and is signed anew."""
    message_id, stamp = f"msg_{hashlib.sha256(body).hexdigest()[:27]}", str(int(at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, "sha256"))
    headers = {
        "svix-id": message_id,
        "svix-timestamp": stamp,
        "svix-signature": f"v1,{signature.decode()}",
        "User-Agent": "Svix-Webhooks/1.0",
    }
    return Signed(headers, body)
