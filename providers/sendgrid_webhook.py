"""SendGrid's Event Webhook.

Sources: twilio.com/docs/sendgrid/for-developers/tracking-events/event for the events,
…/getting-started-event-webhook-security-features for the signature: ECDSA (P-256, SHA-256) over the timestamp and the
raw body. It repeats a call for 24 hours.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import Field, field_validator, model_validator

from domain.events import (
    BounceClass,
    DeliveryEvent,
    EventType,
    Forged,
    RejectReason,
    Verified,
    WebhookRequest,
)
from providers.fields import ATTEMPT, EMAIL
from providers.webhooks import (
    BasicAuthSecret,
    JSONWebhook,
    attempt_of,
    email_of,
    enhanced_code,
    instant,
    lately,
    loads,
    objects,
    texts,
    word,
    words,
)
from providers.world import World

# The names that an event of the webhook uses itself: a custom_arg of that name would write over it.
EVENT_FIELDS = frozenset(
    {
        "asm_group_id", "attempt", "bounce_classification", "category", "cert_err", "email", "event", "ip",
        "marketing_campaign_id", "marketing_campaign_name", "newsletter", "nlvx_campaign_id",
        "nlvx_campaign_split_id", "nlvx_user_id", "pool", "post_type", "reason", "response", "send_at",
        "sg_content_type", "sg_event_id", "sg_machine_open", "sg_message_id", "sg_template_id", "sg_template_name",
        "singlesend_id", "smtp-id", "status", "timestamp", "tls", "type", "unique_args", "url",
        "url_offset", "useragent", ATTEMPT, EMAIL,
    }
)  # fmt: skip


class WebhookSecret(BasicAuthSecret):
    """`verification_key`: the public key that SendGrid shows once signing is on (Settings → Mail Settings)."""

    verification_key: str | None = Field(default=None, max_length=400)

    @field_validator("verification_key")
    @classmethod
    def _is_key(cls, value: str | None) -> str | None:
        if value is not None:
            _public_key(value)
        return value

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.verification_key is None and self.username is None:
            raise ValueError("a verification_key, or a username and a password, or both")
        return self


@lru_cache(maxsize=64)
def _public_key(text: str) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(b64decode("".join(text.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not a public key in base64, as SendGrid shows it") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError("not an ECDSA key on the curve P-256")
    return key


_REPEATS = timedelta(hours=25)
_TYPES = {
    "processed": EventType.QUEUED,
    "dropped": EventType.REJECTED,
    "deferred": EventType.DEFERRED,
    "delivered": EventType.DELIVERED,
    "bounce": EventType.BOUNCED,
    "blocked": EventType.BOUNCED,
    "open": EventType.OPENED,
    "click": EventType.CLICKED,
    "spamreport": EventType.COMPLAINED,
    "unsubscribe": EventType.UNSUBSCRIBED,
    "group_unsubscribe": EventType.UNSUBSCRIBED,
    "group_resubscribe": EventType.SUBSCRIBED,
}
# Why an email was dropped, from `type` or `reason`.
_REASONS = {
    "invalid": RejectReason.INVALID,
    "unsubscribed address": RejectReason.UNSUBSCRIBED,
    "bounce": RejectReason.BOUNCED,
    "bounced address": RejectReason.BOUNCED,
    "spam reporting address": RejectReason.SPAM,
    "blocked": RejectReason.BLOCKED,
    "expired": RejectReason.TIMED_OUT,
}


# `bounce_classification`: what is not about the address or its mailbox.
_POLICIES = frozenset(
    {"content", "reputation", "frequency or volume too high", "technical failure", "technical"}
)


class Webhook(JSONWebhook[WebhookSecret]):
    def prove(self, request: WebhookRequest, secret: WebhookSecret, now: datetime) -> Verified:
        secret.check_basic(request)
        if secret.verification_key is not None:
            stamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
            given = request.headers.get("x-twilio-email-event-webhook-signature", "")
            try:
                signature = b64decode(given, validate=True)
                signed = stamp.encode("ascii") + request.body
                _public_key(secret.verification_key).verify(signature, signed, ec.ECDSA(hashes.SHA256()))
            except (ValueError, InvalidSignature) as error:
                raise Forged("the signature is missing or wrong") from error
            lately(stamp, now, _REPEATS)
        return Verified()

    def items(self, request: WebhookRequest) -> Iterable[Mapping[str, Any]]:
        body = loads(request.body)
        if not isinstance(body, list):
            raise ValueError("not a list")
        return objects(body)

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        told = word(item.get("event"))
        kind = _TYPES.get(told or "", EventType.UNKNOWN)
        cause = word(item.get("type")) or word(item.get("reason")) or ""
        refusal = _REASONS.get(cause.lower(), RejectReason.OTHER) if kind is EventType.REJECTED else None
        policy = _is_policy(told, item)
        answer = word(item.get("response")) or word(item.get("reason"))
        yield DeliveryEvent(
            type=kind,
            event_id=word(item.get("sg_event_id")),
            occurred_at=instant(item.get("timestamp")),
            recipient=word(item.get("email")),
            attempt_id=attempt_of(item),
            email_id=email_of(item),
            provider_message_id=message_id_of(item.get("sg_message_id")),
            reject_reason=RejectReason.BLOCKED if policy and kind is EventType.BOUNCED else refusal,
            bounce=_bounce(policy, word(item.get("type"))) if kind is EventType.BOUNCED else None,
            status_code=word(item.get("status")) or enhanced_code(answer),
            description=word(item.get("reason")) if refusal is RejectReason.OTHER else None,
            mta_response=None if kind is EventType.REJECTED else answer,
            click_url=word(item.get("url")),
            user_agent=word(item.get("useragent")),
            tags=words(item.get("category")),
            metadata=texts({k: v for k, v in item.items() if k not in EVENT_FIELDS}),
        )


_MACHINE = re.compile(r"\.?(?:filter|recvd)\w*[-.].*\Z")


def message_id_of(value: object) -> str | None:
    """The id of the answer to the send. Behind it stands which machine handled this recipient."""
    return _MACHINE.sub("", word(value) or "") or None


def _is_policy(event: str | None, item: Mapping[str, Any]) -> bool:
    """`blocked`: the mailbox host refused it for now, or for its content or our reputation; the class says it too."""
    found = (word(item.get("bounce_classification")) or "").lower()
    return "blocked" in (event, word(item.get("type"))) or found in _POLICIES


def _bounce(policy: bool, cause: str | None) -> BounceClass:
    """`expired`: it was tried for three days."""
    return BounceClass.SOFT if policy or cause == "expired" else BounceClass.HARD


def webhook(_name: str, _config: object, secrets: Sequence[WebhookSecret], _world: World) -> Webhook:
    return Webhook(secrets)
