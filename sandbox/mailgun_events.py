"""Mailgun's webhooks: its events, and the signature over time and token that stands in the body.

Source: Mailgun's user manual, "Tracking messages" and "Securing webhooks".
"""

import hashlib
import hmac
import json
import secrets
from typing import Any

from sandbox.messages import Received
from sandbox.stories import Happening, Signed

_BROWSER = {"client-info": {"user-agent": "Sandbox/1.0", "client-type": "browser"}, "ip": "127.0.0.1"}


def _status(code: int, message: str) -> dict[str, Any]:
    return {"delivery-status": {"code": code, "message": message, "description": "", "attempt-no": 1}}


_TOLD: dict[Happening, dict[str, Any]] = {
    Happening.QUEUED: {"event": "accepted"},
    Happening.DELIVERED: {"event": "delivered", **_status(250, "OK")},
    Happening.BOUNCED_HARD: {
        "event": "failed", "severity": "permanent", "reason": "bounce",
        **_status(550, "5.1.1 The email account that you tried to reach does not exist."),
    },
    Happening.BOUNCED_SOFT: {
        "event": "failed", "severity": "permanent", "reason": "old", **_status(498, "5.2.2 Mailbox full"),
    },
    Happening.DEFERRED: {
        "event": "failed", "severity": "temporary", "reason": "generic", **_status(451, "4.7.1 Try again later"),
    },
    Happening.DROPPED_LISTED: {
        "event": "failed", "severity": "permanent", "reason": "suppress-bounce",
        **_status(605, "Not delivering to previously bounced address"),
    },
    Happening.DROPPED: {
        "event": "rejected", "reject": {"reason": "Sandbox subdomains are for test purposes only.", "description": ""},
    },
    Happening.COMPLAINED: {"event": "complained"},
    Happening.OPENED: {"event": "opened", **_BROWSER},
    Happening.CLICKED: {"event": "clicked", "url": "https://example.com/", **_BROWSER},
    Happening.UNSUBSCRIBED: {"event": "unsubscribed", **_BROWSER},
}  # fmt: skip


def event_body(message: Received, recipient: str, happening: Happening, at: float) -> bytes:
    """One event, still without its signature."""
    known = hashlib.sha256(f"{message.message_id} {recipient} {happening.value}".encode())
    headers = {
        "message-id": message.message_id.strip("<>"),
        "to": ", ".join(map(str, message.to)),
        "from": str(message.sender),
        "subject": message.subject,
    }
    data = {
        "id": known.hexdigest()[:22],
        "timestamp": round(at, 6),
        "log-level": "info",
        "recipient": recipient,
        "recipient-domain": recipient.rpartition("@")[2],
        "tags": list(message.categories),
        "user-variables": message.custom_args,
        "message": {"headers": headers, "attachments": [], "size": message.size},
        **_TOLD[happening],
    }
    return json.dumps({"event-data": data}).encode()


def fresh_secret() -> dict[str, Any]:
    return {"secret": {"signing_key": secrets.token_hex(16)}}


def sign(key: str, body: bytes, at: float) -> Signed:
    """Every call has a token of its own."""
    stamp, token = str(int(at)), secrets.token_hex(25)
    signature = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    signed = {
        "signature": {"timestamp": stamp, "token": token, "signature": signature},
        **json.loads(body),
    }
    return Signed({}, json.dumps(signed).encode(), proof=signature)
