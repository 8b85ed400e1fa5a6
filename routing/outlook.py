"""What is believed of all providers at one moment, and the choice by it. Values: made by a learner, used by all."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from routing.index import Coefficients, Worth

EXPLORED = 0.01  # share of the choices that give the benefit of the doubt
PANIC_ACCEPTED = 0.2  # where all are shut: try those that take at least so much


class Reason(StrEnum):
    LOWEST_EXPECTED_COST = "LOWEST_EXPECTED_COST"
    PROBE = "PROBE"
    EXPLORE = "EXPLORE"
    PANIC = "PANIC"
    HOME = "HOME"


@dataclass(slots=True)
class Standing:
    """One provider. `share`: of the traffic it may carry; 0: shut. `rate_price`: of a whole burst.

    `hopeful`: loss per group where the doubt is given. `healthy`: the coefficients it would have if it were well
    again, where it is shut or alarmed; `alarmed` names the groups, `probe_groups` those in which an alarm's probe is
    due. `least`: the least valuable email that it may carry, for probes. `limited`: its rate has to be asked for.
    `feed_down`: its events have stopped, so that nothing is judged by them.
    """

    coefficients: Coefficients
    accepted: float
    delivered: tuple[float, ...]
    sample: tuple[float, ...]
    hopeful: tuple[float, ...]
    rate_price: float = 0.0
    share: float = 1.0
    probe_due: bool = False
    healthy: Coefficients | None = None
    alarmed: frozenset[int] = frozenset()
    probe_groups: frozenset[int] = frozenset()
    least: float = 0.0
    limited: bool = True
    feed_down: bool = False
    fixed: float = 0.0
    loss: tuple[float, ...] = ()
    time: float = 0.0

    def __post_init__(self) -> None:
        self.fixed, self.loss, self.time = (
            self.coefficients.fixed,
            self.coefficients.loss,
            self.coefficients.time,
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    version: int
    standings: Sequence[Standing]


def blended(outlook: Outlook, groups: Sequence[int]) -> Outlook:
    """As an email sees it whose recipients are in several groups: the mean over them, in trouble where one is."""

    def mean(values: Sequence[float]) -> tuple[float, ...]:
        return (sum(values[g] for g in groups) / len(groups),) * len(values)

    def blend(c: Coefficients) -> Coefficients:
        return Coefficients(c.price, c.shadow, c.work, mean(c.loss), c.time)

    found = []
    for s in outlook.standings:
        everywhere = frozenset(range(len(s.loss)))
        found.append(
            replace(
                s,
                coefficients=blend(s.coefficients),
                delivered=mean(s.delivered),
                hopeful=mean(s.hopeful),
                healthy=s.healthy and blend(s.healthy),
                alarmed=everywhere if s.alarmed & set(groups) else frozenset(),
                probe_groups=everywhere if s.probe_groups & set(groups) else frozenset(),
            )
        )
    return Outlook(outlook.version, found)


class Why(StrEnum):
    """What kept a candidate out of the comparison, or what it was compared as."""

    COMPARED = "COMPARED"
    HOPEFUL = "EXPLORE"
    RAMPING = "RAMPING"
    OPEN = "BREAKER_OPEN"
    RATE_LIMITED = "RATE_LIMITED"


Score = tuple[int, float, Why]
"""A candidate, its index (infinite where it was not even compared), and how it was seen."""


class Choice(NamedTuple):
    """`score` of the chosen; `probe`: it is one of the few that may find out whether trouble is over.

    `scores` has every candidate, in the order in which they were given.
    """

    provider: int
    score: float
    reason: Reason
    scores: list[Score]
    probe: bool = False


Free = Callable[[int], float]
"""The part of a provider's burst that is free, 0..1; below 0: its rate admits nothing now."""


class Weighing(NamedTuple):
    """Candidates compared, before chance has its say: emails that are alike at one moment share it.

    `best` and `lowest` of those that carry all they are given (-1, infinite: none does); `ramping` ones carry a
    share only; `ailing` ones are shut or alarmed, and may be due to be probed. `troubled`: some candidate
    is not well.
    """

    scores: list[Score]
    best: int
    lowest: float
    ramping: list[Score]
    ailing: list[int]
    troubled: bool


def explored(chance: random.Random) -> bool:
    """Whether this choice gives the benefit of the doubt."""
    return chance.random() < EXPLORED


def weigh(
    outlook: Outlook,
    worth: Worth,
    group: int,
    candidates: Sequence[int],
    free: Free,
    *,
    hopeful: bool = False,
) -> Weighing:
    """The index of every candidate. `hopeful`: those in no trouble are given the benefit of the doubt."""
    value, wait = worth.value, worth.wait
    standings = outlook.standings
    seen_as = Why.HOPEFUL if hopeful else Why.COMPARED
    best, lowest = -1, math.inf
    scores: list[Score] = []
    ramping: list[Score] = []
    ailing: list[int] = []
    troubled = False
    for k in candidates:
        s = standings[k]
        rate = free(k) if s.limited else 1.0
        if rate < 0:
            scores.append((k, math.inf, Why.RATE_LIMITED))
            continue
        loss = s.hopeful if hopeful and group not in s.alarmed else s.loss
        score = s.fixed + value * loss[group] + wait * s.time + s.rate_price * (1 - rate)
        if s.healthy is not None:
            troubled = True
            ailing.append(k)
        if s.share < 1:
            troubled = True
            seen = k, score, Why.OPEN if s.share <= 0 else Why.RAMPING
            scores.append(seen)
            if s.share > 0:
                ramping.append(seen)
            continue
        scores.append((k, score, seen_as))
        if score < lowest:
            best, lowest = k, score
    return Weighing(scores, best, lowest, ramping, ailing, troubled)


def choose(
    outlook: Outlook,
    worth: Worth,
    group: int,
    candidates: Sequence[int],
    free: Free,
    chance: random.Random,
    *,
    explores: bool = True,
    probes: bool = True,
    taken: Sequence[int] = (),
) -> Choice | None:
    """The candidate with the lowest index. None: every one is shut, or its rate is spent.

    A provider in trouble is chosen only as a due probe with the least valuable email, and only where it would be the
    best if it were well. With a chance of 1% a candidate in no trouble is given the benefit of the doubt.
    """
    hopeful = explores and explored(chance)
    weighing = weigh(outlook, worth, group, candidates, free, hopeful=hopeful)
    return pick(outlook, worth, group, weighing, chance, hopeful=hopeful, probes=probes, taken=taken)


def pick(
    outlook: Outlook,
    worth: Worth,
    group: int,
    weighing: Weighing,
    chance: random.Random,
    *,
    hopeful: bool,
    probes: bool = True,
    taken: Sequence[int] = (),
) -> Choice | None:
    """The choice among candidates that were compared; see `choose`."""
    scores, best, lowest, ramping, ailing, troubled = weighing
    if troubled:
        standings = outlook.standings
        for k, score, _ in ramping:
            if chance.random() < standings[k].share and score < lowest:
                best, lowest = k, score
        return _with_care(
            standings, worth, group, best, lowest, scores, ailing, spared=not probes, taken=taken
        )
    if best < 0:
        return None
    return Choice(best, lowest, Reason.EXPLORE if hopeful else Reason.LOWEST_EXPECTED_COST, scores)


def _with_care(
    standings: Sequence[Standing],
    worth: Worth,
    group: int,
    best: int,
    lowest: float,
    scores: list[Score],
    ailing: Sequence[int],
    *,
    spared: bool,
    taken: Sequence[int],
) -> Choice | None:
    """The choice where some candidates are in trouble: a due probe, the best of the others, or the least bad.

    What is `spared` is no probe while anybody else can carry it. Of those whose probe is `taken` another one is out.
    """
    value, wait = worth.value, worth.wait
    reason = Reason.LOWEST_EXPECTED_COST
    if best < 0:
        ramping = [(score, k) for k, score, why in scores if why is Why.RAMPING]
        panic = [
            (score, k)
            for k, score, why in scores
            if why is Why.OPEN and standings[k].accepted >= PANIC_ACCEPTED
        ]
        reason = Reason.LOWEST_EXPECTED_COST if ramping else Reason.PANIC
        lowest, best = min(ramping or panic, default=(math.inf, -1))
    for k in () if spared and best >= 0 else ailing:
        s = standings[k]
        if s.healthy is None or k in taken or value > s.least:
            continue
        if s.probe_due or group in s.probe_groups:
            well = s.healthy.fixed + value * s.healthy.loss[group] + wait * s.healthy.time
            if well < lowest or reason is Reason.PANIC:
                return Choice(k, well, Reason.PROBE, scores, probe=True)
    return None if best < 0 else Choice(best, lowest, reason, scores)
