"""Amazon SES's events as SNS posts them: an envelope, signed with RSA, and in it the event as text.

Sources: docs.aws.amazon.com/ses, "Contents of event notifications"; docs.aws.amazon.com/sns, "Verifying the signatures
of Amazon SNS messages". The certificate is one of this sandbox's own: whoever receives the events is told to trust it.
"""

import base64
import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from sandbox.messages import Received
from sandbox.stories import Happening, Signed

_TOPIC = "arn:aws:sns:us-east-1:123456789012:sandbox"
_SIGNED = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")


def _bounce(kind: str, subtype: str, recipient: str, status: str, words: str) -> dict[str, Any]:
    one = {
        "emailAddress": recipient,
        "action": "failed",
        "status": status,
        "diagnosticCode": f"smtp; {words}",
    }
    return {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": [one]}


def _told(happening: Happening, recipient: str) -> tuple[str, str, dict[str, Any]]:
    """The event's type, the field that holds it, and what stands there."""
    browser = {"ipAddress": "127.0.0.1", "userAgent": "Sandbox/1.0"}
    unknown, full = "550 5.1.1 user unknown", "552 5.2.2 Mailbox full"
    match happening:
        case Happening.QUEUED:
            return "Send", "send", {}
        case Happening.DELIVERED:
            return "Delivery", "delivery", {"recipients": [recipient], "smtpResponse": "250 2.0.0 OK"}
        case Happening.BOUNCED_HARD:
            return "Bounce", "bounce", _bounce("Permanent", "General", recipient, "5.1.1", unknown)
        case Happening.BOUNCED_SOFT:
            return "Bounce", "bounce", _bounce("Transient", "MailboxFull", recipient, "5.2.2", full)
        case Happening.DROPPED_LISTED:
            listed = (
                "Amazon SES did not send the message to this address because it is on the suppression list"
            )
            return (
                "Bounce",
                "bounce",
                _bounce("Permanent", "OnAccountSuppressionList", recipient, "5.1.1", listed),
            )
        case Happening.DEFERRED:
            delayed = {
                "emailAddress": recipient,
                "status": "4.4.7",
                "diagnosticCode": "smtp; 451 4.4.7 try again",
            }
            return "DeliveryDelay", "deliveryDelay", {"delayType": "General", "delayedRecipients": [delayed]}
        case Happening.COMPLAINED:
            who = {"complainedRecipients": [{"emailAddress": recipient}], "complaintFeedbackType": "abuse"}
            return "Complaint", "complaint", who
        case Happening.DROPPED:
            return "Reject", "reject", {"reason": "Bad content"}
        case Happening.OPENED:
            return "Open", "open", browser
        case Happening.CLICKED:
            return "Click", "click", {**browser, "link": "https://example.com/"}
        case Happening.UNSUBSCRIBED:
            wishes = {"unsubscribeAll": True, "topicSubscriptionStatus": []}
            return "Subscription", "subscription", {"newTopicPreferences": wishes}


def event_body(message: Received, recipient: str, happening: Happening, at: float) -> bytes:
    """One envelope, still without its time and signature."""
    kind, field, about = _told(happening, recipient)
    moment = _written(at)
    everyone = happening in (Happening.OPENED, Happening.CLICKED, Happening.QUEUED, Happening.DROPPED)
    event = {
        "eventType": kind,
        "mail": {
            "timestamp": moment,
            "source": message.sender.email,
            "messageId": message.message_id,
            "destination": list(message.envelope.recipients) if everyone else [recipient],
            "tags": {**{n: [v] for n, v in message.custom_args.items()}, "ses:operation": ["SendEmail"]},
        },
        field: {"timestamp": moment, **about},
    }
    known = f"{message.message_id} {recipient} {happening.value}"
    envelope = {
        "Type": "Notification",
        "MessageId": str(uuid.uuid5(uuid.NAMESPACE_URL, known)),
        "TopicArn": _TOPIC,
        "Message": json.dumps(event) + "\n",
    }
    return json.dumps(envelope).encode()


def fresh_keys() -> dict[str, Any]:
    """A key and a certificate that signs with it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.sandbox.invalid")])
    begins = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return {
        "secret": {"topic_arn": _TOPIC, "certificate_pem": pem},
        "private_key": base64.b64encode(private).decode(),
    }


def sign(private_key: str, body: bytes, at: float) -> Signed:
    key = serialization.load_der_private_key(base64.b64decode(private_key), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("not an RSA key")
    envelope: dict[str, str] = {**json.loads(body), "Timestamp": _written(at)}
    text = "".join(f"{name}\n{envelope[name]}\n" for name in _SIGNED)
    signature = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    certificate = hashlib.sha256(private_key.encode()).hexdigest()[:32]
    envelope |= {
        "SignatureVersion": "2",
        "Signature": signature,
        "SigningCertURL": f"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{certificate}.pem",
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
    }
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
    }
    return Signed(headers, json.dumps(envelope).encode(), proof=signature)


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
