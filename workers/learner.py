"""The one process that learns: folds the workers' news into the chooser's models, plans, and publishes its view.

It holds a lease in Postgres; a standby waits for it. What it has learned is noted in Postgres together with its
place in the news, so that a restart, or a flushed Redis, starts warm. Without a learner the workers go on with what
they know, and with their breakers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol
from uuid import UUID

import redis

from db.repositories.learning import Memory, TypeRow
from domain.errors import StorageUnavailable
from domain.ports import Clock, Log
from routing.allocation import Unsolved
from routing.mailbox_groups import GROUPS
from routing.news import News, View
from routing.outlook import Standing
from routing.pricing import PriceList
from routing.snapshot import Snapshot
from workers.mind import Mind, mind_of

LEASE = 5.0  # seconds
BEAT = 0.25  # seconds between looks at the news
RENEW_EVERY, LOOK_EVERY, NOTE_EVERY, PLAN_EVERY = 1.0, 2.0, 30.0, 120.0


class Notebook(Protocol):
    """The learner's part of the database (db.repositories.learning.Learning)."""

    def lease(self, holder: UUID, seconds: float) -> tuple[int, float] | None: ...

    def release(self, holder: UUID) -> None: ...

    def recall(self) -> Memory: ...

    def keep(self, fence: int, memory: Memory) -> bool: ...

    def types(self) -> Sequence[TypeRow]: ...

    def prices(self) -> Mapping[UUID, PriceList]: ...

    def volumes(self) -> Mapping[UUID, float]: ...

    def rates_by_hour(self) -> Sequence[tuple[float, float]]: ...


class Unit(Protocol):
    @property
    def learning(self) -> Notebook: ...

    def commit(self) -> None: ...


class Press(Protocol):
    """The learner's side of the newsroom (db.news.RedisNewsroom)."""

    def read(self, position: str) -> tuple[str, list[News]]: ...

    def publish(self, view: View, fence: int, position: str) -> bool: ...


class LeaseGone(Exception):
    """Another learner has taken over."""


Units = Callable[[], AbstractContextManager[Unit]]


def troubles_of(standing: Standing) -> Iterator[str]:
    if standing.share <= 0:
        yield "it does not take emails"
    if standing.feed_down:
        yield "its events have stopped"
    for group in sorted(standing.alarmed):
        yield f"emails to {GROUPS[group]} get lost"


class LearningProcess:
    """`fleet()`: the providers and rules as they are configured now, without states of the moment."""

    def __init__(
        self, units: Units, press: Press, fleet: Callable[[], Snapshot], clock: Clock, log: Log, holder: UUID
    ) -> None:
        self._units, self._press, self._fleet, self._clock, self._log = units, press, fleet, clock, log
        self._holder = holder
        self._mind: Mind | None = None
        self._fence, self._position = 0, "0-0"
        self._time = (0.0, 0.0)  # the database's, and ours when it was read
        self._due: dict[str, float] = {}
        self._published = -1
        self._troubles: set[tuple[str, str]] = set()

    def run(self, stopping: Callable[[float], bool]) -> None:
        """Learn until `stopping(seconds)` says so; it waits as long. What is away is waited for."""
        while not stopping(BEAT):
            try:
                self.step()
            except StorageUnavailable as error:
                self._rest("learner_without_database", error)
            except redis.RedisError as error:
                self._log.warning("learner_without_redis", error=type(error).__name__)
        self.close()

    def close(self) -> None:
        """Note what was learned, and let a standby go on at once."""
        if self._mind is None:
            return
        try:
            self._note(self._mind)
            with self._units() as unit:
                unit.learning.release(self._holder)
                unit.commit()
        except (StorageUnavailable, LeaseGone) as error:
            self._log.warning("learner_notes_lost", error=type(error).__name__)
        self._mind = None

    def step(self) -> bool:
        """One look at the news. False: another process learns."""
        if self._is_due("renew", RENEW_EVERY) and not self._renew():
            return False
        mind = self._mind
        if mind is None:
            return False
        if self._is_due("look", LOOK_EVERY):
            mind = self._look_round(mind)
        while True:
            position, news = self._press.read(self._position)
            for one in news:
                mind.fold(one)
            if position == self._position:
                break
            self._position = position
        now = self._now()
        mind.watch(now)
        try:
            if self._is_due("plan", PLAN_EVERY):
                self._plan(mind, now)
            self._publish(mind, now)
            if self._is_due("note", NOTE_EVERY):
                self._note(mind)
        except LeaseGone:
            self._rest("learner_fenced", None)
            return False
        return True

    def _renew(self) -> bool:
        with self._units() as unit:
            held = unit.learning.lease(self._holder, LEASE)
            unit.commit()
        if held is None:
            if self._mind is not None:
                self._rest("learner_fenced", None)
            return False
        fence, now = held
        self._time = now, self._clock.monotonic()
        if self._mind is None or fence != self._fence:
            self._fence = fence
            self._begin()
        return True

    def _begin(self) -> None:
        with self._units() as unit:
            memory, mind = unit.learning.recall(), self._read(unit)
        for p, k in mind.roster.number.items():
            if p in memory.learned:
                mind.learner.recall(k, memory.learned[p])
        mind.learner.delay.recall(memory.notes.get("delay", ()))
        # The version before noted only what is owed to shares, and as "promises".
        before = {"shares": memory.notes.get("promises", ())}
        mind.promises.recall(memory.notes.get("owed", before))
        mind.learner.outlook(self._now())
        self._mind, self._position = mind, memory.position
        self._due = {"note": self._clock.monotonic() + NOTE_EVERY}
        self._published = -1
        self._log.info("learning", fence=self._fence, providers=len(mind.roster.providers))

    def _read(self, unit: Unit) -> Mind:
        store = unit.learning
        return mind_of(self._fleet(), store.types(), store.prices(), store.volumes())

    def _look_round(self, mind: Mind) -> Mind:
        """Go on with what was learned where providers, rules, types or prices have changed."""
        with self._units() as unit:
            fresh = self._read(unit)
        if fresh.shape() == mind.shape():
            mind.roster, mind.volumes = fresh.roster, fresh.volumes
            fresh.promises.adopt(mind.promises)
            mind.promises = fresh.promises
            return mind
        fresh.adopt(mind)
        fresh.learner.outlook(self._now())
        self._mind = fresh
        self._due["plan"] = 0.0
        return fresh

    def _plan(self, mind: Mind, now: float) -> None:
        with self._units() as unit:
            by_hour = unit.learning.rates_by_hour()
        try:
            mind.plan(now, by_hour)
        except Unsolved as error:
            self._log.warning("plan_unsolved", reason=str(error))

    def _publish(self, mind: Mind, now: float) -> None:
        view = mind.view(now)
        if view.version == self._published and not self._is_due("refresh", 1.0):
            return
        view = replace(view, version=self._fence * 1_000_000_000 + view.version)
        if not self._press.publish(view, self._fence, self._position):
            raise LeaseGone
        self._report(mind, view)
        self._published = view.version % 1_000_000_000

    def _report(self, mind: Mind, view: View) -> None:
        """Say once what has come over a provider, and once that it is over."""
        troubles = {
            (p.name, trouble) for p in mind.roster.providers for trouble in troubles_of(view.standings[p.id])
        }
        for name, trouble in sorted(troubles - self._troubles):
            self._log.warning("provider_in_trouble", provider=name, trouble=trouble)
        for name, trouble in sorted(self._troubles - troubles):
            self._log.info("provider_well_again", provider=name, trouble=trouble)
        self._troubles = troubles

    def _note(self, mind: Mind) -> None:
        memory = Memory(
            self._position,
            {"delay": mind.learner.delay.kept(), "owed": mind.promises.kept()},
            {p: mind.learner.kept(k) for p, k in mind.roster.number.items()},
        )
        with self._units() as unit:
            if not unit.learning.keep(self._fence, memory):
                raise LeaseGone
            unit.commit()

    def _rest(self, event: str, error: Exception | None) -> None:
        """Forget what was in mind: it is read again with the next lease."""
        self._log.warning(event, error=type(error).__name__ if error is not None else "")
        self._mind, self._due = None, {}

    def _now(self) -> float:
        """The database's time, carried on by the monotonic clock."""
        at, own = self._time
        return at + self._clock.monotonic() - own

    def _is_due(self, what: str, every: float) -> bool:
        now = self._clock.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True
