"""Providers, a clock and a sender for the tests of workers.sending, written by hand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any
from uuid import UUID

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import ProviderError
from domain.message import Submission
from domain.ports import Letter, Provider
from tests.builders import a_submission, chance, new_id
from workers.sending import Outgoing, Reply, Sender

QUICK, SLOW, STUCK = 0.00245, 0.13, 0.6  # seconds for one email; the first is just within 20 in a series


class Clock:
    """Time passes where a test says so."""

    chance = chance()

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class InTurn(Executor):
    """Runs everything at once, on the caller's thread: time is then the sum."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **named))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **values: object) -> None:
        self.events.append((event, values))

    warning = exception = info


class One:
    """A provider that takes an email at a time. `fates`: what happens to an attempt instead of being taken."""

    capabilities = Capabilities()

    def __init__(self, clock: Clock, pace: float = QUICK) -> None:
        self.clock, self.pace = clock, pace
        self.id = new_id()
        self.fates: dict[UUID, object] = {}
        self.told: list[UUID] = []

    def send(self, submission: Submission, attempt_id: UUID) -> SendResult:
        result = self.take(Letter(submission, attempt_id))
        if isinstance(result, ProviderError):
            raise result
        return result

    def take(self, letter: Letter) -> SendResult | ProviderError:
        self.told.append(letter.attempt_id)
        fate = self.fates.get(letter.attempt_id)
        self.clock.sleep(fate if isinstance(fate, float) else self.pace)
        if isinstance(fate, ProviderError):
            return fate
        if isinstance(fate, Exception):
            raise fate
        return SendResult(f"<{letter.attempt_id}>")

    def check(self) -> Checkup:
        return Checkup()

    def close(self) -> None: ...


ENDS = object()  # a fate: the series ends before this email


class Several(One):
    """One that takes series. `series`: the attempts of each, `left`: how many have ended."""

    def __init__(self, clock: Clock, pace: float = QUICK) -> None:
        super().__init__(clock, pace)
        self.series: list[list[UUID]] = []
        self.left = 0

    def send(self, *_: object) -> SendResult:
        raise AssertionError("a series was possible")

    def send_series(
        self, letters: Sequence[Letter], go_on: Callable[[], bool]
    ) -> Generator[SendResult | ProviderError, None, None]:
        self.series.append([letter.attempt_id for letter in letters])
        try:
            for letter in letters:
                if not go_on() or self.fates.get(letter.attempt_id) is ENDS:
                    return
                yield self.take(letter)
        finally:
            self.left += 1


APART = object()  # a fate: the email is to go by itself
FORGOTTEN = object()  # a fate: the group says nothing of the email


class Together(One):
    """One that takes groups. `groups`: the attempts of each."""

    def __init__(self, clock: Clock, pace: float = QUICK) -> None:
        super().__init__(clock, pace)
        self.groups: list[list[UUID]] = []

    def send_group(
        self, letters: Sequence[Letter], go_on: Callable[[], bool]
    ) -> Iterator[tuple[int, SendResult | ProviderError | None, float]]:
        self.groups.append([letter.attempt_id for letter in letters])
        for place, letter in enumerate(letters):
            fate = self.fates.get(letter.attempt_id)
            if not go_on():
                return
            if fate is APART:
                yield place, None, 0.0
            elif fate is not FORGOTTEN:
                yield place, self.take(letter), self.pace


class House:
    """A sender, and providers to send through."""

    def __init__(self, pool: Executor | None = None) -> None:
        self.clock, self.log = Clock(), Log()
        self.adapters: dict[UUID, Provider] = {}
        self.sender = Sender(self.adapters.__getitem__, pool or InTurn(), self.clock, self.log)

    def several(self, pace: float = QUICK) -> Several:
        adapter = Several(self.clock, pace)
        self.adapters[adapter.id] = adapter
        return adapter

    def one(self, pace: float = QUICK) -> One:
        adapter = One(self.clock, pace)
        self.adapters[adapter.id] = adapter
        return adapter

    def send(self, window: Sequence[Outgoing], go_on: Callable[[], bool] = lambda: True) -> list[Reply]:
        return self.sender.send(window, go_on)

    def together(self) -> Together:
        adapter = Together(self.clock)
        self.adapters[adapter.id] = adapter
        return adapter

    def familiar(self, pace: float = QUICK) -> Several:
        """A provider whose pace is known."""
        adapter = self.several(pace)
        self.send(emails(adapter, 2))
        adapter.series.clear()
        adapter.told.clear()
        adapter.left = 0
        return adapter


def emails(adapter: One, count: int) -> list[Outgoing]:
    return [Outgoing(adapter.id, "the-provider", Letter(a_submission(), new_id())) for _ in range(count)]


def attempts(window: Sequence[Outgoing]) -> list[UUID]:
    return [email.letter.attempt_id for email in window]


def codes(replies: Sequence[Reply]) -> list[str]:
    return ["sent" if r.sent else r.error.code if r.error else "not made" for r in replies]


def sent_ids(replies: Sequence[Reply]) -> list[str | None]:
    return [reply.sent.provider_message_id if reply.sent else None for reply in replies]
