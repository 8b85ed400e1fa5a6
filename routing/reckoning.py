"""What replayed emails would have come to, beside what they came to: money, delivery, time, each with its doubt.

An email's way is followed over its providers: the first takes it, leaves it in doubt, or fails and the next has its
turn. All of it is linear in the chances, so the ways are reckoned once per drawn truth (routing.evidence) and never
played. Delivery and time are said only of the emails whose first provider is known well enough; what happened is then
told of the same emails. The other providers of a way stand in it with all their doubt.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from routing.acceptance import PRIOR_TAKEN
from routing.allocation import Floats
from routing.evidence import Draws, draw
from routing.mailbox_groups import GROUPS
from routing.replay import Happened, Replay, Tally, Way

DRAWS = 400
LOW, HIGH = 0.05, 0.95
_STEPS = 40  # halvings of a search for a quantile


@dataclass(frozen=True, slots=True)
class Interval:
    """A posterior's mean, and where nine tenths of it lie."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, drawn: Floats) -> Interval:
        low, high = np.quantile(drawn, [LOW, HIGH])
        return cls(float(drawn.mean()), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure, as it was and as it would have been, of so many emails. None: not known, for the reason given."""

    happened: float | None
    would: Interval | None
    difference: Interval | None
    emails: int
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What one provider carried and would have carried, in emails and money."""

    provider: str
    emails: int
    cost: float
    would_emails: float
    would_cost: float


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of a provider at one mailbox group, where it would have been the first choice for `emails`."""

    provider: str
    mailbox_group: str
    emails: int
    observations: int
    delivered: Interval | None
    unknown: str | None


@dataclass(frozen=True, slots=True)
class Findings:
    """`cost` of all emails that would be carried; `delivered`, `held`, `not_taken`: shares; seconds until acceptance.

    `waited`: mean seconds that the replay let emails wait for a rate, a quota or a better price.
    """

    cost: Comparison
    delivered: Comparison
    held: Comparison
    seconds: Comparison
    seconds_p95: Comparison
    waited: float
    not_carried: int
    providers: Sequence[Share]
    cells: Sequence[Cell]
    reasons: Mapping[str, int]


@dataclass(slots=True)
class _Sums:
    """Over ways, per draw."""

    emails: int = 0
    happened: list[Happened] = field(default_factory=list)
    total: Floats = field(default_factory=lambda: np.zeros(DRAWS))


def reckon(replay: Replay, chance: np.random.Generator) -> Findings:
    """What a replay that has come to its end shows."""
    draws = [draw(a.record, chance, DRAWS) for a in replay.accounts]
    names = [a.provider.name for a in replay.accounts]
    cost, delivered, held, seconds = _Sums(), _Sums(), _Sums(), _Sums()
    carried = np.zeros((len(names), DRAWS))
    charged = np.zeros((len(names), DRAWS))
    timed = np.zeros((len(names), DRAWS))
    lacking: dict[str, set[str]] = defaultdict(set)
    for way, tally in replay.ways.items():
        group, first = way[0], way[1][0]
        steps = _followed(way, tally, draws)
        record = replay.accounts[first].record
        unheard, untimed = record.lacks(group), record.lacks_times()
        _add(cost, tally, _sum(s.cost for s in steps))
        _add(held, tally, tally.emails * _sum(s.doubt for s in steps))
        for s in steps:
            carried[s.provider] += tally.emails * s.accepted
            charged[s.provider] += s.cost
        if unheard is None:
            _add(delivered, tally, tally.emails * _sum(s.delivered for s in steps))
        else:
            lacking["delivered"].add(f"{names[first]} at {GROUPS[group]}: {unheard}")
        if untimed is None:
            _add(seconds, tally, tally.emails * _sum(s.seconds for s in steps))
            for s in steps:
                timed[s.provider] += tally.emails * s.accepted
        else:
            lacking["seconds"].add(f"{names[first]}: {untimed}")
    too_few = {figure: "; ".join(sorted(said)) for figure, said in lacking.items()}
    return Findings(
        cost=_compare(cost, _paid, share=False, unknown=None),
        delivered=_compare(delivered, _arrived, share=True, unknown=too_few.get("delivered")),
        held=_compare(held, _doubtful, share=True, unknown=None),
        seconds=_compare(seconds, _mean_time, share=True, unknown=too_few.get("seconds")),
        seconds_p95=_slowest(seconds, timed, draws, too_few.get("seconds")),
        waited=sum(t.waited for t in replay.ways.values()) / max(1, cost.emails),
        not_carried=len(replay.not_carried),
        providers=_shares(replay, names, carried, charged),
        cells=_cells(replay, names, draws),
        reasons=dict(replay.reasons),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One provider of a way, per draw and email; `cost` of all of the tally's emails."""

    provider: int
    cost: Floats
    accepted: Floats
    doubt: Floats
    delivered: Floats
    seconds: Floats


def _followed(way: Way, tally: Tally, draws: Sequence[Draws]) -> list[_Step]:
    group, path = way
    reaches: Floats = np.ones(DRAWS)
    steps = []
    for k, charge in zip(path, tally.charges, strict=True):
        d = draws[k]
        taken = reaches * (d.accepted + PRIOR_TAKEN * d.unknown)
        steps.append(
            _Step(
                k, charge * taken, reaches * d.accepted, reaches * d.unknown, taken * d.delivered[group],
                reaches * d.seconds,
            )
        )  # fmt: skip
        reaches = reaches * np.maximum(0.0, 1 - d.accepted - d.unknown)
    return steps


def _sum(parts: Iterable[Floats]) -> Floats:
    total: Floats = np.sum(list(parts), axis=0)
    return total


def _add(sums: _Sums, tally: Tally, total: Floats) -> None:
    sums.emails += tally.emails
    sums.happened += tally.happened
    sums.total = sums.total + total


def _compare(
    sums: _Sums, read: Callable[[Sequence[Happened]], float | None], *, share: bool, unknown: str | None
) -> Comparison:
    if not sums.emails:
        return Comparison(None, None, None, 0, unknown or "no email would have been carried")
    happened = read(sums.happened)
    would = sums.total / sums.emails if share else sums.total
    difference = None if happened is None else Interval.of(would - happened)
    return Comparison(happened, Interval.of(would), difference, sums.emails, unknown)


def _paid(happened: Sequence[Happened]) -> float | None:
    known = [h.cost for h in happened if h.cost is not None]
    return math.fsum(known) if len(known) == len(happened) else None  # a part of the bill would mislead


def _arrived(happened: Sequence[Happened]) -> float | None:
    known = [h.delivered for h in happened if h.delivered is not None]
    return sum(known) / len(known) if known else None


def _doubtful(happened: Sequence[Happened]) -> float | None:
    return sum(h.held for h in happened) / len(happened) if happened else None


def _times(happened: Sequence[Happened]) -> list[float]:
    return [h.seconds for h in happened if h.seconds is not None]


def _mean_time(happened: Sequence[Happened]) -> float | None:
    known = _times(happened)
    return math.fsum(known) / len(known) if known else None


def _slowest(sums: _Sums, timed: Floats, draws: Sequence[Draws], unknown: str | None) -> Comparison:
    """The 95th percentile of the answer that settled it, of a mixture of lognormals: found by halving."""
    if not sums.emails:
        return Comparison(None, None, None, 0, unknown or "no email would have been carried")
    weights = timed / timed.sum(axis=0)
    means = np.stack([d.log_mean for d in draws])
    spreads = np.stack([d.log_spread for d in draws])
    low = (means - 8 * spreads).min(axis=0)
    high = (means + 8 * spreads).max(axis=0)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = (weights * ndtr((middle - means) / spreads)).sum(axis=0)
        low, high = np.where(below < HIGH, middle, low), np.where(below < HIGH, high, middle)
    would = np.exp((low + high) / 2)
    known = _times(sums.happened)
    happened = float(np.quantile(known, HIGH)) if known else None
    difference = None if happened is None else Interval.of(would - happened)
    return Comparison(happened, Interval.of(would), difference, sums.emails, unknown)


def _shares(replay: Replay, names: Sequence[str], carried: Floats, charged: Floats) -> list[Share]:
    emails: dict[str, int] = defaultdict(int)
    cost: dict[str, float] = defaultdict(float)
    every = [h for t in replay.ways.values() for h in t.happened] + replay.not_carried
    for h in every:
        if h.provider is not None:
            emails[h.provider] += 1
            cost[h.provider] += h.cost or 0.0
    would = {name: (carried[k].mean(), charged[k].mean()) for k, name in enumerate(names)}
    return [
        Share(name, emails[name], cost[name], *(float(v) for v in would.get(name, (0.0, 0.0))))
        for name in sorted({*emails, *(n for n in names if would[n][0] > 0)})
    ]


def _cells(replay: Replay, names: Sequence[str], draws: Sequence[Draws]) -> list[Cell]:
    firsts: dict[tuple[int, int], int] = defaultdict(int)
    for (group, path), tally in replay.ways.items():
        firsts[path[0], group] += tally.emails
    cells = []
    for (k, group), emails in sorted(firsts.items()):
        record = replay.accounts[k].record
        unknown = record.lacks(group)
        delivered = Interval.of(draws[k].delivered[group]) if unknown is None else None
        cells.append(Cell(names[k], GROUPS[group], emails, record.told[group], delivered, unknown))
    return cells
