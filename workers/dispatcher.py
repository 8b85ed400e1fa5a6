"""What delivery works with, and how much it does at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from domain.delivery import MOST_BYTES
from domain.message import Lane
from domain.ports import Clock, Log, WorkerUnit
from routing.live import LiveState
from routing.news import Newsroom, Silent
from routing.policy import Patience
from routing.snapshot import Snapshot
from workers.files import NO_FILES, Reader
from workers.sending import Sender

_FIRST_CLAIM = 200  # emails
_CLAIM_SECONDS = 0.5  # that a claim is to last


class Run(Protocol):
    """The claim to life of this process: the lease that fences what it sends and writes."""

    @property
    def id(self) -> UUID: ...

    def alive(self) -> bool:
        """Whether the lease still holds, by the monotonic clock."""
        ...


class Fleet(Protocol):
    """The providers as they are configured now."""

    def snapshot(self) -> Snapshot:
        """Everything the router needs, as it was a moment ago; breakers left closed."""
        ...

    def outdate(self) -> None:
        """What was read before is known to be wrong: read it anew."""
        ...


@dataclass(frozen=True, slots=True)
class Knobs:
    """`batch`: emails per claim, at most; `most_bytes`: of their bodies; `window` and `bulk_window`: attempts of a
    claim open at once, which is what a kill -9 leaves in doubt; `claim_cap`: claims that may die; seconds else.

    The bulk lane's window goes in two halves: one is on the wire while the other is recorded and the next opened.
    """

    batch: int = 1000
    window: int = 25
    bulk_window: int = 100
    most_bytes: int = MOST_BYTES
    claim_cap: int = 5
    drain_seconds: float = 20.0
    patience: Patience = Patience()

    def flights_of(self, lane: Lane) -> tuple[int, int]:
        """How many emails go out at once, and how many such flights may be under way."""
        return (-(-self.bulk_window // 2), 2) if lane is Lane.BULK else (self.window, 1)

    @property
    def first_claim(self) -> int:
        """Emails to claim while it is not known how fast they go."""
        return min(self.batch, _FIRST_CLAIM)

    def next_claim(self, lane: Lane, carried: int, seconds: float) -> int:
        """Emails to claim next, where a claim of so many took so long: about what goes within half a second.

        Nothing is on the wire between two claims, so that larger ones are faster. But who pauses a campaign, halts a
        user or has an OTP behind a campaign waits for a claim that was taken already.
        """
        seats, flights = self.flights_of(lane)
        wanted = int(carried / max(seconds, _CLAIM_SECONDS / self.batch) * _CLAIM_SECONDS)
        return min(self.batch, max(seats * flights, wanted))


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """What delivery works with. `crew` carries flights while the next is prepared. `stopping()`: the process is asked
    to end; what is not begun is given back. `ring_events()`: a provider told what became of an email at once.
    """

    units: Callable[[], AbstractContextManager[WorkerUnit]]
    fleet: Fleet
    live: LiveState
    clock: Clock
    ids: Callable[[], UUID]
    sender: Sender
    crew: Executor
    log: Log
    knobs: Knobs = Knobs()
    stopping: Callable[[], bool] = lambda: False
    newsroom: Newsroom = Silent()
    files: Reader = NO_FILES
    ring_events: Callable[[], None] = lambda: None
