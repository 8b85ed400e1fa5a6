"""Resend's webhook: Svix's signatures, one event a call.

Sources: docs.svix.com/receiving/verifying-payloads/how-manual (the signature, and a tolerance of five minutes); the
`webhooks` of Resend's OpenAPI document for the events. With several recipients Resend does not say which one it means.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email.utils import parseaddr
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr

from domain.events import (
    BounceClass,
    DeliveryEvent,
    EventType,
    Forged,
    RejectReason,
    Verified,
    WebhookRequest,
)
from providers.webhooks import (
    SKEW,
    JSONWebhook,
    attempt_of,
    email_of,
    enhanced_code,
    instant,
    labels_in_head,
    lately,
    mapping,
    same,
    texts,
    theirs,
    word,
    words,
)
from providers.world import World

_KINDS = {
    "email.scheduled": EventType.QUEUED,
    "email.sent": EventType.SENT,
    "email.delivered": EventType.DELIVERED,
    "email.delivery_delayed": EventType.DEFERRED,
    "email.bounced": EventType.BOUNCED,
    "email.complained": EventType.COMPLAINED,
    "email.suppressed": EventType.REJECTED,
    "email.failed": EventType.FAILED,
    "email.opened": EventType.OPENED,
    "email.clicked": EventType.CLICKED,
}
_REASONS = {
    EventType.BOUNCED: RejectReason.BOUNCED,
    EventType.REJECTED: RejectReason.BLOCKED,
    EventType.FAILED: RejectReason.OTHER,
}
_SUPPRESSED = {
    "previous_bounce": RejectReason.BOUNCED, "previous_complaint": RejectReason.SPAM,
    "Suppressed": RejectReason.BLOCKED, "OnAccountSuppressionList": RejectReason.BLOCKED,
}  # fmt: skip
# `subType` of a bounce that is the host's policy, and not of the address.
_POLICIES = frozenset({"ContentRejected", "AttachmentRejected", "MessageTooLarge"})


def _key(secret: SecretStr) -> SecretStr:
    try:
        _bytes(secret)
    except (ValueError, binascii.Error):
        raise ValueError("whsec_ and base64, as Resend shows it") from None
    return secret


def _bytes(secret: SecretStr) -> bytes:
    return b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)


class WebhookSecret(BaseModel):
    """As Resend shows it for the webhook: whsec_…"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signing_secret: Annotated[SecretStr, AfterValidator(_key)]


class Webhook(JSONWebhook[WebhookSecret]):
    def prove(self, request: WebhookRequest, secret: WebhookSecret, now: datetime) -> Verified:
        message_id, stamp = request.headers.get("svix-id", ""), request.headers.get("svix-timestamp", "")
        signed = (
            f"{message_id}.{stamp.partition('.')[0]}.".encode() + request.body
        )  # whole seconds, as Svix does
        wanted = b64encode(hmac.digest(_bytes(secret.signing_secret), signed, "sha256")).decode("ascii")
        given = request.headers.get("svix-signature", "").split()
        if not any(same(one, f"v1,{wanted}") for one in given[:20]):
            raise Forged("the signature is missing or wrong")
        lately(stamp, now, SKEW)
        return Verified()

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:
        data = item.get("data") or {}
        if not isinstance(data, dict):
            raise TypeError("nothing is said of the email")
        kind = _KINDS.get(word(item.get("type")) or "", EventType.UNKNOWN)
        bounce = mapping(data.get("bounce") or data.get("suppressed"))
        about = mapping(data.get("click") or data.get("open"))
        found = _tags(data.get("tags"))
        everyone = {
            parseaddr(person)[1] or person: None
            for field in ("to", "cc", "bcc")
            for person in words(data.get(field))
        }
        tags, metadata = labels_in_head(data.get("headers"))
        answers = words(bounce.get("diagnosticCode"))  # one for each recipient
        answered = answers[0] if len(answers) == 1 else None
        said = word(bounce.get("message")) or word(mapping(data.get("failed")).get("reason"))
        yield DeliveryEvent(
            type=kind,
            event_id=word(request.headers.get("svix-id")),
            occurred_at=instant(item.get("created_at")),
            recipient=next(iter(everyone)) if len(everyone) == 1 else None,
            attempt_id=attempt_of(found),
            email_id=email_of(found),
            provider_message_id=word(data.get("email_id")),
            reject_reason=_reason(kind, bounce),
            listed=kind is EventType.REJECTED or (kind is EventType.BOUNCED and _is_listed(bounce)),
            bounce=_class(bounce) if kind is EventType.BOUNCED else None,
            status_code=enhanced_code(answered, said),
            description=said,
            mta_response=answered,
            click_url=word(about.get("link")),
            user_agent=word(about.get("userAgent")),
            tags=tags,
            metadata=theirs(found) | metadata,
        )


def _tags(value: object) -> dict[str, str]:
    """In events an object; in the API a list of pairs."""
    if isinstance(value, list):
        value = {t.get("name"): t.get("value") for t in value if isinstance(t, dict)}
    return texts(value)


def _reason(kind: EventType, bounce: Mapping[str, Any]) -> RejectReason | None:
    """By the reason or the kind of bounce where that is a list's, in older events by the words alone."""
    for name in ("reason", "subType", "type"):
        if listed := _SUPPRESSED.get(word(bounce.get(name)) or ""):
            return listed
    policy = word(bounce.get("subType")) in _POLICIES
    if kind is EventType.BOUNCED and (policy or _is_listed(bounce)):
        return RejectReason.BLOCKED
    return _REASONS.get(kind)


def _is_listed(bounce: Mapping[str, Any]) -> bool:
    """Whether Resend did not try, as the address is on its list; in older events the words alone say so."""
    told = {word(bounce.get(name)) for name in ("reason", "subType", "type")}
    return bool(told & _SUPPRESSED.keys()) or "suppress" in (word(bounce.get("message")) or "")


def _class(bounce: Mapping[str, Any]) -> BounceClass:
    return BounceClass.HARD if word(bounce.get("type")) == "Permanent" else BounceClass.SOFT


def webhook(_name: str, _config: Any, secrets: Sequence[WebhookSecret], _world: World) -> Webhook:
    return Webhook(secrets)
