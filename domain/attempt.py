"""One try of one email at one provider, and how it ended."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from domain.events import InboundEvent
from domain.value import value


class Outcome(StrEnum):
    """The only three things that can be known of a try."""

    ACCEPTED = "accepted"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


@value
class SendResult:
    """A provider took the email. `provider_message_id` is its own name for it, where it gave one; `events`: what it
    tells at once of what became of it.
    """

    provider_message_id: str | None = None
    events: tuple[InboundEvent, ...] = ()


@value
class Attempt:
    """A line of the ledger, opened before the wire. `outcome` None: still open."""

    id: UUID
    job_id: UUID
    provider_id: UUID
    provider: str
    round: int
    outcome: Outcome | None = None
    error: str | None = None
