"""What passes between a recovery after a restore and the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from domain.delivery import Release
from domain.lifecycle import Status

HELD_BECAUSE: Final = "restored from a backup; it may have been sent since"
RELEASED_BECAUSE: Final = "sent after a restore, by an operator's decision; it may have been sent before"


class WorkersAlive(Exception):
    """Somebody may be sending."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An email that the lost world may have sent: due, in a worker's hands, or in doubt, at the backup or since."""

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
    def outlook(self, since: datetime) -> Outlook: ...

    def suspects(self, since: datetime, limit: int) -> Sequence[Suspect]:
        """Emails from before `since` that are due now, in somebody's hands or in doubt, and not held by a recovery."""
        ...

    def held(self, limit: int) -> Sequence[Suspect]:
        """Emails that a recovery holds."""
        ...

    def put(self, moves: Sequence[Release]) -> None:
        """Put emails down. Raises WorkersAlive where a worker lives."""
        ...

    def never_resend(self, emails: Sequence[UUID]) -> None:
        """Whatever their senders asked for in doubt: it may have been done already."""
        ...

    def note(self, since: datetime) -> None:
        """Remember that attempts since then may be missing, and look again at events that nothing was known of."""
        ...


class RecoveryUnit(Protocol):
    @property
    def recovery(self) -> RecoveryStore: ...

    def commit(self) -> None: ...
