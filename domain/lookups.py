"""Looking for an email whose end nobody knows, at the provider that may have sent it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable
from uuid import UUID

from domain.events import InboundEvent
from domain.ports import Provider


@dataclass(frozen=True, slots=True)
class Sought:
    """An email that an account may have sent, by what went with it.

    `attempt_id` None: by whatever attempt, since a restored database may have lost it. It was not sent before `since`.
    """

    provider_id: UUID
    email_id: UUID
    attempt_id: UUID | None
    sender_domain: str
    recipients: tuple[str, ...]
    since: datetime

    @property
    def about(self) -> UUID:
        """What looks are counted by: the attempt, or the email where any attempt is looked for."""
        return self.attempt_id or self.email_id


@runtime_checkable
class SearchingProvider(Provider, Protocol):
    """A provider that can be asked whether it has an email, by our ids that travelled with it."""

    def find(self, sought: Sought) -> Sequence[InboundEvent]:
        """What the provider tells of the email, as its webhook would; every event bears our attempt's id.

        Nothing: it does not know of it, which proves nothing, as none of them says how soon it must. Of several
        recipients it may tell of some only. Raises ProviderError.
        """
        ...


class LookupStore(Protocol):
    def take(self, by_attempt: Collection[UUID], by_email: Collection[UUID]) -> Sequence[Sought]:
        """What is to be looked for now, with growing pauses and a few for each account: attempts in doubt at the
        accounts `by_attempt`, and emails that a recovery holds at those `by_email`. Whoever is told of one has it.
        """
        ...

    def give_back(self, sought: Collection[Sought]) -> None:
        """These were not looked for after all: the next look comes no later than it would have."""
        ...
