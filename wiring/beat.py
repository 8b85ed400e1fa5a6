"""Celery's beat: rings for the clock's duties. It keeps no file, and its own clock decides nothing.

Each duty is rung for by the monotonic clock, so that a wall clock that jumps stops nothing. Whether a duty is due is
decided in the database (workers.upkeep.perform): a second beat, or a beat that starts anew, changes nothing.
"""

from __future__ import annotations

import os
from typing import Any

import structlog
from celery.beat import Scheduler

from domain.upkeep import Duty
from wiring.bootstrap import SystemClock, duty_publisher
from wiring.settings import Settings

log = structlog.get_logger(__name__)


class DutyScheduler(Scheduler):  # type: ignore[misc]  # Celery has no types
    """What `beat_scheduler` names. Its schedule is `celeryconfig.beat_schedule`."""

    def __init__(self, app: Any, **options: Any) -> None:
        self._clock, self._heard = SystemClock(), True
        self._publish = duty_publisher(Settings.from_env(os.environ), app)
        self._every: dict[Duty, float] = {}
        self._next: dict[Duty, float] = {}
        super().__init__(app, **options)

    def setup_schedule(self) -> None:
        self._every = {Duty(name): float(e["schedule"]) for name, e in self.app.conf.beat_schedule.items()}
        now = self._clock.monotonic()
        self._next = dict.fromkeys(self._every, now)

    def tick(self, **_: Any) -> float:
        """Ring for what is due; returns the seconds until the next is. A ring that fails is made good by the next."""
        now = self._clock.monotonic()
        for duty, at in self._next.items():
            if at <= now:
                self._next[duty] = now + self._every[duty]
                self._ring(duty)
        return max(0.0, min(self._next.values()) - self._clock.monotonic())

    def _ring(self, duty: Duty) -> None:
        try:
            self._publish(duty)
        # Any broker's fault.
        except Exception as error:  # noqa: BLE001
            if self._heard:
                log.warning("duties_not_rung", first=duty.value, error=type(error).__name__)
            self._heard = False
        else:
            self._heard = True
