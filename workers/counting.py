"""Counting what goes out, for operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from domain.attempt import Outcome
from workers.sending import Outgoing, Packed, Reply, Sender


class Count(Protocol):
    """Counters by metric and labels (db.tally.Tally)."""

    def add(self, *name: str, by: float = 1) -> None: ...

    def observe(self, *name: str, seconds: float) -> None: ...


class CountingSender(Sender):
    """A sender that counts how each call ended, and how long it took, by provider."""

    count: Count

    def send(
        self, window: Sequence[Outgoing], go_on: Callable[[], bool], calls: Sequence[Packed] = ()
    ) -> list[Reply]:
        replies = super().send(window, go_on, calls)
        for email, reply in zip(window, replies, strict=True):
            if reply.sent is None and reply.error is None:
                continue  # never made
            outcome = Outcome.ACCEPTED if reply.error is None else reply.error.outcome
            provider = email.provider, str(email.provider_id)
            self.count.add("attempts", *provider, outcome.value, reply.error.code if reply.error else "")
            if reply.latency_ms is not None:
                self.count.observe("send", *provider, seconds=reply.latency_ms / 1000)
        return replies
