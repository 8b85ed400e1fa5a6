"""An email that a provider took for some of its recipients and not for others, as its answer to the send says.

It was taken: it is no doubt, and nobody else may try it. Whom the answer names gets an event that says so.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.attempt import SendResult
from domain.events import DeliveryEvent, EventType, RejectReason
from providers.webhooks import canonical, inbound

LISTED = RejectReason.BLOCKED  # by a list of the provider's, which does not say why


def taken_but_for(
    message_id: str, refused: Iterable[tuple[str, RejectReason]], said: str, *, listed: bool
) -> SendResult:
    """Each of `refused` with the reason; `listed`: they are on the provider's own list."""
    events = [
        DeliveryEvent(
            EventType.REJECTED,
            recipient=address,
            provider_message_id=message_id,
            reject_reason=reason,
            listed=listed,
            description=said,
        )
        for address, reason in refused
    ]
    return SendResult(message_id, tuple(inbound(events, canonical({"message_id": message_id, "said": said}))))


def taken_for_some(message_id: str, said: str) -> SendResult:
    """Nobody is named: the email's timeline tells, and the provider's later events say what became of whom."""
    event = DeliveryEvent(EventType.UNKNOWN, provider_message_id=message_id, description=said)
    return SendResult(
        message_id, tuple(inbound([event], canonical({"message_id": message_id, "said": said})))
    )
