"""The doorbell: all that the API sees of the workers. A ring carries a lane's name, never an email."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from domain.message import Lane
from domain.ports import Clock

DRAIN_TASK = "mailmux.drain"
EVENTS_TASK = "mailmux.apply_events"
_GAP = 0.01  # seconds between two rings of one lane
_EVENTS_GAP = 0.2  # seconds between two rings for events: many are applied for the price of one
_QUIET = 5.0  # seconds between two log lines about a broker that is away

log = structlog.get_logger(__name__)


class Doorbell:
    """domain.ports.DeliveryQueue: rings on the leading and the trailing edge of a burst, off the caller's thread.

    `publish(lane)` sends one drain task, `publish(None)` one that applies providers' events. Where it fails the ring
    is lost, and the sweeper makes it good.
    """

    def __init__(self, publish: Callable[[Lane | None], None], clock: Clock) -> None:
        self._publish = publish
        self._clock = clock
        self._pending: set[Lane | None] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._complained = self._rung_events = float("-inf")

    def ring(self, lane: Lane) -> None:
        self._ring(lane)

    def ring_events(self) -> None:
        self._ring(None)

    def _ring(self, what: Lane | None) -> None:
        with self._changed:
            self._pending.add(what)
            if self._thread is None:  # not in __init__: a forked server would lose the thread
                self._thread = threading.Thread(target=self._serve, name="mailmux-doorbell", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._pending:
                    self._changed.wait()
                lanes, self._pending = self._pending, set()
            for lane in sorted(lanes, key=str):
                if lane is None and not self._events_may_ring():
                    continue
                try:
                    self._publish(lane)
                # Any broker's fault: the row is in the database, and the sweeper rings again.
                except Exception as error:  # noqa: BLE001
                    self._complain(lane, error)
            self._clock.sleep(_GAP)

    def _events_may_ring(self) -> bool:
        """Whether it is time to; else the ring stays pending."""
        now = self._clock.monotonic()
        if now - self._rung_events < _EVENTS_GAP:
            with self._changed:
                self._pending.add(None)
            return False
        self._rung_events = now
        return True

    def _complain(self, lane: Lane | None, error: Exception) -> None:
        now = self._clock.monotonic()
        if now - self._complained >= _QUIET:
            self._complained = now
            log.warning("ring_lost", lane=lane and lane.value, error=type(error).__name__)
