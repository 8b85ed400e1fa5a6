"""An email that a provider took for some of its recipients and not for others, as its answer to the send says.

It was taken: it is no doubt, and nobody else may try it. Whom the answer names gets an event that says so; where it
does not name all of those whom it refused, one event says that there are such.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.attempt import SendResult
from domain.events import DeliveryEvent, EventType, RejectReason
from providers.webhooks import canonical, inbound

LISTED = RejectReason.BLOCKED  # by a list of the provider's, which does not say why


def taken_but_for(
    message_id: str | None,
    refused: Iterable[tuple[str, RejectReason]],
    said: str,
    *,
    listed: bool = False,
    others: bool = False,
    taken: Iterable[str] = (),
) -> SendResult:
    """Each of `refused` with the reason; `listed`: they are on the provider's own list. `others`: more were refused,
    whom the answer does not name; `taken`: whom it names as taken.
    """
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
    if others:
        events.append(
            DeliveryEvent(EventType.REJECTED, provider_message_id=message_id, partly=True, description=said)
        )
        events += [
            DeliveryEvent(EventType.SENT, recipient=address, provider_message_id=message_id)
            for address in taken
        ]
    return SendResult(message_id, tuple(inbound(events, canonical({"message_id": message_id, "said": said}))))


def taken_for_some(message_id: str | None, said: str, taken: Iterable[str] = ()) -> SendResult:
    """The answer names nobody whom it refused."""
    return taken_but_for(message_id, (), said, others=True, taken=taken)
