"""The doorbell: all that the API sees of the workers. A ring carries a lane's name, never an email."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Generic, TypeVar

import structlog

from domain.ports import Clock
from domain.upkeep import Duty

DRAIN_TASK = "mailmux.deliver_due_emails"
LIFE_TASK = "mailmux.show_life"
UPKEEP_QUEUE = "upkeep"
_GAP = 0.01  # seconds between two rings of one lane
_QUIET = 5.0  # seconds between two log lines about a broker that is away

log = structlog.get_logger(__name__)


def duty_task(duty: Duty) -> str:
    """The name of the task that performs a duty."""
    return f"mailmux.{duty.value}"


Rung = TypeVar("Rung", bound=StrEnum)


class Doorbell(Generic[Rung]):
    """domain.ports.DeliveryQueue, and the same for duties: rings on the leading and the trailing edge of a burst, off
    the caller's thread.

    `publish(lane)` sends one task. Where it fails the ring is lost, and the sweeper makes it good.
    """

    def __init__(self, publish: Callable[[Rung], None], clock: Clock) -> None:
        self._publish = publish
        self._clock = clock
        self._pending: set[Rung] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._complained = float("-inf")

    def ring(self, lane: Rung) -> None:
        with self._changed:
            self._pending.add(lane)
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
            for lane in sorted(lanes):
                try:
                    self._publish(lane)
                # Any broker's fault: the row is in the database, and the sweeper rings again.
                except Exception as error:  # noqa: BLE001
                    self._complain(lane, error)
            self._clock.sleep(_GAP)

    def _complain(self, lane: Rung, error: Exception) -> None:
        now = self._clock.monotonic()
        if now - self._complained >= _QUIET:
            self._complained = now
            log.warning("ring_lost", lane=lane.value, error=type(error).__name__)
