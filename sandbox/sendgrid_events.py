"""SendGrid's Event Webhook: the events, and the signature over timestamp and body (ECDSA, P-256, SHA-256).

Source: twilio.com/docs/sendgrid/for-developers/tracking-events: "event" and
"getting-started-event-webhook-security-features".
"""

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.messages import Received
from sandbox.stories import Happening, Signed

_NO_SUCH_USER = "550 5.1.1 The email account that you tried to reach does not exist."
_TOLD: dict[Happening, dict[str, Any]] = {
    Happening.QUEUED: {"event": "processed"},
    Happening.DELIVERED: {"event": "delivered", "response": "250 2.0.0 OK", "tls": 1},
    Happening.BOUNCED_HARD: {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": _NO_SUCH_USER},
    Happening.BOUNCED_SOFT: {
        "event": "bounce", "type": "blocked", "status": "5.2.2", "reason": "552 5.2.2 Mailbox full",
    },
    Happening.DEFERRED: {"event": "deferred", "response": "451 4.7.1 Try again later", "attempt": "1"},
    Happening.DROPPED_LISTED: {"event": "dropped", "reason": "Bounced Address", "status": "5.0.0"},
    Happening.DROPPED: {"event": "dropped", "reason": "Recipient List over Package Quota", "status": "5.0.0"},
    Happening.COMPLAINED: {"event": "spamreport"},
    Happening.OPENED: {"event": "open", "useragent": "Sandbox/1.0", "sg_machine_open": False},
    Happening.CLICKED: {"event": "click", "useragent": "Sandbox/1.0", "url": "https://example.com/"},
    Happening.UNSUBSCRIBED: {"event": "unsubscribe"},
}  # fmt: skip


def event_body(message: Received, recipient: str, happening: Happening, at: float) -> bytes:
    """A call that tells of one event."""
    known = f"{message.message_id} {recipient} {happening.value}"
    event = {
        **message.custom_args,
        "email": recipient,
        "timestamp": int(at),
        "smtp-id": f"<{message.message_id}@geopod-ismtpd-sandbox>",
        "sg_message_id": f"{message.message_id}.filterdrecv-sandbox-1-6500-1.0",
        "sg_event_id": base64.urlsafe_b64encode(hashlib.sha256(known.encode()).digest()[:16])
        .decode()
        .rstrip("="),
        "category": list(message.categories),
        **_TOLD[happening],
    }
    return json.dumps([event]).encode()


def fresh_keys() -> dict[str, Any]:
    """A pair of keys: the public one as SendGrid shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "secret": {"verification_key": base64.b64encode(public).decode()},
        "private_key": base64.b64encode(private).decode(),
    }


def sign(private_key: str, body: bytes, at: float) -> Signed:
    key = serialization.load_der_private_key(base64.b64decode(private_key), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not an ECDSA key")
    stamp = str(int(at))
    signature = key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return Signed(
        {
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        },
        body,
    )
