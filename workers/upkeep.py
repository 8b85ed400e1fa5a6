"""The clock's jobs. Each is idempotent and done by one process at a time, so two beats, or none, do no harm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from domain.delivery import Doubt, Release
from domain.lifecycle import Event, advance
from domain.ports import DeliveryQueue, WorkerUnit
from routing.policy import Patience, hold_seconds

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
        if not unit.upkeep.lead("sweep"):
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


def open_quota_windows(units: Units) -> int:
    """Start the next day's and month's count where one has ended; returns for how many providers."""
    with units() as unit:
        opened = unit.quotas.roll()
        unit.commit()
    return opened


def recompute_reliability(units: Units) -> None:
    """Fold the last day's ledger into each provider's performance and reliability score."""
    with units() as unit:
        if unit.upkeep.lead("reliability"):
            unit.upkeep.recompute_reliability()
            unit.commit()


def forget_idempotency_keys(units: Units) -> int:
    """Delete idempotency keys whose time has passed; returns how many."""
    with units() as unit:
        forgotten = unit.upkeep.forget_idempotency_keys()
        unit.commit()
    return forgotten


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
