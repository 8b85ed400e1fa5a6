"""What the use cases need of the world, named by intent. Adapters are chosen in `wiring/`."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, runtime_checkable
from uuid import UUID

from domain.attempt import SendResult
from domain.budgets import BudgetNotice
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.delivery import (
    MOST_BYTES,
    CallLine,
    Claim,
    Doubt,
    DoubtfulCall,
    Ending,
    HomeMove,
    LoadedEmail,
    Move,
    Opened,
    Opening,
    Release,
)
from domain.errors import ProviderError
from domain.events import InboundEvent, Notice, Verified, WebhookRequest
from domain.files import FileLines
from domain.inbound import Change, Dossier, Match, Note, Waiting
from domain.intake import Accepted, Entry, KeyTaken, Memo, Sender, Surroundings
from domain.message import Lane, Submission
from domain.suppression import LeftOut, Listing, ListPage, Report
from domain.upkeep import Duty, Retention
from domain.value import value


class Provider(Protocol):
    """One account at one email provider. Safe to use from several threads at once."""

    @property
    def capabilities(self) -> Capabilities: ...

    def send(self, submission: Submission, attempt_id: UUID) -> SendResult:
        """Hand the email over, once; `attempt_id` travels as the provider's metadata.

        Returns only where the provider clearly accepted the email for every recipient. Raises a
        domain.errors.ProviderError otherwise, and nothing else. Never repeats a send by itself.
        """
        ...

    def check(self) -> Checkup:
        """Open a real connection and sign in, sending nothing; tell what the provider tells. Raises ProviderError."""
        ...

    def close(self) -> None:
        """Give back connections. The provider is not used afterwards."""
        ...


@value
class Letter:
    """One email for one send. `attempt_id` travels as the provider's metadata."""

    submission: Submission
    attempt_id: UUID


@runtime_checkable
class SeriesProvider(Provider, Protocol):
    """A provider whose connection carries several emails, one after the other, each with its own answer."""

    def send_series(
        self, letters: Sequence[Letter], go_on: Callable[[], bool]
    ) -> Generator[SendResult | ProviderError, None, None]:
        """Hand the emails over in turn, and yield how each ended as soon as that is known. Raises nothing.

        No email can be taken before the one ahead of it has its result. `go_on()` is asked before an email is
        told and again before its content goes; once it says no, nothing more is sent and the iterator ends.
        """
        ...


@runtime_checkable
class GroupProvider(Provider, Protocol):
    """A provider that waits for the answers to several requests at once, in one thread."""

    def send_group(
        self, letters: Sequence[Letter], go_on: Callable[[], bool]
    ) -> Iterator[tuple[int, SendResult | ProviderError | None, float]]:
        """Send the emails at the same time, and yield how each ended as soon as that is known: its place, the result,
        and the seconds that it took. Raises nothing.

        None: nothing of it was sent, it is to go by itself; these come before any waiting. `go_on()` is asked before
        each email is sent; those after it says no are not yielded.
        """
        ...


@value
class Call:
    """One request, composed and not sent, with the emails in it in their order.

    `key`: by what the provider knows it again, where it does. `request` is the provider's own affair; emails and
    attempts being the same, it has the same bytes and so the same `payload_hash` (SHA-256).
    """

    letters: tuple[Letter, ...]
    key: str
    payload_hash: bytes
    request: object = field(repr=False, compare=False)

    @property
    def attempts(self) -> tuple[UUID, ...]:
        return tuple(letter.attempt_id for letter in self.letters)


@runtime_checkable
class CallProvider(Provider, Protocol):
    """A provider of which a call may carry several emails, or may be made again."""

    def pack(self, letters: Sequence[Letter], most: int) -> Sequence[Call]:
        """Compose calls of at most so many emails. What is in none of them is for `send`. Raises nothing."""
        ...

    def send_many(self, call: Call) -> Sequence[SendResult | ProviderError]:
        """Make the call, once; how each of its emails ended, in their order.

        Raises ProviderError where the provider answered, or did not answer, the call as a whole: that is so of
        all its emails.
        """
        ...


@runtime_checkable
class ReportingProvider(Provider, Protocol):
    """A provider whose news come into a mailbox, from which they are fetched."""

    def collect(self, keep: Callable[[Sequence[InboundEvent]], None], go_on: Callable[[], bool]) -> int:
        """Read what is new, and give it to `keep` before it counts as read; returns how many events there were.

        What was given once may be given again after a failure, under the same keys. Raises ProviderError; what `keep`
        raises, at once; and, when all others are read, what broke the reading of one, or the Unstorable that `keep`
        raised of it: that one is not read again.
        """
        ...


@runtime_checkable
class ListingProvider(Provider, Protocol):
    """A provider that tells whom it does not write to any more."""

    def suppressions(self, cursor: str | None) -> ListPage:
        """A page of all its lists, from the `next` of the page before (None: the first).

        Raises ProviderError, and ValueError where there is no such place.
        """
        ...


class WebhookReceiver(Protocol):
    """Reads the webhook of one provider account. Safe to use from several threads at once.

    It is built with the account's secrets: several while they rotate, of which any one may prove a call.
    """

    def verify(self, request: WebhookRequest, now: datetime) -> Verified:
        """Prove on the raw body that the provider made the call, and lately.

        Raises domain.events.Forged, also where no secret is configured. It reads nothing but what it must to
        verify. May ask the provider for a public key; where that fails it raises ProviderError, and the caller
        answers 503 so that the provider repeats its call.
        """
        ...

    def parse(self, request: WebhookRequest) -> Notice:
        """Read a verified call. Raises domain.events.Unreadable. An event of an unknown kind is no error."""
        ...


class DeliveryQueue(Protocol):
    def ring(self, lane: Lane) -> None:
        """Say that the lane has due emails. Returns at once and never fails: the sweeper makes good a lost ring."""
        ...

    def ring_events(self) -> None:
        """Say that providers' events wait to be applied. As above."""
        ...


class Clock(Protocol):
    """Durations and chance. Wall time is the database's (`mm_now()`), never the process's."""

    @property
    def chance(self) -> random.Random: ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def sleep(self, seconds: float) -> None: ...


class Log(Protocol):
    """Structured events: a name and values, ids only, never addresses or bodies."""

    def info(self, event: str, **values: object) -> object: ...

    def warning(self, event: str, **values: object) -> object: ...

    def exception(self, event: str, **values: object) -> object:
        """With the traceback of the exception being handled."""
        ...


class DeliveryStore(Protocol):
    """The queue, the ledger and what routing needs to know, in one transaction."""

    def claim(self, lane: Lane, run: UUID, limit: int, shuffle: Callable[[list[UUID]], None]) -> Claim:
        """Take up to `limit` due rows, users in turn; rows whose earlier claims died come one at a time."""
        ...

    def load(self, job_ids: Sequence[UUID], most_bytes: int = MOST_BYTES) -> Mapping[UUID, LoadedEmail]:
        """Read emails. Where their different bodies are more than `most_bytes` some are left out, never all."""
        ...

    def fence(self, run: UUID) -> None:
        """Hold the run's lease to the end of the transaction. Raises LeaseLost where it has passed."""
        ...

    def settle(self, run: UUID, token: int, endings: Sequence[Ending], moves: Sequence[Move]) -> None:
        """Write outcomes, refunds and next steps. Rows that this claim no longer holds are left alone."""
        ...

    def open(self, run: UUID, token: int, openings: Sequence[Opening]) -> Opened:
        """Reserve quota and budget, and open ledger lines for the rows that this claim still holds."""
        ...

    def stop(self, budgets: Collection[UUID]) -> Sequence[BudgetNotice]:
        """Say that these budgets keep emails back. Returns what is told of it: once in a period of each."""
        ...

    def halt(self, run: UUID, token: int, job_ids: Collection[UUID]) -> Collection[UUID]:
        """Those of these emails that are not to be sent for now. Their places in time are taken from them."""
        ...

    def place(self, run: UUID, token: int, job_ids: Collection[UUID]) -> Mapping[UUID, float]:
        """Give emails of campaigns their places in time, one after the other. Returns the seconds until them."""
        ...

    def doubted(self, job_ids: Sequence[UUID]) -> Collection[UUID]:
        """Those of these emails that are unknown or that some try may have brought."""
        ...

    def leave_out(self, job_id: UUID, left_out: Sequence[LeftOut]) -> None:
        """Write down that an email goes without some of its recipients."""
        ...

    def move_homes(self, moves: Sequence[HomeMove]) -> None:
        """Note where steady emails go from now on. Where another worker has moved there before, that holds."""
        ...

    def note_calls(self, lines: Sequence[CallLine]) -> None:
        """Write which emails go in one call; their attempts are open."""
        ...

    def doubtful_call(self, but: Collection[UUID]) -> DoubtfulCall | None:
        """A call to be made again now, with growing pauses: nobody knows how it ended, and the provider knows it still.
        None of the accounts in `but`. Whoever is told of it has it, and its emails, for a minute.
        """
        ...

    def next_due(self, lane: Lane) -> float | None:
        """Seconds until the lane's next row is due (0 or less: now); None: the lane is empty."""
        ...


class InboundStore(Protocol):
    """Providers' events, stored before they are applied, in one transaction.

    Its locks wait for no worker: what another holds is left for a moment later.
    """

    def take(self, limit: int) -> Sequence[Waiting]:
        """The events that are due, oldest first, held to the end of the transaction."""
        ...

    def match(self, events: Sequence[UUID]) -> Mapping[UUID, Match]:
        """The attempts of events, by our id or by the provider's; those without one are left out."""
        ...

    def adopt(self, events: Sequence[UUID]) -> Mapping[UUID, Match]:
        """Write attempts into the ledger that a restore of the database has lost, and that these events tell of.

        They are in doubt there, until the events are applied. Returns what matches then.
        """
        ...

    def hold(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Dossier]:
        """Hold these emails, and tell of them; those that another transaction or a worker holds are left out."""
        ...

    def record(self, notes: Sequence[Note], changes: Sequence[Change]) -> None:
        """Write what the events make of the emails; the events are done with."""
        ...

    def report(self, reports: Sequence[Report]) -> None:
        """Fold what events say of addresses into the suppression lists of those who had written."""
        ...

    def postpone(self, delays: Mapping[UUID, float]) -> None:
        """Look at these events again, each in so many seconds."""
        ...

    def keep(self, events: Sequence[tuple[UUID, InboundEvent]]) -> int:
        """Store events of provider accounts; what is there already stays as it is. Returns how many are new."""
        ...

    def leave(self, events: Sequence[UUID]) -> None:
        """These events belong to no email of ours: they are kept, and not looked at again."""
        ...

    def next_due(self) -> float | None:
        """Seconds until the next event is due (0 or less: now); None: there is none."""
        ...


class UpkeepStore(Protocol):
    def lead(self, duty: Duty) -> bool:
        """Whether this transaction alone does the duty now."""
        ...

    def bury_runs(self) -> int:
        """Delete runs whose lease has passed; returns how many."""
        ...

    def doubts(self) -> Sequence[Doubt]:
        """Settle the attempts that dead runs left open as unknown."""
        ...

    def hold(self, moves: Sequence[Release]) -> None:
        """Put the emails of such attempts on hold."""
        ...

    def free_orphans(self) -> int:
        """Make the other claims of dead runs claimable again; returns how many."""
        ...

    def due_lanes(self) -> Sequence[Lane]: ...

    def overdue(self, every: Mapping[Duty, float]) -> Sequence[Duty]:
        """The duties that were not done for so many seconds, each by its own."""
        ...

    def note_done(self, duty: Duty) -> None: ...

    def measure_providers(self) -> None:
        """Fold the ledger's last slots into the providers' performance, its history and the reliability scores."""
        ...

    def add_up_stats(self) -> bool:
        """Add a part of what is due to the statistics; False: there is more."""
        ...

    def purge(self, retention: Retention) -> bool:
        """Take a part of what is too old away; False: there is more."""
        ...

    def forget_idempotency_keys(self) -> int: ...


class QuotaStore(Protocol):
    def roll(self) -> int:
        """Open the next window where one has ended; returns how many."""
        ...


class RunStore(Protocol):
    def start(self, run: UUID, host: str, pid: int, lease: float) -> None: ...

    def renew(self, run: UUID, lease: float) -> bool:
        """False: the lease has already passed; the run is dead and stays so."""
        ...

    def end(self, run: UUID) -> None:
        """The process ends in order: what it still holds, if anything, is the sweeper's at once."""
        ...


class WorkerUnit(Protocol):
    """A unit of work as the workers see it."""

    @property
    def delivery(self) -> DeliveryStore: ...

    @property
    def upkeep(self) -> UpkeepStore: ...

    @property
    def inbound(self) -> InboundStore: ...

    @property
    def quotas(self) -> QuotaStore: ...

    @property
    def attachments(self) -> FileLines: ...

    @property
    def runs(self) -> RunStore: ...

    def commit(self) -> None: ...


class IntakeStore(Protocol):
    """What accepting emails reads and writes, in one transaction."""

    def survey(
        self,
        senders: Collection[Sender],
        types: Collection[str],
        providers: Collection[str],
        campaigns: Collection[UUID] = (),
        domains: Collection[str] = (),
        regions: Collection[str] = (),
    ) -> Surroundings:
        """Read the time, which of these email types, provider names and regions there are for the senders, whose API
        keys still stand, and which of these domains somebody has proved to be theirs.
        """
        ...

    def remember(self, memos: Sequence[Memo]) -> Sequence[Sequence[Accepted] | KeyTaken | None]:
        """Keep answers under their requests' keys. For each: None where it is kept now, the answer kept before,
        or KeyTaken where the key belongs to another request.

        Raises domain.intake.KeyInFlight where a transaction that holds a key does not end in time, or where two
        memos have one key.
        """
        ...

    def forget(self, memos: Sequence[Memo]) -> None:
        """Take back answers that this transaction has kept."""
        ...

    def add(self, entries: Sequence[Entry]) -> None:
        """Write contents, jobs, queue rows and the first lines of the timelines."""
        ...

    def book(self, campaign_id: UUID, emails: int) -> datetime:
        """Take so many of a throttled campaign's places in time; returns the first."""
        ...

    def listed(self, pairs: Collection[tuple[UUID, str]]) -> Mapping[tuple[UUID, str], Sequence[Listing]]:
        """What the suppression lists of users say of addresses, which are in lower case."""
        ...


class IntakeWork(Protocol):
    """A unit of work for intake: leaving it without a commit takes everything back."""

    @property
    def intake(self) -> IntakeStore: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def commit(self) -> None: ...
