"""Bringing the statistics up to now, some thousand emails to a transaction."""

from __future__ import annotations

from collections.abc import Callable

from domain.ports import Clock
from domain.upkeep import Duty
from workers.upkeep import Units

_SECONDS = 30.0  # at most in one go; what is left stays due


def add_up(units: Units, clock: Clock, stopping: Callable[[], bool] = lambda: False) -> None:
    """Add what is due, unless somebody else is at it."""
    end = clock.monotonic() + _SECONDS
    while not stopping() and clock.monotonic() < end:
        with units() as unit:
            if not unit.upkeep.lead(Duty.ADD_UP_STATS):
                return
            done = unit.upkeep.add_up_stats()
            unit.commit()
        if done:
            return
