"""Keeping providers' events: calls that arrive while a transaction is under way share the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from db.uow import SqlUnitOfWork
from domain.errors import StorageUnavailable
from domain.events import InboundEvent
from domain.ports import DeliveryQueue

_MOST_EVENTS = 1000  # of one transaction, unless a single call has more


@dataclass(eq=False)
class Post:
    """A verified call. `nonce`: what the provider uses once, with the hash of the body that came with it."""

    provider_id: UUID
    events: Sequence[InboundEvent]
    nonce: tuple[str, bytes] | None = None
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class Posts:
    """Stores calls for many threads at once; one of them writes for all that wait."""

    def __init__(self, units: Callable[[], SqlUnitOfWork], queue: DeliveryQueue) -> None:
        self._units, self._queue = units, queue
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._waiting: list[Post] = []

    def keep(self, post: Post) -> None:
        """When this returns the call's events are committed, or were before.

        Raises db.repositories.inbound.NonceReused and domain.errors.StorageUnavailable.
        """
        with self._lock:
            self._waiting.append(post)
        with self._writing:
            if not post.done.is_set():
                self._write()
        if post.error is not None:
            raise post.error

    def _write(self) -> None:
        """Store what waits; the caller's own post is among it, since nobody else takes while this thread writes."""
        with self._lock:
            group, self._waiting = self._waiting, []
        while group:
            size, count = len(group[0].events), 1
            while count < len(group) and size + len(group[count].events) <= _MOST_EVENTS:
                size += len(group[count].events)
                count += 1
            self._commit(group[:count])
            group = group[count:]

    def _commit(self, group: Sequence[Post]) -> None:
        try:
            with self._units() as unit:
                for post in group:
                    if post.nonce is not None:
                        unit.inbound.use_nonce(post.provider_id, *post.nonce)
                new = unit.inbound.keep([(p.provider_id, event) for p in group for event in p.events])
                unit.commit()
        except Exception as error:  # noqa: BLE001  # it becomes the answer of the call that caused it
            if len(group) > 1 and not isinstance(error, StorageUnavailable):
                for post in group:
                    self._commit([post])
                return
            for post in group:
                post.error = error
        else:
            if new:
                self._queue.ring_events()
        for post in group:
            post.done.set()
