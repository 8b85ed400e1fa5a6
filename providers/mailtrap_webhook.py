"""Mailtrap's webhook: a list of events, or one per line, the raw body signed.

Sources: docs.mailtrap.io: "Webhooks". Its "suspension" is a refusal of Mailtrap's own, which it does not take back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, WebhookRequest
from providers.webhook_proofs import (
    SignedBodyWebhook,
    SigningSecret,
)
from providers.webhooks import (
    attempt_of,
    email_of,
    enhanced_code,
    instant,
    lines,
    loads,
    texts,
    theirs,
    word,
    words,
)
from providers.world import World

_Meaning = tuple[EventType, RejectReason | None, BounceClass | None]
_EVENTS: dict[str | None, _Meaning] = {
    "delivery": (EventType.DELIVERED, None, None),
    "bounce": (EventType.BOUNCED, RejectReason.BOUNCED, BounceClass.HARD),
    "soft bounce": (EventType.BOUNCED, RejectReason.OTHER, BounceClass.SOFT),
    "soft_bounce": (EventType.BOUNCED, RejectReason.OTHER, BounceClass.SOFT),  # as the API's logs have it
    "suspension": (EventType.REJECTED, RejectReason.OTHER, None),
    "reject": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "spam": (EventType.COMPLAINED, RejectReason.SPAM, None),
    "unsubscribe": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED, None),
    "open": (EventType.OPENED, None, None),
    "click": (EventType.CLICKED, None, None),
}

WebhookSecret = SigningSecret


class Webhook(SignedBodyWebhook):
    """{"events": […]}, or an event per line, as the webhook is set."""

    signature = "mailtrap-signature"

    def items(self, request: WebhookRequest) -> Iterable[Mapping[str, Any]]:
        try:
            body = loads(request.body)
        except ValueError:
            found = lines(request.body)
        else:
            found = body["events"] if isinstance(body, dict) and "events" in body else [body]
        if not all(isinstance(item, dict) for item in found):
            raise ValueError("not a list of objects")
        return [item for item in found if item]

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        kind, reason, bounce = _EVENTS.get(word(item.get("event")), (EventType.UNKNOWN, None, None))
        metadata = texts(item.get("custom_variables"))
        said = word(item.get("response"))
        yield DeliveryEvent(
            type=kind,
            reject_reason=reason,
            bounce=bounce,
            event_id=word(item.get("event_id")),
            occurred_at=instant(item.get("timestamp")),
            recipient=word(item.get("email")),
            attempt_id=attempt_of(metadata),
            email_id=email_of(metadata),
            provider_message_id=word(item.get("message_id")),
            status_code=enhanced_code(said),
            description=word(item.get("reason")) or word(item.get("bounce_category")),
            mta_response=said,
            click_url=word(item.get("url")),
            user_agent=word(item.get("user_agent")),
            tags=words(item.get("category")),
            metadata=theirs(metadata),
        )


def webhook(_name: str, _config: Any, secrets: Sequence[SigningSecret], _world: World) -> Webhook:
    return Webhook(secrets)
