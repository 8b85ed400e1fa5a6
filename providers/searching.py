"""What the adapters share that look for an email by our ids, at providers whose API can be asked that.

What is found is read as the provider's webhook reads it, so that both tell the same. It counts only where it bears our
ids itself: an answer that is not about what was asked for proves nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.errors import Misconfigured
from domain.events import DeliveryEvent, EventType, InboundEvent, WebhookRequest
from domain.lookups import Sought
from providers.answers import LARGEST_LIST
from providers.base import UNREADABLE, HTTPProvider
from providers.exchange import Request
from providers.fields import ATTEMPT, EMAIL
from providers.webhooks import JSONWebhook, attempt_of, canonical, email_of, inbound

MOST = 10  # emails, or recipients of one, that a look asks for in detail
_NO_CALL = WebhookRequest("")


class Searching(HTTPProvider):
    """domain.lookups.SearchingProvider over HTTP."""

    _fields: Mapping[str, str]

    def find(self, sought: Sought) -> Sequence[InboundEvent]:
        try:
            return list(self.search(sought))
        except UNREADABLE as error:
            raise Misconfigured(self.name, "its search does not answer in the documented form") from error

    @abstractmethod
    def search(self, sought: Sought) -> Iterable[InboundEvent]:
        """As `find`, raising whatever a strange answer raises."""

    def told(self, path: str) -> Any:
        """The JSON of an answer about emails. Raises ProviderError, and ValueError where it is none."""
        fields = {name: value for name, value in self._fields.items() if name != "Content-Type"}
        return self.json(self.passed(self._origin.perform(Request("GET", path, fields), LARGEST_LIST)))


def key_of(sought: Sought) -> tuple[str, str]:
    """The name and the value of the id of ours that is looked for."""
    if sought.attempt_id is not None:
        return ATTEMPT, str(sought.attempt_id)
    return EMAIL, str(sought.email_id)


def is_sought(metadata: Mapping[str, object], sought: Sought) -> bool:
    """Whether what a provider found bears our ids, and those that were asked for."""
    attempt = attempt_of(metadata)
    if sought.attempt_id is not None:
        return attempt == sought.attempt_id
    return attempt is not None and email_of(metadata) == sought.email_id


def found(
    attempt_id: UUID, email_id: UUID, message_id: str | None, raw: object, at: datetime | None = None
) -> InboundEvent:
    """That the provider has the email, and so took it."""
    event = DeliveryEvent(
        EventType.SENT, occurred_at=at, attempt_id=attempt_id, email_id=email_id, provider_message_id=message_id,
        description="the provider was asked, and has it",
    )  # fmt: skip
    return InboundEvent(f"found:{attempt_id}", event, canonical(raw))


def as_told(webhook: JSONWebhook[Any], item: Mapping[str, Any]) -> list[InboundEvent]:
    """The events of an item in the form of the provider's webhook, with the keys that they would have there."""
    return inbound(webhook.read(item, _NO_CALL), canonical(item))
