"""What is believed of all providers at one moment, and the choice by it. Values: made by a learner, used by all."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from routing.index import Coefficients, Worth

EXPLORED = 0.01  # share of the choices that give the benefit of the doubt
PANIC_ACCEPTED = 0.2  # where all are shut: try those that take at least so much


class Reason(StrEnum):
    LOWEST_EXPECTED_COST = "LOWEST_EXPECTED_COST"
    QUOTA_PRESERVED = "QUOTA_PRESERVED"
    PROBE = "PROBE"
    EXPLORE = "EXPLORE"
    PANIC = "PANIC"


@dataclass(slots=True)
class Standing:
    """One provider. `share`: of the traffic it may carry; 0: shut. `rate_price`: of a whole burst.

    `hopeful`: loss per group where the doubt is given. `healthy`: the coefficients it would have if it were well
    again, where it is shut or alarmed; `alarmed` names the groups, `probe_groups` those in which an alarm's probe is
    due. `least`: the least valuable email that it may carry, for probes.
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


@dataclass(frozen=True, slots=True)
class Choice:
    """`score` of the chosen; `probe`: it is one of the few that may find out whether trouble is over."""

    provider: int
    score: float
    reason: Reason
    probe: bool = False


Free = Callable[[int], float]
"""The part of a provider's burst that is free, 0..1; below 0: its rate admits nothing now."""


def choose(
    outlook: Outlook,
    worth: Worth,
    group: int,
    candidates: Sequence[int],
    free: Free,
    chance: random.Random,
    *,
    explores: bool = True,
) -> Choice | None:
    """The candidate with the lowest index. None: every one is shut, or its rate is spent.

    A provider in trouble is chosen only as a due probe with the least valuable email, and only where it would be the
    best if it were well. With a chance of 1% a candidate in no trouble is given the benefit of the doubt.
    """
    value, wait = worth.value, worth.wait
    standings = outlook.standings
    hopeful = explores and chance.random() < EXPLORED
    best, lowest, probes, shut = -1, math.inf, [], []
    held_back, held_back_score = -1, math.inf
    for k in candidates:
        s = standings[k]
        rate = free(k)
        if rate < 0:
            continue
        if s.share <= 0:
            shut.append(k)
            if s.probe_due and value <= s.least:
                probes.append(k)
            continue
        loss = s.hopeful[group] if hopeful and group not in s.alarmed else s.loss[group]
        score = s.fixed + value * loss + wait * s.time + s.rate_price * (1 - rate)
        if s.share < 1 and chance.random() >= s.share:
            if score < held_back_score:
                held_back, held_back_score = k, score
            continue
        if score < lowest:
            best, lowest = k, score
        if group in s.probe_groups and value <= s.least:
            probes.append(k)
    if best < 0 and held_back >= 0:
        best, lowest = held_back, held_back_score
    if probes and (probe := _probe(standings, value, wait, group, probes, lowest)) is not None:
        return probe
    if best < 0:
        return _panic(standings, value, wait, group, shut)
    return Choice(best, lowest, Reason.EXPLORE if hopeful else Reason.LOWEST_EXPECTED_COST)


def _probe(
    standings: Sequence[Standing], value: float, wait: float, group: int, due: Sequence[int], lowest: float
) -> Choice | None:
    """The first whose probe is due and who would win if it were well."""
    for k in due:
        healthy = standings[k].healthy
        assert healthy is not None
        score = healthy.fixed + value * healthy.loss[group] + wait * healthy.time
        if score < lowest:
            return Choice(k, score, Reason.PROBE, probe=True)
    return None


def _panic(
    standings: Sequence[Standing], value: float, wait: float, group: int, shut: Sequence[int]
) -> Choice | None:
    """All are shut: rather than nobody, one that still takes some."""
    best, lowest = -1, math.inf
    for k in shut:
        s = standings[k]
        score = s.fixed + value * s.loss[group] + wait * s.time
        if s.accepted >= PANIC_ACCEPTED and score < lowest:
            best, lowest = k, score
    return None if best < 0 else Choice(best, lowest, Reason.PANIC)
