"""Watching over the deliveries of one provider: its feed, its progress, its alarms and their end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from routing.allocation import Floats
from routing.delay import DelayCurve
from routing.feed import EventFeed
from routing.progress import CLEAR_THRESHOLD, ProgressWatch, Trial
from routing.suspicion import FORCED_END, SHORTEST_LOOK, Suspicion

BUSY_LOOK, IDLE_LOOK = 1.0, 10.0  # seconds between looks, with news and without
NEWS = 3  # sends or events that make a look worth while
UNUSED = 1800.0  # seconds
_LEAST_LEFT = 0.01


class Vigil:
    """Alarms lower what is believed of their groups at once; sends of the time of trouble teach nothing for later."""

    def __init__(self, groups: int) -> None:
        self.feed = EventFeed()
        self._progress = ProgressWatch(groups)
        self._suspicions: list[Suspicion | None] = [None] * groups
        self._void: list[tuple[float, float]] = [(0.0, 0.0)] * groups  # sends of this time tell nothing
        self._accepted_at: float | None = None  # the last; at first: when it was looked at first
        self._looked_at = -1e9
        self._news = 0

    def accepted(self, group: int, now: float) -> None:
        if not self.feed.down:
            self._progress.sent(group, now)
        self._accepted_at = now
        self._news += 1

    def event(self, group: int, accepted_at: float, delivered: bool, now: float, *, followed: bool) -> bool:
        """Whether the event should teach what the provider is worth. `followed`: its email was told as accepted."""
        self.feed.event(now)
        self._news += 1
        if followed and not self.feed.down:
            self._progress.event(group, accepted_at, delivered)
        suspicion = self._suspicions[group]
        if suspicion is not None and accepted_at >= suspicion.since:
            return False
        begin, end = self._void[group]
        return not begin <= accepted_at < end

    def kept(self) -> list[list[float]]:
        return self._progress.kept()

    def recall(self, kept: Sequence[Sequence[float]]) -> None:
        self._progress.recall(kept)

    def left(self, group: int) -> float:
        suspicion = self._suspicions[group]
        return 1.0 if suspicion is None else suspicion.left

    def alarmed(self) -> frozenset[int]:
        return frozenset(g for g, s in enumerate(self._suspicions) if s is not None)

    def together(self, group: int) -> Sequence[int]:
        """The groups that share a group's alarm."""
        suspicion = self._suspicions[group]
        return (group,) if suspicion is None else suspicion.trial.groups

    def probe_groups(self, now: float) -> frozenset[int]:
        return frozenset(
            g for g, s in enumerate(self._suspicions) if s is not None and now >= s.next_probe_at
        )

    def probed(self, group: int, now: float, value: float, gain: float) -> None:
        suspicion = self._suspicions[group]
        if suspicion is not None:
            suspicion.probed(now, value * (1 - suspicion.left), gain)

    def unused(self, now: float) -> bool:
        """Whether nobody has used it for so long that what was seen of it may be over."""
        if self._accepted_at is None:
            self._accepted_at = now
        return now >= self._accepted_at + UNUSED

    def doubt(self, groups: Sequence[int], left: float, now: float) -> None:
        """What it delivers to these groups, `left` of the usual, was taken for its quality, and may have been trouble.
        It counts as trouble from now on, so that its end is looked for.
        """
        groups = tuple(g for g in groups if self._suspicions[g] is None)
        if groups:
            self._progress.unlearn(groups)
            for group in groups:
                self._void[group] = (-math.inf, now)
            since = now if self._accepted_at is None else self._accepted_at
            self._raise(Trial(groups, left, now), since, left)

    def watch(self, now: float, delay: DelayCurve) -> None:
        """Look whether something is wrong, or well again."""
        since = now - self._looked_at
        if not delay.known or since < BUSY_LOOK or (self._news < NEWS and since < IDLE_LOOK):
            return
        progress = self._progress
        progress.advance(now)
        if progress.idle() and not any(self._suspicions):
            self._looked_at, self._news = now, 0
            return
        good = progress.usual()
        heard = delay.share(progress.ages(now))
        if self._feed_stopped(now, since, delay, good, heard):
            progress.forget()
        elif not self.feed.down:
            self._suspect(now, heard, good)
            self._clear(now, heard, good)
        self._looked_at, self._news = now, 0

    def _feed_stopped(self, now: float, since: float, delay: DelayCurve, good: Floats, heard: Floats) -> bool:
        before = delay.share(np.maximum(0.0, self._progress.ages(now) - since))
        left = np.array([self.left(g) for g in range(len(good))])
        return self.feed.owe(self._progress.owed(before, heard, good * left), now)

    def _suspect(self, now: float, heard: Floats, good: Floats) -> None:
        finding = self._progress.scan(heard, good, [s is not None for s in self._suspicions])
        if finding is None:
            return
        left = max(_LEAST_LEFT, finding.left)
        at_most = max(left, finding.at_most)
        self._raise(Trial(finding.groups, at_most, now), finding.since, left)

    def _raise(self, trial: Trial, since: float, left: float) -> None:
        suspicion = Suspicion(trial, since, left, trial.since + SHORTEST_LOOK)
        for group in trial.groups:
            self._suspicions[group] = suspicion
        self._progress.begin(trial)

    def _clear(self, now: float, heard: Floats, good: Floats) -> None:
        for suspicion in {id(s): s for s in self._suspicions if s is not None}.values():
            trial = suspicion.trial
            suspicion.weigh(self._progress.recovery(heard, good, trial), now)
            aged = now >= trial.since + FORCED_END
            if suspicion.evidence >= CLEAR_THRESHOLD or (
                aged and not self._progress.lasts(heard, good, trial)
            ):
                for group in trial.groups:
                    self._suspicions[group] = None
                    self._void[group] = (suspicion.since, now)
                self._progress.end(trial)
