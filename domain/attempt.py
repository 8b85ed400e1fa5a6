"""One try of one email at one provider, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Outcome(StrEnum):
    """The only three things that can be known of a try."""

    ACCEPTED = "accepted"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SendResult:
    """A provider took the email. `provider_message_id` is its own name for it, where it gave one."""

    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A line of the ledger, opened before the wire. `outcome` None: still open."""

    id: UUID
    job_id: UUID
    provider_id: UUID
    provider: str
    round: int
    outcome: Outcome | None = None
    error: str | None = None
