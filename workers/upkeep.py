"""The clock's jobs. Each is idempotent and done by one process at a time, so two beats, or none, do no harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from domain.delivery import Doubt, Release
from domain.lifecycle import Event, advance
from domain.ports import Clock, DeliveryQueue, WorkerUnit
from domain.upkeep import Duty, Rota
from routing.policy import Patience, hold_seconds

LATE_FACTOR, LATE_SECONDS = 3, 30.0  # periods and seconds, after which a duty is rung for without beat

SECONDS: Final = 20.0  # that a duty which asks others has; the last answer may take longer

Units = Callable[[], AbstractContextManager[WorkerUnit]]


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep found: runs that had died, emails now in doubt, claims given back."""

    runs: int = 0
    doubts: int = 0
    freed: int = 0


def sweep(units: Units, queue: DeliveryQueue, patience: Patience) -> Swept:
    """Bury dead runs, settle what they left in doubt, give back the rest of their claims, ring lanes with due emails.

    An email of a dead run whose attempt was open may have been sent: it is held as unknown, never tried
    again by itself. One without an open attempt never reached a wire: it is claimable at once.
    """
    with units() as unit:
        if not unit.upkeep.lead(Duty.SWEEP):
            return Swept()
        runs = unit.upkeep.bury_runs()
        doubts = unit.upkeep.doubts()
        unit.upkeep.hold([_hold(doubt, patience) for doubt in doubts])
        freed = unit.upkeep.free_orphans()
        lanes = unit.upkeep.due_lanes()
        unit.commit()
    for lane in lanes:
        queue.ring(lane)
    return Swept(runs, len(doubts), freed)


def perform(duty: Duty, rota: Rota, units: Units) -> bool:
    """Do a duty, if it is due by the database's clock and nobody else is at it. Returns whether it was done.

    Being rung for too often, by two beats or by anybody's wrong clock, so changes nothing. What broke off, and a
    purge that has left something, stays due.
    """
    with units() as unit:
        if not unit.upkeep.lead(duty) or not unit.upkeep.overdue({duty: rota.every[duty]}):
            return False
        if _WORK[duty](unit, rota):
            unit.upkeep.note_done(duty)
        unit.commit()
    return True


def timely(clock: Clock, stopping: Callable[[], bool], seconds: float = SECONDS) -> Callable[[], bool]:
    """What says whether a duty is to begin nothing new: it has had its time from now on, or the worker stops."""
    end = clock.monotonic() + seconds
    return lambda: stopping() or clock.monotonic() >= end


def overdue(rota: Rota, units: Units) -> Sequence[Duty]:
    """The duties that nobody has rung for in time: beat is away, or its clock has stopped."""
    late = {duty: LATE_FACTOR * every + LATE_SECONDS for duty, every in rota.every.items()}
    with units() as unit:
        return unit.upkeep.overdue(late)


def _open_quota_windows(unit: WorkerUnit, _: Rota) -> bool:
    unit.quotas.roll()
    return True


def _measure_providers(unit: WorkerUnit, _: Rota) -> bool:
    unit.upkeep.measure_providers()
    return True


def _forget_idempotency_keys(unit: WorkerUnit, _: Rota) -> bool:
    unit.upkeep.forget_idempotency_keys()
    return True


def _purge(unit: WorkerUnit, rota: Rota) -> bool:
    return unit.upkeep.purge(rota.retention)


_WORK: Mapping[Duty, Callable[[WorkerUnit, Rota], bool]] = {
    Duty.OPEN_QUOTA_WINDOWS: _open_quota_windows,
    Duty.MEASURE_PROVIDERS: _measure_providers,
    Duty.FORGET_IDEMPOTENCY_KEYS: _forget_idempotency_keys,
    Duty.PURGE: _purge,
    # What follows opens sockets, and so no transaction (workers.tasks).
    Duty.REPEAT_CALLS: lambda *_: True,
    Duty.LOOK_UP: lambda *_: True,
    Duty.READ_REPORTS: lambda *_: True,
    Duty.COLLECT_FILES: lambda *_: True,
    Duty.CHECK_DOMAINS: lambda *_: True,
    Duty.ADD_UP_STATS: lambda *_: True,
    # In transactions of their own.
    Duty.WATCH_CAMPAIGNS: lambda *_: True,
    Duty.ERASE: lambda *_: True,
}


def _hold(doubt: Doubt, patience: Patience) -> Release:
    return Release(
        job_id=doubt.job_id,
        delay=hold_seconds(doubt.on_unknown, doubt.doubts, patience),
        round=doubt.round,
        held=True,
        status=advance(doubt.status, Event.LOST_SIGHT),
        reason="the worker died while the email was on its way to the provider",
        attempt_id=doubt.attempt_id,
    )
