"""What workers tell the learner: attempts that begin and end, and what providers say of them later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol
from uuid import UUID

from domain.errors import Misconfigured, OutcomeUnknown, ProviderError, ProviderUnavailable, RateLimited
from domain.value import value
from routing.outlook import Standing
from routing.signs import End
from routing.snapshot import Worths


@value
class Began:
    """Attempts of one window at one provider, before the wire. Times are seconds of the database's clock.

    `kinds`: per attempt, whose email it is, its type and its mailbox group. `probes`: those that are to find out
    whether the provider is well again.
    """

    provider: UUID
    at: float
    attempts: tuple[int, ...]
    kinds: tuple[tuple[UUID, str, int], ...]
    probes: tuple[int, ...] = ()


@value
class Ended:
    """How attempts at a provider ended: number, end, and the seconds that the call took."""

    provider: UUID
    at: float
    ends: tuple[tuple[int, End, float], ...]


@value
class Heard:
    """What became of an email that was accepted (or timed out) at `accepted_at`, in one mailbox group."""

    provider: UUID
    at: float
    attempt: int
    group: int
    delivered: bool
    accepted_at: float


@value
class Healed:
    """An operator says that a provider (EVERYBODY: that all) is well: what was held against it goes."""

    provider: UUID


News = Began | Ended | Heard | Healed


@value
class View:
    """What the learner last published: a standing per provider, and the rates that refusals have taught.

    `at`: when, by the database's clock. `prices`: what the next recipient costs, $ per 1,000, where a price list is
    known. `worths`: what emails of each type are worth.
    """

    version: int
    at: float
    standings: Mapping[UUID, Standing] = field(default_factory=dict)
    rates: Mapping[UUID, float] = field(default_factory=dict)
    prices: Mapping[UUID, float] = field(default_factory=dict)
    worths: Worths = field(default_factory=dict)


EVERYBODY = UUID(int=0)
NO_VIEW = View(0, 0.0)


class Newsroom(Protocol):
    """Carries news to the learner and its view to everybody. Soft: what is lost is learned anew."""

    def tell(self, news: Sequence[News]) -> None:
        """Returns at once and never fails."""
        ...

    def view(self) -> View:
        """The latest; NO_VIEW where there is none, or where the learner has been silent for long."""
        ...


class Silent:
    """A newsroom without a learner."""

    def tell(self, news: Sequence[News]) -> None:
        """Nobody listens."""

    def view(self) -> View:
        return NO_VIEW


def number_of(attempt: UUID) -> int:
    """An attempt's number in the news: the random end of its id, as far as JSON's numbers are exact."""
    return attempt.int & 0xFFFFFFFFFFFFF


def end_of(error: ProviderError | None) -> End:
    """What the end of a call says of the provider. A refusal of the email itself shows that it works."""
    if error is None:
        return End.ACCEPTED
    if isinstance(error, RateLimited):
        return End.THROTTLED
    if isinstance(error, Misconfigured):
        return End.ACCOUNT_FAULT
    if isinstance(error, OutcomeUnknown):
        return End.TIMED_OUT
    return End.FAILED if isinstance(error, ProviderUnavailable) else End.ACCEPTED
