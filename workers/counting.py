"""Counting what goes out, for operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from domain.attempt import Outcome
from workers.reporting import by_provider
from workers.sending import Outgoing, Packed, Reply, Sender


class Count(Protocol):
    """Counters by metric and labels (db.tally.Tally)."""

    def add(self, *name: str, by: float = 1) -> None: ...

    def observe_all(self, *name: str, seconds: Collection[float]) -> None: ...


_TAKEN = Outcome.ACCEPTED.value, ""  # how a call ended that needs no words


class CountingSender(Sender):
    """A sender that counts how each call ended, and how long it took, by provider."""

    count: Count

    def send(
        self, window: Sequence[Outgoing], go_on: Callable[[], bool], calls: Sequence[Packed] = ()
    ) -> list[Reply]:
        replies = super().send(window, go_on, calls)
        made = [
            (e, r) for e, r in zip(window, replies, strict=True) if r.sent is not None or r.error is not None
        ]
        for provider_id, own in by_provider([email.provider_id for email, _ in made], made).items():
            provider = own[0][0].provider, str(provider_id)
            ends = Counter(
                [_TAKEN if r.error is None else (r.error.outcome.value, r.error.code) for _, r in own]
            )
            for end, count in ends.items():
                self.count.add("attempts", *provider, *end, by=count)
            times = [r.latency_ms / 1000 for _, r in own if r.latency_ms is not None]
            self.count.observe_all("send", *provider, seconds=times)
        return replies
