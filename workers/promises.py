"""Types with promises: what a delivered email, and a second, is worth follows from how they are kept
(routing.service_level)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from db.repositories.learning import TypeRow
from routing.service_level import ON_TIME, ServiceLevel
from routing.snapshot import Worths
from routing.worths import BALANCED, WAIT

_MOST_WAITING = 100_000  # accepted emails that nobody has told of yet

Type = tuple[UUID | None, str]


class Promises:
    """The levels of each type that is to be delivered to a share, or taken within a time."""

    def __init__(self) -> None:
        self._shares: dict[Type, ServiceLevel] = {}
        self._times: dict[Type, ServiceLevel] = {}
        self._within: dict[Type, float] = {}  # seconds
        self._waiting: dict[int, tuple[Type, float]] = {}  # by attempt: what was expected of it

    def aim(self, types: Sequence[TypeRow], worths: Worths) -> None:
        """Take on what is promised now, and what emails and seconds are worth where nothing is owed."""
        shares: dict[Type, ServiceLevel] = {}
        times: dict[Type, ServiceLevel] = {}
        for row in types:
            place = row.owner, row.name
            worth = worths[place]
            if row.target is not None:
                share = ServiceLevel(row.target, worth.value).from_value(BALANCED)
                shares[place] = _going_on(share, self._shares.get(place))
            if row.within is not None:
                # Where seconds are worth nothing, no queue could make them worth more.
                times[place] = _going_on(ServiceLevel(ON_TIME, worth.wait or WAIT), self._times.get(place))
        self._shares, self._times = shares, times
        self._within = {(row.owner, row.name): row.within for row in types if row.within is not None}

    def adopt(self, other: Promises) -> None:
        for own, known in ((self._shares, other._shares), (self._times, other._times)):
            for place, level in own.items():
                own[place] = _going_on(level, known.get(place))
        self._waiting = other._waiting

    def accepted(self, attempt: int, place: Type, chance: float) -> None:
        """A provider took an email which it delivers with this chance."""
        level = self._shares.get(place)
        if level is None:
            return
        self._shares[place] = level.accepted(chance)
        if len(self._waiting) >= _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[attempt] = place, chance

    def told(self, attempt: int, delivered: bool) -> None:
        place, chance = self._waiting.pop(attempt, (None, 0.0))
        if place is not None and place in self._shares:
            self._shares[place] = self._shares[place].settled(chance, delivered)

    def ended(self, place: Type, seconds: float) -> None:
        """A provider took an email after so many seconds; infinite: it did not take it."""
        level = self._times.get(place)
        if level is not None:
            self._times[place] = level.accepted(0.0).settled(0.0, seconds <= self._within[place])

    def priced(self, worths: Worths) -> Worths:
        """What emails are worth now."""
        if not self._shares and not self._times:
            return worths
        found = dict(worths)
        for place, level in self._shares.items():
            found[place] = replace(found[place], value=level.value)
        for place, level in self._times.items():
            found[place] = replace(found[place], wait=level.value)
        return found

    def kept(self) -> Mapping[str, list[Any]]:
        return {"shares": _told(self._shares), "times": _told(self._times)}

    def recall(self, kept: Mapping[str, Sequence[Any]]) -> None:
        for name, levels in (("shares", self._shares), ("times", self._times)):
            for owner, type_name, queue, missed in kept.get(name, ()):
                place = owner and UUID(owner), type_name
                if place in levels:
                    levels[place] = replace(levels[place], queue=queue, missed=missed)


def _going_on(level: ServiceLevel, before: ServiceLevel | None) -> ServiceLevel:
    """What is owed stays, whatever is promised now."""
    return level if before is None else replace(level, queue=before.queue, missed=before.missed)


def _told(levels: Mapping[Type, ServiceLevel]) -> list[Any]:
    return [[owner and str(owner), name, at.queue, at.missed] for (owner, name), at in levels.items()]
