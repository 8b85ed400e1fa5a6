"""Postmark's webhooks.

Sources: postmarkapp.com/developer/webhooks/* for the events, …/api/bounce-api#bounce-types for the kinds of bounce.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import model_validator

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, Verified, WebhookRequest
from providers.fields import ATTEMPT, EMAIL
from providers.webhooks import (
    BasicAuthSecret,
    JSONWebhook,
    attempt_of,
    email_of,
    enhanced_code,
    flag,
    instant,
    texts,
    word,
)
from providers.world import World


class WebhookSecret(BasicAuthSecret):
    """Postmark signs nothing: it gives a user and a password, which stand in the address that it calls."""

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.username is None:
            raise ValueError("a username and a password")
        return self


_Meaning = tuple[EventType, RejectReason | None, BounceClass | None]
_HARD, _SOFT = BounceClass.HARD, BounceClass.SOFT
_RECORDS: Mapping[str, _Meaning] = {
    "Delivery": (EventType.DELIVERED, None, None),
    "Open": (EventType.OPENED, None, None),
    "Click": (EventType.CLICKED, None, None),
}
# `Type` of a bounce or a complaint, and `SuppressionReason` of a changed subscription.
_CAUSES: Mapping[str, _Meaning] = {
    "HardBounce": (EventType.BOUNCED, RejectReason.BOUNCED, _HARD),
    "SoftBounce": (EventType.BOUNCED, RejectReason.BOUNCED, _SOFT),
    "VirusNotification": (EventType.BOUNCED, RejectReason.OTHER, _SOFT),
    "Transient": (EventType.DEFERRED, None, None),
    "DnsError": (EventType.DEFERRED, None, None),
    "OpenRelayTest": (EventType.DEFERRED, None, None),
    "Unsubscribe": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED, None),
    "ManualSuppression": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED, None),
    "Subscribe": (EventType.SUBSCRIBED, None, None),
    "AutoResponder": (EventType.AUTORESPONDED, None, None),
    "AddressChange": (EventType.AUTORESPONDED, None, None),
    "ChallengeVerification": (EventType.AUTORESPONDED, None, None),
    "SpamNotification": (EventType.COMPLAINED, RejectReason.SPAM, None),
    "SpamComplaint": (EventType.COMPLAINED, RejectReason.SPAM, None),
    "BadEmailAddress": (EventType.REJECTED, RejectReason.INVALID, None),
    "ManuallyDeactivated": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "Unconfirmed": (EventType.REJECTED, None, None),
    "Blocked": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "DMARCPolicy": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "SMTPApiError": (EventType.FAILED, None, None),
    "TemplateRenderingFailed": (EventType.FAILED, None, None),
    "InboundError": (EventType.UNKNOWN, None, None),  # of an email that came in
    "Unknown": (EventType.UNKNOWN, None, None),
}
_UNKNOWN: _Meaning = (EventType.UNKNOWN, None, None)


class Webhook(JSONWebhook[WebhookSecret]):
    """One event per call. Without a signature there is no time in it to judge: a repeat is known by its key."""

    def prove(self, request: WebhookRequest, secret: WebhookSecret, now: datetime) -> Verified:  # noqa: ARG002
        secret.check_basic(request)
        return Verified()

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        kind, reason, bounce = _meaning(item)
        times = (item.get(name) for name in ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt"))
        metadata = texts(item.get("Metadata"))
        tag = word(item.get("Tag")) if isinstance(item.get("Tag"), str) else None
        yield DeliveryEvent(
            type=kind,
            event_id=word(item.get("ID")),
            occurred_at=next((at for at in map(instant, times) if at is not None), None),
            recipient=word(item.get("Email")) or word(item.get("Recipient")),
            attempt_id=attempt_of(metadata),
            email_id=email_of(metadata),
            provider_message_id=word(item.get("MessageID")),
            reject_reason=reason,
            listed=word(item.get("Type")) == "ManuallyDeactivated",
            bounce=bounce,
            status_code=enhanced_code(item.get("Details"), item.get("Description")),
            description=word(item.get("Description")),
            mta_response=word(item.get("Details")),
            click_url=word(item.get("OriginalLink")),
            user_agent=word(item.get("UserAgent")),
            tags=(tag,) if tag else (),
            metadata={k: v for k, v in metadata.items() if k not in (ATTEMPT, EMAIL)},
        )


def _meaning(item: Mapping[str, Any]) -> _Meaning:
    match item.get("RecordType"):
        case "Bounce":
            return _CAUSES.get(str(item.get("Type")), (EventType.BOUNCED, None, _SOFT))
        case "SpamComplaint":
            return _CAUSES["SpamComplaint"]
        case "SubscriptionChange" if flag(item.get("SuppressSending")) is False:
            return _CAUSES["Subscribe"]
        case "SubscriptionChange":
            return _CAUSES.get(str(item.get("SuppressionReason")), (EventType.UNSUBSCRIBED, None, None))
        case record:
            return _RECORDS.get(str(record), _UNKNOWN)


def webhook(_name: str, _config: object, secrets: Sequence[WebhookSecret], _world: World) -> Webhook:
    return Webhook(secrets)
