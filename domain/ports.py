"""What the use cases need of the world, named by intent. Adapters are chosen in `wiring/`."""

from __future__ import annotations

import random
from typing import Protocol
from uuid import UUID

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.message import Lane, Submission


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

    def check(self) -> None:
        """Open a real connection and sign in, sending nothing. Raises ProviderError."""
        ...

    def close(self) -> None:
        """Give back connections. The provider is not used afterwards."""
        ...


class DeliveryQueue(Protocol):
    def ring(self, lane: Lane) -> None:
        """Say that the lane has due emails. Returns at once and never fails: a lost ring is made good by the sweeper."""
        ...


class Clock(Protocol):
    """Durations and chance. Wall time is the database's (`mm_now()`), never the process's."""

    @property
    def chance(self) -> random.Random: ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def sleep(self, seconds: float) -> None: ...
