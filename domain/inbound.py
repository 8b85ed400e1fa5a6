"""What passes between the applying of providers' events and the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.attempt import Outcome
from domain.events import DeliveryEvent
from domain.lifecycle import Status
from domain.message import Lane
from domain.stats import Tick


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored event that is due. `age`: seconds since it came; `tries`: how often it was looked at in vain."""

    id: UUID
    provider_id: UUID
    event: DeliveryEvent
    age: float
    tries: int


@dataclass(frozen=True, slots=True)
class Match:
    """The attempt that an event is of. `open`: the ledger does not say yet how it ended.

    `settled_at`: when it ended, and `received_at`: when the event came, in seconds of the database's clock.
    """

    attempt_id: UUID
    job_id: UUID
    open: bool
    provider_id: UUID
    settled_at: float | None
    received_at: float


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that is known of an email. `events`: those applied before, with their attempts.

    `queued`: it still has a row in the queue, which this transaction holds; `held`: it waits there for evidence.
    `restored`: since the database was restored from a backup, so that attempts of it may be missing.
    """

    job_id: UUID
    status: Status
    lane: Lane
    recipients: Sequence[str]
    attempts: Mapping[UUID, Outcome | None]
    providers: Mapping[UUID, UUID]
    events: Sequence[tuple[UUID, DeliveryEvent]]
    queued: bool
    held: bool
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """An applied event: its line in the timeline, with the email's status after it."""

    event_id: UUID
    job_id: UUID
    attempt_id: UUID
    provider_id: UUID
    event: DeliveryEvent
    status: Status


@dataclass(frozen=True, slots=True)
class Change:
    """What evidence makes of an email. `close`: its row in the queue goes; `retry`: it is due again at once.

    `outcomes`: attempts that were unknown and are so no longer. `ticks`: how its attempts are counted from now on.
    """

    job_id: UUID
    status: Status
    reason: str | None
    provider_id: UUID | None
    outcomes: Mapping[UUID, Outcome]
    close: bool = False
    retry: bool = False
    ticks: Sequence[Tick] = ()
