"""Whether what a provider accepts is heard of in time: the check that finds what no error shows.

Each accepted email is followed from the moment of its acceptance. Under "all is well" its delivered event has come by
age x with probability p·F(x), under "something is wrong" with r·p·F(x), for a small and a large loss r. The sum of log
likelihood ratios over the emails accepted since any moment τ, maximised over τ, is a scan over all beginnings of a
trouble; silence weighs a little at first and more with age, so no quantile has to be waited for. It is kept per group
and for all groups together. A bounce counts as what it is. The same scan, the other way round, finds the recovery; a
trial keeps its sums for as long as an alarm lasts, so that rare probes add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.allocation import Floats, Ints
from routing.fading import Fading

Bools = npt.NDArray[np.bool_]

WIDTH = 2.0  # seconds of a bucket
BUCKETS = 128
RATIOS = (0.15, 0.6)  # what may be left of the deliveries
CELL_THRESHOLD, POOLED_THRESHOLD = 13.0, 13.0
CLEAR_THRESHOLD = 5.0
LASTING = 1.0  # nats against a recovery, with which an alarm does not end by its age alone
HALF_LIFE = 7200.0
PRIOR_HEARD, STRENGTH, MOST_HEARD = 0.95, 20.0, 0.985
FORGIVEN = 7200.0  # seconds after the last evidence against a recovery, after which it is none any more
LEAST_LOST = 3  # emails that must be missed before anything is said


@dataclass(frozen=True, slots=True)
class Finding:
    """Since `since` only `left` of what should be delivered in `groups` is, and hardly more than `at_most`."""

    groups: tuple[int, ...]
    since: float
    left: float
    at_most: float
    evidence: float


@dataclass(slots=True, eq=False)
class Trial:
    """Whether `groups`, of which hardly more than `left` of the usual arrived, deliver again since `since`.

    Of what is too old to be looked at: `gained` speaks for it, counted from the moment from which on it does so most,
    and `against` against it, likewise. `latest`: when the last of that was accepted.
    """

    groups: tuple[int, ...]
    left: float
    since: float
    gained: float = 0.0
    against: float = 0.0
    latest: float = float("-inf")

    def add(self, evidence: float, when: float) -> None:
        self.latest = max(self.latest, when)
        self.gained = max(0.0, self.gained + evidence)
        self.against = min(0.0, self.against + evidence)

    def bad(self, good: Floats) -> Floats:
        """The chances to be heard of, as they are while the trouble lasts."""
        return np.minimum(good * self.left, good * 0.9)


_RATIOS = np.array(RATIOS)[:, None]
_AGED = np.ones(1)  # of what was accepted long ago all has been heard


def _with_all(gains: Floats) -> Floats:
    """[ratio, group, bucket], and after the groups their sum."""
    return np.concatenate([gains, gains.sum(axis=1, keepdims=True)], axis=1)


class ProgressWatch:
    """Of one provider. Buckets of `WIDTH` seconds in a ring; what leaves the ring is folded into a carry."""

    __slots__ = ("_bounced", "_carry", "_delivered", "_good", "_head", "_sent", "_trials", "_usual", "groups")

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self._sent, self._delivered, self._bounced = (np.zeros((groups, BUCKETS)) for _ in range(3))
        self._carry = np.zeros((len(RATIOS), groups + 1))
        self._head = 0  # the number of the newest bucket
        self._trials: list[Trial] = []
        # What came in the end of what left the ring while no trial was on: emails accepted, heard of as delivered.
        self._usual = [Fading(HALF_LIFE, 0.0, 0.0) for _ in range(groups)]
        self._good: Floats | None = None

    def sent(self, group: int, accepted_at: float) -> None:
        bucket = int(accepted_at / WIDTH)
        self.advance(accepted_at)
        if bucket > self._head - BUCKETS:
            self._sent[group, bucket % BUCKETS] += 1

    def event(self, group: int, accepted_at: float, delivered: bool) -> None:
        bucket = int(accepted_at / WIDTH)
        if self._head - BUCKETS < bucket <= self._head:
            counts = self._delivered if delivered else self._bounced
            at = bucket % BUCKETS
            if self._delivered[group, at] + self._bounced[group, at] < self._sent[group, at]:
                counts[group, at] += 1

    def kept(self) -> list[list[float]]:
        """What came in the end when all was well, per group."""
        return [usual.kept() for usual in self._usual]

    def recall(self, kept: Sequence[Sequence[float]]) -> None:
        for usual, sums in zip(self._usual, kept, strict=False):
            usual.recall(sums)
        self._good = None

    def idle(self) -> bool:
        """Nothing that could be judged has been sent of late."""
        return not self._sent.any()

    def forget(self, groups: Sequence[int] | None = None) -> None:
        """Nothing that was sent so far may be judged any more."""
        which = list(range(self.groups)) if groups is None else list(groups)
        for counts in (self._sent, self._delivered, self._bounced):
            counts[which] = 0
        self._carry[:, which] = 0
        self._carry[:, -1] = 0

    def unlearn(self, groups: Sequence[int]) -> None:
        """What came in the end was of a time that is not the usual one."""
        for group in groups:
            self._usual[group] = Fading(HALF_LIFE, 0.0, 0.0)
        self._good = None

    def begin(self, trial: Trial) -> None:
        """Nothing that its groups were sent so far is judged any more; what follows is their trial."""
        self._trials.append(trial)
        self.forget(trial.groups)

    def end(self, trial: Trial) -> None:
        self._trials.remove(trial)
        self.forget(trial.groups)

    def owed(self, before: Floats, heard: Floats, good: Floats) -> float:
        """How many delivered events should have come since the shares heard of were `before`."""
        at, good = self._order(), good[:, None]
        missing = (self._sent - self._delivered - self._bounced)[:, at]
        return float((missing * good * (heard - before) / (1 - good * before)).sum())

    def usual(self) -> Floats:
        """Per group: the share of the accepted that is heard of as delivered when all is well."""
        if self._good is not None:
            return self._good
        n = np.array([u.sums[0] for u in self._usual])
        came = np.array([u.sums[1] for u in self._usual])
        mean = (came.sum() + STRENGTH * PRIOR_HEARD) / (n.sum() + STRENGTH)
        usual: Floats = ((came + STRENGTH * mean) / (n + STRENGTH)).clip(0.05, MOST_HEARD)
        self._good = usual
        return usual

    def advance(self, now: float) -> None:
        """Move time on: fold the buckets that leave the ring into the carry, as fully aged."""
        bucket = int(now / WIDTH)
        if bucket == self._head:
            return
        first, last = self._head - BUCKETS + 1, min(bucket - BUCKETS, self._head)
        if last < first:
            return
        fresh = np.arange(first, last + 1) % BUCKETS
        used = self._sent[:, fresh].any(axis=0)
        if used.any():
            good = self.usual()
            for i in np.flatnonzero(used):
                self._carry_over(fresh[i : i + 1], good, (first + int(i)) * WIDTH)
        self._head = bucket
        for counts in (self._sent, self._delivered, self._bounced):
            counts[:, fresh] = 0

    def _carry_over(self, at: Ints, good: Floats, when: float) -> None:
        gains = _with_all(self._ratios(good, good * _RATIOS, _AGED, at))
        self._carry = np.maximum(0.0, self._carry + gains[:, :, 0])
        tried: set[int] = set()
        for trial in self._trials:
            tried.update(trial.groups)
            if when >= trial.since:
                trial.add(self._speaks(trial, _AGED, good, at)[0], when)
        self._good = None
        for group, usual in enumerate(self._usual):
            if group not in tried and self._sent[group, at[0]]:
                usual.add(when, float(self._sent[group, at[0]]), float(self._delivered[group, at[0]]))

    def _order(self) -> Ints:
        return np.arange(self._head - BUCKETS + 1, self._head + 1) % BUCKETS

    def ages(self, now: float) -> Floats:
        """Of the buckets' middles, the oldest first."""
        numbers = np.arange(self._head - BUCKETS + 1, self._head + 1)
        ages: Floats = np.maximum(0.0, now - (numbers + 0.5) * WIDTH)
        return ages

    def _ratios(self, good: Floats, bad: Floats, heard: Floats, at: Ints) -> Floats:
        """[…, group, bucket] log likelihood of `bad` […, group] against `good` [group] (chances to be heard of as
        delivered)."""
        sent, delivered, bounced = self._sent[:, at], self._delivered[:, at], self._bounced[:, at]
        good, bad = good[:, None], bad[..., None]
        silence = np.log((1 - bad * heard) / (1 - good * heard))
        missing = sent - delivered - bounced
        told: Floats = delivered * np.log(bad / good) + bounced * np.log((1 - bad) / (1 - good))
        return told + missing * silence

    def scan(self, heard: Floats, good: Floats, suspects: Sequence[bool]) -> Finding | None:
        """The strongest finding in the groups that are not suspects already, or None.

        `heard`: the share of deliveries heard of, per age of `ages(now)`; `good`: per group, what share of the
        accepted is usually heard of as delivered.
        """
        at = self._order()
        free = ~np.asarray(suspects)
        best: Finding | None = None
        every = _with_all(self._ratios(good, good * _RATIOS, heard, at) * free[:, None])
        since = np.cumsum(every[:, :, ::-1], axis=2)[:, :, ::-1]
        since[:, :, 0] += self._carry
        highest = since.max(axis=2)
        if highest.max() < min(CELL_THRESHOLD, POOLED_THRESHOLD):
            return None
        for gains, tops, beginnings in zip(every, highest, since, strict=True):
            starts = beginnings.argmax(axis=1)
            tops[:-1][~free] = 0.0
            found = self._judge(tops, starts, gains, free)
            if found is not None and (best is None or found[2] > best.evidence):
                groups, start, evidence = found
                begin = max(0.0, (self._head - BUCKETS + 1 + start) * WIDTH)
                expected, came = self._tally(groups, start, at, heard, good)
                if expected - came >= LEAST_LOST:
                    left, at_most = (min(1.0, (came + more) / (expected + 2.0)) for more in (0.5, 2.0))
                    best = Finding(groups, begin, left, at_most, evidence)
        return best

    def _judge(
        self, tops: Floats, starts: Ints, gains: Floats, free: Bools
    ) -> tuple[tuple[int, ...], int, float] | None:
        """Which groups are meant: all that do not speak against it, or the one that explains it alone."""
        worst = int(tops[:-1].argmax())
        pooled = float(tops[-1])
        if pooled >= POOLED_THRESHOLD:
            start = int(starts[-1])
            own = gains[:-1, start:].sum(axis=1)
            if own.max() < pooled - 0.5:
                groups = tuple(g for g in range(self.groups) if free[g] and own[g] > -0.5)
                return groups, start, pooled
        if tops[worst] >= CELL_THRESHOLD:
            return (worst,), int(starts[worst]), float(tops[worst])
        return None

    def _tally(
        self, groups: Sequence[int], start: int, at: Ints, heard: Floats, good: Floats
    ) -> tuple[float, float]:
        """How many deliveries should have been heard of since then, and how many were."""
        rows, columns = list(groups), at[start:]
        expected = self._sent[rows][:, columns] * heard[start:] * good[rows][:, None]
        return float(expected.sum()), float(self._delivered[rows][:, columns].sum())

    def recovery(self, heard: Floats, good: Floats, trial: Trial) -> float:
        """The evidence, from what was accepted in a trial, that its groups deliver again as they used to."""
        gains = self._gains(heard, good, trial)
        newest_first = np.cumsum(gains[::-1])
        return float(max(newest_first.max(initial=0.0), gains.sum() + trial.gained))

    def lasts(self, heard: Floats, good: Floats, trial: Trial) -> bool:
        """Whether what was accepted in a trial shows that they do not. Old losses alone show nothing: where nobody
        probes, as emails that are urgent do not, none would ever be made good.
        """
        gains = self._gains(heard, good, trial)
        newest_first = np.cumsum(gains[::-1])
        against = trial.against if self._head * WIDTH - trial.latest < FORGIVEN else 0.0
        return float(min(newest_first.min(initial=0.0), gains.sum() + against)) <= -LASTING

    def _gains(self, heard: Floats, good: Floats, trial: Trial) -> Floats:
        """What speaks for a recovery, and against it where it is below 0, by when it was accepted."""
        later = np.arange(self._head - BUCKETS + 1, self._head + 1) * WIDTH >= trial.since
        return self._speaks(trial, heard[later], good, self._order()[later])

    def _speaks(self, trial: Trial, heard: Floats, good: Floats, at: Ints) -> Floats:
        ratios = self._ratios(good, trial.bad(good), heard, at)
        found: Floats = -ratios[list(trial.groups)].sum(axis=0)
        return found
