"""Changing many emails some thousand at a time, so that nobody waits for the locks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from api.requests import dependencies
from db.uow import SqlUnitOfWork

ROWS: Final = 5000  # emails in a transaction
_NIL = UUID(int=0)


def in_parts(do: Callable[[SqlUnitOfWork, UUID], Sequence[UUID]]) -> int:
    """`do(unit, after)` changes up to ROWS emails above an id, and returns these. Returns how many there were."""
    total, last = 0, _NIL
    while True:
        with dependencies().units() as unit:
            done = do(unit, last)
            unit.commit()
        total += len(done)
        if len(done) < ROWS:
            return total
        last = done[-1]


def wake(user_id: UUID | None) -> int:
    """Have what was put off of a user looked at again, or of everybody (None): what stood in its way may be gone."""
    return in_parts(lambda unit, after: unit.campaigns.wake(user_id, after, ROWS))
