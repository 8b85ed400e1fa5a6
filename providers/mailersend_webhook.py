"""MailerSend's webhook: one event per call, the raw body signed.

Sources: developers.mailersend.com: "Webhooks", the second version of the form (`data.recipient`), and the first
(`data.email`), which it sends until the end of 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, WebhookRequest
from providers.fields import ATTEMPT, EMAIL
from providers.webhook_proofs import (
    SignedBodyWebhook,
    SigningKey,
    SigningSecret,
)
from providers.webhooks import attempt_of, email_of, enhanced_code, instant, mapping, word, words
from providers.world import World

_Meaning = tuple[EventType, RejectReason | None, BounceClass | None]
# Why an address is on MailerSend's suppression list; `blocklisted` says no more than that.
REASONS: Mapping[str, RejectReason] = {
    "hard_bounced": RejectReason.BOUNCED,
    "spam_complaint": RejectReason.SPAM,
    "spam_complaints": RejectReason.SPAM,
    "unsubscribed": RejectReason.UNSUBSCRIBED,
}
_EVENTS: dict[str | None, _Meaning] = {
    "sent": (EventType.SENT, None, None),
    "delivered": (EventType.DELIVERED, None, None),
    "soft_bounced": (EventType.BOUNCED, RejectReason.BOUNCED, BounceClass.SOFT),
    "hard_bounced": (EventType.BOUNCED, RejectReason.BOUNCED, BounceClass.HARD),
    "deferred": (EventType.DEFERRED, None, None),
    "suppressed": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "opened": (EventType.OPENED, None, None),
    "opened_unique": (EventType.OPENED, None, None),
    "clicked": (EventType.CLICKED, None, None),
    "clicked_unique": (EventType.CLICKED, None, None),
    "unsubscribed": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED, None),
    "spam_complaint": (EventType.COMPLAINED, RejectReason.SPAM, None),
    "spam_complaints": (EventType.COMPLAINED, RejectReason.SPAM, None),
}


class WebhookSecret(SigningSecret):
    """MailerSend signs every call."""

    signing_secret: SigningKey


class Webhook(SignedBodyWebhook):
    """One event per call, in the second version of the form, or in the first (`data.email`). A test has no event."""

    signature = "signature"

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        if item.get("type") == "webhook.test":
            return
        data = mapping(item.get("data"))
        email = mapping(data.get("email"))
        more = mapping(data.get("meta")) or mapping(data.get("morph"))
        told = word(data.get("type")) or (word(item.get("type")) or "").removeprefix("activity.")
        kind, reason, bounce = _EVENTS.get(told, (EventType.UNKNOWN, None, None))
        tags = words(data.get("tags") or email.get("tags"))
        said = next((w for name in _SAID if (w := word(more.get(name)))), None)
        listed = kind is EventType.REJECTED
        yield DeliveryEvent(
            type=kind,
            reject_reason=REASONS.get(said or "", reason) if listed else reason,
            listed=listed,
            bounce=bounce,
            event_id=word(data.get("id")),
            occurred_at=instant(data.get("created_at")) or instant(item.get("created_at")),
            recipient=word(data.get("recipient")) or word(mapping(email.get("recipient")).get("email")),
            attempt_id=attempt_of(_ours(tags)),
            email_id=email_of(_ours(tags)),
            provider_message_id=word(data.get("message_id")) or word(mapping(email.get("message")).get("id")),
            status_code=enhanced_code(word(more.get("bounce_code")), said),
            description=said,
            mta_response=word(more.get("bounce_code")),
            click_url=word(more.get("url")),
            user_agent=word(more.get("user_agent")),
            tags=tuple(t for t in tags if not t.startswith((f"{ATTEMPT}:", f"{EMAIL}:"))),
        )


_SAID = (
    "bounce_reason", "reject_reason", "suppression_reason", "unsubscribe_reason", "readable_reason", "reason",
)  # fmt: skip


def _ours(tags: Iterable[str]) -> Mapping[str, str]:
    """Our ids among the tags."""
    return dict(t.split(":", 1) for t in tags if t.startswith((f"{ATTEMPT}:", f"{EMAIL}:")))


def webhook(_name: str, _config: Any, secrets: Sequence[SigningSecret], _world: World) -> Webhook:
    return Webhook(secrets)
