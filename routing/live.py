"""The port of the soft state that all workers share: breakers and rates. `db.live` keeps it in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.value import value
from routing.breaker import Breaker, Sign


@value
class Signal:
    """The end of a call, as a sign for the breaker. `retry_after` in seconds."""

    provider_id: UUID
    sign: Sign
    probe: bool = False
    cause: str = ""
    retry_after: float | None = None


@value
class Grant:
    """`granted` emails may go now; more after `retry_after` seconds. `room`: the part of the burst that is left."""

    granted: int
    retry_after: float
    room: float = 1.0


@value
class Wish:
    """`count` emails at a provider whose rate is `per_second`."""

    per_second: float
    count: int


class LiveState(Protocol):
    """Soft state shared by all workers. It may be lost at any time, and then starts afresh."""

    def breakers(self, providers: Sequence[UUID]) -> Mapping[UUID, Breaker]: ...

    def fold(self, signs: Sequence[Signal], now: datetime) -> None: ...

    def take_probe(self, provider: UUID, now: datetime) -> bool:
        """Whether this caller alone may send the probe that is due."""
        ...

    def reserve(self, wishes: Mapping[UUID, Wish]) -> Mapping[UUID, Grant]:
        """Take of several providers' rates at once, in one round trip."""
        ...
