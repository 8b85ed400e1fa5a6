"""Types with a promise: what a delivered email is worth follows from what was delivered (routing.service_level)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from db.repositories.learning import TypeRow
from routing.service_level import ServiceLevel
from routing.snapshot import Worths
from routing.worths import BALANCED

_MOST_WAITING = 100_000  # accepted emails that nobody has told of yet

Type = tuple[UUID | None, str]


class Promises:
    """The level of each type that has a target."""

    def __init__(self) -> None:
        self._levels: dict[Type, ServiceLevel] = {}
        self._waiting: dict[int, tuple[Type, float]] = {}  # by attempt: what was expected of it

    def aim(self, types: Sequence[TypeRow], worths: Worths) -> None:
        """Take on what is promised now, and what an email is worth where nothing is owed."""
        fresh: dict[Type, ServiceLevel] = {}
        for row in types:
            place = row.owner, row.name
            if row.target is not None:
                base = worths[place].value
                before = self._levels.get(place) or ServiceLevel(row.target, base).from_value(BALANCED)
                fresh[place] = replace(before, target=row.target, base=base)
        self._levels = fresh

    def adopt(self, other: Promises) -> None:
        for place, level in other._levels.items():
            if place in self._levels:
                self._levels[place] = replace(self._levels[place], queue=level.queue, missed=level.missed)
        self._waiting = other._waiting

    def accepted(self, attempt: int, place: Type, chance: float) -> None:
        """A provider took an email which it delivers with this chance."""
        level = self._levels.get(place)
        if level is None:
            return
        self._levels[place] = level.accepted(chance)
        if len(self._waiting) >= _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[attempt] = place, chance

    def told(self, attempt: int, delivered: bool) -> None:
        place, chance = self._waiting.pop(attempt, (None, 0.0))
        if place is not None and place in self._levels:
            self._levels[place] = self._levels[place].settled(chance, delivered)

    def priced(self, worths: Worths) -> Worths:
        """What emails are worth now."""
        if not self._levels:
            return worths
        return {
            place: replace(worth, value=self._levels[place].value) if place in self._levels else worth
            for place, worth in worths.items()
        }

    def kept(self) -> list[Any]:
        return [
            [owner and str(owner), name, level.queue, level.missed]
            for (owner, name), level in self._levels.items()
        ]

    def recall(self, kept: Sequence[Any]) -> None:
        for owner, name, queue, missed in kept:
            place = owner and UUID(owner), name
            if place in self._levels:
                self._levels[place] = replace(self._levels[place], queue=queue, missed=missed)
