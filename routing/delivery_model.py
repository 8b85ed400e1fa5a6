"""What share of the accepted a mailbox host takes in the end: learned per provider and recipient group.

Only delivered and bounced count, so that lost events do no harm. "Unknown user" is the recipient's matter and is not
told here. A cell with few events leans on the provider's mean and half the group's usual distance from it.

The memory is long, for what hardly changes is learned best from much. What a provider does of late against it is
followed by itself, over all groups together; once that stands out from chance it is believed in full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from routing.fading import Fading

HALF_LIFE = 8 * 3600.0
KEPT = 0.9998  # of what was known, at each event: who has many needs no old ones
RECENT_HALF_LIFE = 300.0
PRIOR_DELIVERED, PRIOR_STRENGTH = 0.98, 30.0
CELL_STRENGTH = 30.0
OFFSET_STRENGTH = 60.0
THRESHOLD = 2.3  # standard errors from which on the recent residual of a provider counts
LEAST_RECENT = 30.0  # events without which nothing stands out
POOR, ENOUGH_POOR = 0.8, 30.0  # chance, and events of the provider, from which on it is as bad as trouble


@dataclass(frozen=True, slots=True)
class Delivery:
    """`chance` that an accepted email is delivered, the standard deviation of that belief, and its sample size."""

    chance: float
    spread: float
    sample: float


class DeliveryModel:
    """Of all providers, for they lend one another what they know of a group."""

    def __init__(self, providers: int, groups: int) -> None:
        self._cells = [[Fading(HALF_LIFE, 0.0, 0.0) for _ in range(groups)] for _ in range(providers)]
        # Events, expected delivered, delivered: how a provider does of late against what its cells say.
        self._recent = [Fading(RECENT_HALF_LIFE, 0.0, 0.0, 0.0) for _ in range(providers)]
        self._believed: list[list[Delivery]] = []
        self._settled: list[list[float]] = []  # the chances without what is only seen of late
        self.refresh(0.0)

    def event(self, provider: int, group: int, delivered: bool, now: float) -> None:
        cell = self._cells[provider][group]
        cell.sums = [s * KEPT for s in cell.sums]
        cell.add(now, 1.0, float(delivered))
        self._recent[provider].add(now, 1.0, self._settled[provider][group], float(delivered))

    def kept(self, provider: int) -> list[list[float]]:
        """What is worth remembering of a provider, per group."""
        return [cell.kept() for cell in self._cells[provider]]

    def recall(self, provider: int, kept: Sequence[Sequence[float]]) -> None:
        """Go on from what was kept. It shows with the next refresh."""
        for cell, sums in zip(self._cells[provider], kept, strict=False):
            cell.recall(sums)

    def adopt(self, provider: int, other: DeliveryModel, there: int) -> None:
        """Take over a provider from another model of the same groups."""
        self._cells[provider], self._recent[provider] = other._cells[there], other._recent[there]

    def poor(self, provider: int) -> tuple[int, ...]:
        """The groups for which a provider is as bad as if it were in trouble."""
        believed = self._believed[provider]
        if sum(d.sample for d in believed) < ENOUGH_POOR:
            return ()
        return tuple(g for g, d in enumerate(believed) if d.chance <= POOR)

    def forget(self, provider: int, groups: Sequence[int], now: float) -> None:
        """What was seen of a provider in these groups was of a time that may be over."""
        for group in groups:
            self._cells[provider][group] = Fading(HALF_LIFE, 0.0, 0.0)
        self._recent[provider] = Fading(RECENT_HALF_LIFE, 0.0, 0.0, 0.0)
        self.refresh(now)

    def of(self, provider: int, group: int) -> Delivery:
        return self._believed[provider][group]

    def refresh(self, now: float) -> None:
        """Draw the conclusions from all events so far."""
        counts = [[cell.fade(now) for cell in row] for row in self._cells]
        means = [_mean(row) for row in counts]
        offsets = _offsets(counts, means)
        believed = [
            [_believe(cell, mean + offset / 2) for cell, offset in zip(row, offsets, strict=True)]
            for row, mean in zip(counts, means, strict=True)
        ]
        self._settled = [[d.chance for d in row] for row in believed]
        for row, recent in zip(believed, self._recent, strict=True):
            shift = _residual(recent.fade(now))
            if shift:
                row[:] = [Delivery(_chance(d.chance + shift), d.spread, d.sample) for d in row]
        self._believed = believed


def _chance(value: float) -> float:
    return min(0.9999, max(1e-4, value))


def _believe(counts: Sequence[float], prior: float) -> Delivery:
    n, delivered = counts
    strength = n + CELL_STRENGTH
    chance = _chance((delivered + CELL_STRENGTH * prior) / strength)
    return Delivery(chance, math.sqrt(chance * (1 - chance) / strength), n)


def _mean(cells: Sequence[Sequence[float]]) -> float:
    n = sum(c[0] for c in cells)
    return (sum(c[1] for c in cells) + PRIOR_STRENGTH * PRIOR_DELIVERED) / (n + PRIOR_STRENGTH)


def _offsets(counts: Sequence[Sequence[Sequence[float]]], means: Sequence[float]) -> list[float]:
    """How far each group usually lies from the providers' means."""
    found = []
    for g in range(len(counts[0]) if counts else 0):
        n = sum(row[g][0] for row in counts)
        apart = sum(row[g][1] - mean * row[g][0] for row, mean in zip(counts, means, strict=True))
        found.append(apart / (n + OFFSET_STRENGTH))
    return found


def _residual(recent: Sequence[float]) -> float:
    """What a provider delivers more or less of late than believed: 0 unless it stands out."""
    n, expected, delivered = recent
    if n < LEAST_RECENT:
        return 0.0
    mean = expected / n
    error = math.sqrt(max(1e-6, mean * (1 - mean)) / n)
    apart = (delivered - expected) / n
    return apart if abs(apart) > THRESHOLD * error else 0.0
