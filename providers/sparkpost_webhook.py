"""SparkPost's webhook: lists of events under `msys`, unsigned; a batch that comes again has the same ids.

Sources: SparkPost's event reference, its Webhooks API (basic authentication, or headers of one's own: a token in
Authorization), and support.sparkpost.com: "Bounce classification codes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, WebhookRequest
from providers.webhook_proofs import (
    TokenSecret,
    TokenWebhook,
)
from providers.webhooks import attempt_of, email_of, enhanced_code, instant, loads, texts, theirs, word, words
from providers.world import World

_Meaning = tuple[EventType, RejectReason | None, BounceClass | None]
_BOUNCED, _HARD, _SOFT = EventType.BOUNCED, BounceClass.HARD, BounceClass.SOFT
_EVENTS = {
    "injection": EventType.QUEUED,
    "delivery": EventType.DELIVERED,
    "bounce": _BOUNCED,
    "out_of_band": _BOUNCED,
    "delay": EventType.DEFERRED,
    "policy_rejection": EventType.REJECTED,
    "generation_failure": EventType.FAILED,
    "generation_rejection": EventType.REJECTED,
    "spam_complaint": EventType.COMPLAINED,
    "list_unsubscribe": EventType.UNSUBSCRIBED,
    "link_unsubscribe": EventType.UNSUBSCRIBED,
    **dict.fromkeys(("open", "amp_open"), EventType.OPENED),
    **dict.fromkeys(("click", "amp_click"), EventType.CLICKED),
}
# support.sparkpost.com: "Bounce classification codes". 60, 80, 90 and 100 are no bounces at all.
_CLASSES: dict[str, _Meaning] = {
    "1": (_BOUNCED, RejectReason.OTHER, _SOFT),
    "10": (_BOUNCED, RejectReason.INVALID, _HARD),
    "20": (_BOUNCED, RejectReason.BOUNCED, _SOFT),
    "21": (_BOUNCED, RejectReason.BOUNCED, _SOFT),
    "22": (_BOUNCED, RejectReason.BOUNCED, _SOFT),
    "23": (_BOUNCED, RejectReason.BOUNCED, _SOFT),
    "24": (_BOUNCED, RejectReason.TIMED_OUT, _SOFT),
    "25": (_BOUNCED, RejectReason.BLOCKED, _SOFT),
    "30": (_BOUNCED, RejectReason.BOUNCED, _HARD),
    "40": (_BOUNCED, RejectReason.BOUNCED, _SOFT),
    "50": (_BOUNCED, RejectReason.BLOCKED, _SOFT),
    "51": (_BOUNCED, RejectReason.SPAM, _SOFT),
    "52": (_BOUNCED, RejectReason.SPAM, _SOFT),
    "53": (_BOUNCED, RejectReason.OTHER, _SOFT),
    "54": (_BOUNCED, RejectReason.BLOCKED, _SOFT),
    "60": (EventType.AUTORESPONDED, RejectReason.OTHER, None),
    "70": (_BOUNCED, RejectReason.BOUNCED, _SOFT),
    "80": (EventType.SUBSCRIBED, RejectReason.OTHER, None),
    "90": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED, None),
    "100": (EventType.AUTORESPONDED, RejectReason.OTHER, None),
}

WebhookSecret = TokenSecret


class Webhook(TokenWebhook):
    """A list of {"msys": {class: event}}; a ping is one without a class. Repeats have the same event_id."""

    def __init__(self, secrets: Sequence[TokenSecret], initial_opens: bool) -> None:
        super().__init__(secrets)
        opened = ("initial_open", "amp_initial_open") if initial_opens else ()
        self._events = {**_EVENTS, **dict.fromkeys(opened, EventType.OPENED)}

    def items(self, request: WebhookRequest) -> Iterable[Mapping[str, Any]]:
        body = loads(request.body)
        if not isinstance(body, list):
            raise ValueError("not a list")
        found: list[Any] = []
        for item in body:
            events = item.get("msys") if isinstance(item, dict) else None
            found += (
                events.values() if isinstance(events, dict) else [item]
            )  # what is no event is kept as it is
        return found

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        kind = self._events.get(word(item.get("type")) or "", EventType.UNKNOWN)
        reason: RejectReason | None = None
        bounce: BounceClass | None = None
        if (number := word(item.get("bounce_class"))) is not None:
            other, reason, bounce = _CLASSES.get(number, (_BOUNCED, RejectReason.OTHER, None))
            kind = kind if other is _BOUNCED else other
            bounce = bounce if kind is _BOUNCED else None
        metadata = texts(item.get("rcpt_meta"))
        said = word(item.get("raw_reason")) or word(item.get("reason"))
        yield DeliveryEvent(
            type=kind,
            reject_reason=reason,
            bounce=bounce,
            event_id=word(item.get("event_id")),
            occurred_at=instant(item.get("timestamp")),
            recipient=word(item.get("raw_rcpt_to")) or word(item.get("rcpt_to")),
            attempt_id=attempt_of(metadata),
            email_id=email_of(metadata),
            provider_message_id=word(item.get("transmission_id")),
            status_code=enhanced_code(said),
            mta_response=said,
            click_url=word(item.get("target_link_url")),
            user_agent=word(item.get("user_agent")),
            tags=words(item.get("campaign_id")),
            metadata=theirs(metadata),
        )


def webhook(_name: str, config: Any, secrets: Sequence[TokenSecret], _world: World) -> Webhook:
    return Webhook(secrets, config.initial_opens)
