"""Brevo's webhook for transactional email: one event per call, unsigned.

Sources: developers.brevo.com/docs/transactional-webhooks. No event has an id (`id` is the webhook's). Of its four times
only ts_epoch, in milliseconds, is in UTC; where it is missing the others are not believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, WebhookRequest
from providers.webhook_proofs import (
    CredentialsSecret,
    CredentialsWebhook,
)
from providers.webhooks import attempt_of, enhanced_code, instant, loads, texts, theirs, word, words
from providers.world import World

_Meaning = tuple[EventType, RejectReason | None, BounceClass | None]
_EVENTS: dict[str | None, _Meaning] = {
    "request": (EventType.QUEUED, None, None),
    "delivered": (EventType.DELIVERED, None, None),
    "hard_bounce": (EventType.BOUNCED, RejectReason.BOUNCED, BounceClass.HARD),
    "invalid_email": (EventType.BOUNCED, RejectReason.INVALID, BounceClass.HARD),
    "soft_bounce": (EventType.BOUNCED, RejectReason.BOUNCED, BounceClass.SOFT),
    "blocked": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "error": (EventType.FAILED, None, None),
    "deferred": (EventType.DEFERRED, None, None),
    "spam": (EventType.COMPLAINED, RejectReason.SPAM, None),
    "complaint": (EventType.COMPLAINED, RejectReason.SPAM, None),
    "opened": (EventType.OPENED, None, None),
    "unique_opened": (EventType.OPENED, None, None),
    "proxy_open": (EventType.OPENED, None, None),
    "unique_proxy_open": (EventType.OPENED, None, None),
    "click": (EventType.CLICKED, None, None),
    "unsubscribe": (EventType.UNSUBSCRIBED, None, None),
    "list_addition": (EventType.SUBSCRIBED, None, None),
}

_SECONDS_END = 10**11

WebhookSecret = CredentialsSecret


class Webhook(CredentialsWebhook):
    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        kind, reason, bounce = _EVENTS.get(word(item.get("event")), (EventType.UNKNOWN, None, None))
        metadata = _custom(item.get("X-Mailin-custom"))
        said = word(item.get("reason"))
        yield DeliveryEvent(
            type=kind,
            reject_reason=reason,
            bounce=bounce,
            occurred_at=_moment(item.get("ts_epoch")),
            recipient=word(item.get("email")),
            attempt_id=attempt_of(metadata),
            provider_message_id=word(item.get("message-id")),
            status_code=enhanced_code(said),
            mta_response=said,
            click_url=word(item.get("link")),
            tags=words(item.get("tags", item.get("tag"))),
            metadata=theirs(metadata),
        )


def _custom(value: object) -> dict[str, str]:
    try:
        return texts(loads(value.encode())) if isinstance(value, str) else {}
    except ValueError:
        return {}


def _moment(value: object) -> datetime | None:
    """Milliseconds; in some of the document's examples seconds, as no event is from before 1973."""
    text = word(value) or ""
    if not re.fullmatch(r"\d{1,16}(\.\d+)?", text):
        return None
    stamp = float(text)
    return instant(stamp / 1000 if stamp > _SECONDS_END else stamp)


def webhook(_name: str, _config: Any, secrets: Sequence[CredentialsSecret], _world: World) -> Webhook:
    return Webhook(secrets)
