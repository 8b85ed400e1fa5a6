"""What passes between a recovery after a restore and the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.delivery import Release
from domain.lifecycle import Status


@dataclass(frozen=True, slots=True)
class Suspect:
    """An email that the lost world may have sent: it was due, or in a worker's hands, at the backup or since."""

    job_id: UUID
    status: Status
    round: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a recovery finds. `suspects`: to be held; `held`: by an earlier recovery; `later`: due at a time to come;
    `accepted_since`: emails from after the given time, which stay as they are; `newest`: the latest trace of work in
    the database; `alive`: worker processes whose lease holds.
    """

    now: datetime
    suspects: int
    held: int
    later: int
    accepted_since: int
    newest: datetime | None
    alive: int


class RecoveryStore(Protocol):
    def outlook(self, since: datetime, reason: str) -> Outlook: ...

    def suspects(self, since: datetime, limit: int) -> Sequence[Suspect]:
        """Emails from before `since` that are due now or in somebody's hands, and not held."""
        ...

    def held(self, reason: str, limit: int) -> Sequence[Suspect]:
        """Emails that are held with this reason."""
        ...

    def put(self, moves: Sequence[Release]) -> None:
        """Put emails down that no living worker holds."""
        ...


class RecoveryUnit(Protocol):
    @property
    def recovery(self) -> RecoveryStore: ...

    def commit(self) -> None: ...
