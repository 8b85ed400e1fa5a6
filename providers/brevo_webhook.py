"""Brevo's webhook for transactional email: one event per call, unsigned.

Sources: developers.brevo.com/docs/transactional-webhooks, and …/docs/secured-webhooks: credentials in the address, or a
token. No event has an id (`id` is the webhook's). Of its four times only ts_epoch, in milliseconds (in some of the
document's examples seconds), is in UTC; where it is missing the others are not believed. Some events are told by two
names: the one that the document shows, and the one that the webhook is set up by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, WebhookRequest
from providers.webhook_proofs import (
    TokenSecret,
    TokenWebhook,
)
from providers.webhooks import (
    attempt_of,
    email_of,
    embedded,
    enhanced_code,
    instant,
    texts,
    theirs,
    word,
    words,
)
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
_EVENTS |= {
    other: _EVENTS[name]
    for other, name in {
        "sent": "request", "hardBounce": "hard_bounce", "softBounce": "soft_bounce", "invalid": "invalid_email",
        "uniqueOpened": "unique_opened", "proxyOpen": "proxy_open", "uniqueProxyOpen": "unique_proxy_open",
        "unsubscribed": "unsubscribe", "listAddition": "list_addition",
    }.items()
}  # fmt: skip

WebhookSecret = TokenSecret


class Webhook(TokenWebhook):
    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        kind, reason, bounce = _EVENTS.get(word(item.get("event")), (EventType.UNKNOWN, None, None))
        metadata = texts(embedded(item.get("X-Mailin-custom")))
        said = word(item.get("reason"))
        yield DeliveryEvent(
            type=kind,
            reject_reason=reason,
            listed=kind is EventType.REJECTED,  # "blocked": on Brevo's blocklist, for whatever reason
            bounce=bounce,
            occurred_at=instant(item.get("ts_epoch")),
            recipient=word(item.get("email")),
            attempt_id=attempt_of(metadata),
            email_id=email_of(metadata),
            provider_message_id=word(item.get("message-id")),
            status_code=enhanced_code(said),
            mta_response=said,
            click_url=word(item.get("link")),
            tags=words(item.get("tags", item.get("tag"))),
            metadata=theirs(metadata),
        )


def webhook(_name: str, _config: Any, secrets: Sequence[TokenSecret], _world: World) -> Webhook:
    return Webhook(secrets)
