"""Looking for an attempt at Mailjet: GET /v3/REST/message by CustomID, a message for each recipient.

Source: dev.mailjet.com/email/reference/messages: CustomID, ShowCustomID, ShowContactAlt, the values of Status, and
of StateID, which says why a message was not delivered. It does not say how soon a message is found. The rest of what
went with an email (EventPayload) cannot be looked for, so an attempt that is lost is not found by its email's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from domain.events import BounceClass, DeliveryEvent, EventType, InboundEvent, RejectReason
from domain.lookups import Sought
from providers.searching import Searching, found
from providers.webhooks import attempt_of, canonical, inbound, instant, word

_EVENTS: Mapping[str | None, tuple[EventType, BounceClass | None]] = {
    "sent": (EventType.DELIVERED, None),  # "accepted by the destination mail server", as in the webhook
    "opened": (EventType.OPENED, None),
    "clicked": (EventType.CLICKED, None),
    "bounce": (EventType.BOUNCED, BounceClass.SOFT),
    "hardbounced": (EventType.BOUNCED, BounceClass.HARD),
    "softbounced": (EventType.BOUNCED, BounceClass.SOFT),
    "deferred": (EventType.DEFERRED, None),
    "spam": (EventType.COMPLAINED, None),
    "unsub": (EventType.UNSUBSCRIBED, None),
    "blocked": (EventType.REJECTED, None),
}
_STATES = {
    **dict.fromkeys(range(1, 7), RejectReason.BOUNCED),  # the recipient's mailbox or domain
    **dict.fromkeys(range(7, 10), RejectReason.BLOCKED),  # the sender, the content, a policy
}
_WITH_REASON = frozenset({EventType.BOUNCED, EventType.REJECTED})


class MailjetSearch(Searching):
    def search(self, sought: Sought) -> Iterable[InboundEvent]:
        attempt = sought.attempt_id
        if attempt is None:
            return
        query = {"CustomID": attempt, "ShowCustomID": "true", "ShowContactAlt": "true", "Limit": 100}
        for item in self.told(f"/v3/REST/message?{urlencode(query)}")["Data"]:
            if attempt_of({"id": item.get("CustomID")}, "id") != attempt:
                continue
            message_id = word(item["ID"])
            kind, bounce = _EVENTS.get(word(item.get("Status")), (EventType.SENT, None))
            at = instant(item.get("ArrivedAt"))
            if kind is not EventType.REJECTED:
                yield found(attempt, sought.email_id, message_id, item, at)
            if kind is EventType.SENT:
                continue  # "queued" and "unknown": nothing has become of it yet
            event = DeliveryEvent(
                kind, recipient=word(item.get("ContactAlt")), attempt_id=attempt, email_id=sought.email_id,
                provider_message_id=message_id, bounce=bounce,
                reject_reason=_STATES.get(item.get("StateID"), RejectReason.OTHER) if kind in _WITH_REASON else None,
                description=f"the provider was asked: {word(item.get('Status'))}",
            )  # fmt: skip
            yield from inbound([event], canonical(item))
