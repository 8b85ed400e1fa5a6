"""The doorbell: all that the API sees of the workers. A ring carries a lane's name, never an email."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Generic, TypeVar

import structlog

from domain.message import Lane
from domain.ports import Clock
from domain.upkeep import SLOW, Duty

DRAIN_TASK = "mailmux.deliver_due_emails"
EVENTS_TASK = "mailmux.apply_events"
LIFE_TASK = "mailmux.show_life"
UPKEEP_QUEUE = "upkeep"  # what is done in a moment; also by the worker that an OTP never waits for
SLOW_QUEUE = "slow"  # what may keep a worker for long
_GAP = 0.02  # seconds between two rings of one lane: what comes meanwhile goes together
_EVENTS_GAP = 0.2  # seconds between two rings for events: many are applied for the price of one
_QUIET = 5.0  # seconds between two log lines about a broker that is away

log = structlog.get_logger(__name__)


def duty_task(duty: Duty) -> str:
    """The name of the task that performs a duty."""
    return f"mailmux.{duty.value}"


def duty_queue(duty: Duty) -> str:
    """Where a duty is rung for."""
    return SLOW_QUEUE if duty in SLOW else UPKEEP_QUEUE


Rung = TypeVar("Rung", bound=StrEnum)


class Doorbell(Generic[Rung]):
    """Rings on the leading and the trailing edge of a burst, off the caller's thread, at least `gap` seconds apart.

    `publish(what)` sends one task. Where it fails the ring is lost, and the sweeper makes it good.
    """

    def __init__(self, publish: Callable[[Rung], None], clock: Clock, gap: float = _GAP) -> None:
        self._publish = publish
        self._clock, self._gap = clock, gap
        self._pending: set[Rung] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._complained = float("-inf")

    def ring(self, what: Rung) -> None:
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
                rung, self._pending = self._pending, set()
            for what in sorted(rung):
                try:
                    self._publish(what)
                # Any broker's fault: the row is in the database, and the sweeper rings again.
                except Exception as error:  # noqa: BLE001
                    self._complain(what, error)
            self._clock.sleep(self._gap)

    def _complain(self, what: Rung, error: Exception) -> None:
        now = self._clock.monotonic()
        if now - self._complained >= _QUIET:
            self._complained = now
            log.warning("ring_lost", rung=what.value, error=type(error).__name__)


class Inbox(StrEnum):
    """What is rung for that is not a lane."""

    EVENTS = "events"


class DeliveryBells:
    """domain.ports.DeliveryQueue over two bells: one for the lanes, one for the providers' events."""

    def __init__(self, lanes: Callable[[Lane], None], events: Callable[[Inbox], None], clock: Clock) -> None:
        self._lanes = Doorbell(lanes, clock)
        self._events = Doorbell(events, clock, _EVENTS_GAP)

    def ring(self, lane: Lane) -> None:
        self._lanes.ring(lane)

    def ring_events(self) -> None:
        self._events.ring(Inbox.EVENTS)
