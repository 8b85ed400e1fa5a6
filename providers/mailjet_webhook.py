"""Mailjet's Event API: one event, or a list where events are grouped; unsigned, and without ids.

Sources: Mailjet's guide "Event tracking" with its table of errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, WebhookRequest
from providers.webhook_proofs import (
    CredentialsSecret,
    CredentialsWebhook,
)
from providers.webhooks import (
    attempt_of,
    email_of,
    embedded,
    enhanced_code,
    flag,
    instant,
    texts,
    theirs,
    word,
    words,
)
from providers.world import World

_EVENTS: dict[str | None, EventType] = {
    "sent": EventType.DELIVERED,  # "accepted by the destination mail server"
    "open": EventType.OPENED,
    "click": EventType.CLICKED,
    "bounce": EventType.BOUNCED,
    "blocked": EventType.REJECTED,
    "spam": EventType.COMPLAINED,
    "unsub": EventType.UNSUBSCRIBED,
}
# Mailjet's error table; what is not in it is RejectReason.OTHER.
_ERRORS = {
    "user unknown": RejectReason.BOUNCED,
    "mailbox inactive": RejectReason.BOUNCED,
    "quota exceeded": RejectReason.BOUNCED,
    "invalid domain": RejectReason.BOUNCED,
    "no mail host": RejectReason.BOUNCED,
    "relay/access denied": RejectReason.BOUNCED,
    "typofix": RejectReason.INVALID,
    "spam reporter": RejectReason.SPAM,
    "blacklisted": RejectReason.BLOCKED,
    "sender blocked": RejectReason.BLOCKED,
    "content blocked": RejectReason.BLOCKED,
    "policy issue": RejectReason.BLOCKED,
    "preblocked": RejectReason.BLOCKED,
    "spam preblocked": RejectReason.BLOCKED,
}

WebhookSecret = CredentialsSecret


class Webhook(CredentialsWebhook):
    """One event, or a list where events are grouped. None has an id."""

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        kind = _EVENTS.get(word(item.get("event")), EventType.UNKNOWN)
        error, hard = word(item.get("error")), flag(item.get("hard_bounce")) is True
        reason = _ERRORS.get(error.lower(), RejectReason.OTHER) if error is not None else None
        if error == "greylisted" and not hard:
            kind = EventType.DEFERRED  # "Delivery will be re-attempted"
        metadata = texts(embedded(item.get("Payload")))
        said = word(item.get("smtp_reply")) or word(item.get("comment"))
        yield DeliveryEvent(
            type=kind,
            reject_reason=reason,
            bounce=(BounceClass.HARD if hard else BounceClass.SOFT) if kind is EventType.BOUNCED else None,
            occurred_at=instant(item.get("time")),
            recipient=word(item.get("email")),
            attempt_id=attempt_of(metadata) or attempt_of({"id": item.get("CustomID")}, "id"),
            email_id=email_of(metadata),
            provider_message_id=word(item.get("MessageID")),
            status_code=enhanced_code(said),
            description=error,
            mta_response=said,
            click_url=word(item.get("url")),
            user_agent=word(item.get("agent")),
            tags=words(item.get("customcampaign")),
            metadata=theirs(metadata),
        )


def webhook(_name: str, _config: Any, secrets: Sequence[CredentialsSecret], _world: World) -> Webhook:
    return Webhook(secrets)
