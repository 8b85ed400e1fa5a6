"""After the database was restored from a backup: what was due may have been sent by the world that was lost.

Nobody can tell from the database alone, so those emails are shown as unknown and held, as after a worker's death, and
nothing of them is sent until somebody says so. Everything here may be repeated, and broken off at any point.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

from domain.delivery import Release
from domain.lifecycle import Event, advance
from domain.message import Lane
from domain.recovery import HELD_BECAUSE, RELEASED_BECAUSE, Outlook, RecoveryUnit, Suspect
from routing.policy import Patience
from workers.upkeep import Units, sweep

_BATCH: Final = 500


Stores = Callable[[], AbstractContextManager[RecoveryUnit]]
AnyUnits = Callable[[], Any]  # both of Units and Stores


class _Nobody:
    """A bell that nobody hears: sending is stopped."""

    def ring(self, lane: Lane) -> None:
        del lane

    def ring_events(self) -> None:
        pass


def survey(stores: Stores, since: datetime) -> Outlook:
    """Look, and change nothing."""
    with stores() as unit:
        return unit.recovery.outlook(since)


def hold_suspects(units: Units, stores: Stores, since: datetime, patience: Patience) -> int:
    """Settle what was open when the backup was made, then hold what was due or in doubt; returns how many emails.

    Raises WorkersAlive, having held some of them, where a worker comes to life meanwhile.
    """
    sweep(units, _Nobody(), patience)
    with stores() as unit:
        unit.recovery.note(since)
        unit.commit()
    count = 0
    while True:
        with stores() as unit:
            found = unit.recovery.suspects(since, _BATCH)
            unit.recovery.put([hold(suspect, patience) for suspect in found])
            unit.recovery.never_resend([suspect.job_id for suspect in found])
            unit.commit()
        if not found:
            return count
        count += len(found)


def release_held(stores: Stores) -> int:
    """Let what was held by a recovery be sent; returns how many emails."""
    count = 0
    while True:
        with stores() as unit:
            found = unit.recovery.held(_BATCH)
            unit.recovery.put([_release(suspect) for suspect in found])
            unit.commit()
        if not found:
            return count
        count += len(found)


def hold(suspect: Suspect, patience: Patience) -> Release:
    status = advance(suspect.status, Event.LOST_SIGHT)
    return Release(suspect.job_id, patience.unknown_ttl, suspect.round, True, status, HELD_BECAUSE)


def _release(suspect: Suspect) -> Release:
    status = advance(suspect.status, Event.POSTPONED)
    return Release(suspect.job_id, 0.0, suspect.round + 1, False, status, RELEASED_BECAUSE)
