"""What is reported of one run, and what of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from bench.routing.simulator import Run
from bench.routing.world import GROUPS, Change, World
from routing.allocation import Floats, Ints

_WINDOW = 20  # emails over which the use of a provider is measured
_USED, _LEFT, _BACK = 0.1, 0.25, 0.5  # shares: worth measuring; of it when noticed; of it when recovered


@dataclass(frozen=True, slots=True)
class Figures:
    """`excess` over the best possible, as a ratio. Money in $ per 1,000, times in s, the rest per 1,000 emails.

    `detected`, `recovered`: mean seconds until the traffic had left a provider in trouble, and was back after its
    end; None where nothing was to be noticed. The figures of several runs are their means; `worst` is the highest
    excess.
    """

    excess: float
    worst: float
    objective: float
    cost: float
    cost_per_delivered: float
    delivered: float
    first_attempt_success: float
    extra_attempts: float
    p50: float
    p99: float
    throttled: float
    overruns: float
    duplicates: float
    held: float
    given_up: float
    detected: float | None
    recovered: float | None

    def against(self, best: float) -> Figures:
        """With the excess over an objective of `best`."""
        excess = self.objective / best - 1
        return replace(self, excess=excess, worst=excess)

    def as_json(self) -> dict[str, float | None]:
        return {name: None if v is None else round(v, 6) for name, v in asdict(self).items()}


def measure(world: World, run: Run) -> Figures:
    """Everything but the excess, which needs to know what was possible: see Figures.against."""
    objective = float(run.objective(world).mean())
    delivered = 1 - float(run.lost.mean())
    accepted = run.waited[run.waited >= 0]
    per_thousand = 1000 / world.emails
    detected, recovered = _times(world, run.first)
    return Figures(
        excess=math.nan,
        worst=math.nan,
        objective=objective,
        cost=float(run.charges.mean()),
        cost_per_delivered=float(run.charges.mean()) / max(delivered, 1e-9),
        delivered=delivered,
        first_attempt_success=float(((run.waited >= 0) & (run.attempts == 1)).mean()),
        extra_attempts=float((run.attempts.sum() - world.emails) * per_thousand),
        p50=float(np.percentile(accepted, 50)) if len(accepted) else 0.0,
        p99=float(np.percentile(accepted, 99)) if len(accepted) else 0.0,
        throttled=run.throttled * per_thousand,
        overruns=run.overrun * per_thousand,
        duplicates=float((run.acceptances > 1).sum() * per_thousand),
        held=float(run.held.sum() * per_thousand),
        given_up=float(((run.waited < 0) & (run.held == 0)).sum() * per_thousand),
        detected=detected,
        recovered=recovered,
    )


def merge(several: Sequence[Figures]) -> Figures:
    values: dict[str, float | None] = {}
    for field in fields(Figures):
        known = [v for f in several if (v := getattr(f, field.name)) is not None]
        values[field.name] = (max(known) if field.name == "worst" else _mean(known)) if known else None
    return Figures(**values)  # type: ignore[arg-type]  # those that may not be None are always known


def mean_excess(scenarios: Mapping[str, Mapping[str, Figures]]) -> dict[str, float]:
    """Per policy, over the scenarios."""
    policies = next(iter(scenarios.values()), {})
    return {p: _mean([row[p].excess for row in scenarios.values()]) for p in policies}


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _times(world: World, first: Ints) -> tuple[float | None, float | None]:
    """How long until traffic left a provider that had fallen ill, and until it was back."""
    detected, recovered = [], []
    for change, provider in _troubles(world):
        mine = np.ones(world.emails, dtype=bool)
        if change.group is not None:
            mine = world.kinds % len(GROUPS) == GROUPS.index(change.group)
        at = world.arrivals[mine]
        used = (first[mine] == provider).astype(float)
        before = used[(at >= change.start - 600) & (at < change.start)]
        if len(before) < _WINDOW or before.mean() < _USED:
            continue
        ahead = _ahead(used)
        base = before.mean()
        gone = _first(at, ahead <= _LEFT * base, change.start, change.end)
        if gone is None:
            continue
        detected.append(gone - change.start)
        back = _first(at, ahead >= _BACK * base, change.end, np.inf)
        if back is not None:
            recovered.append(back - change.end)
    return (_mean(detected) if detected else None, _mean(recovered) if recovered else None)


def _troubles(world: World) -> Iterable[tuple[Change, int]]:
    """The changes that a chooser should notice: less accepted or delivered, for everyone or for a group."""
    for change in world.scenario.changes:
        if change.what in ("accept", "delivery") and not callable(change.value) and change.value <= 0.7:
            for name in change.providers:
                yield change, world.names.index(name)


def _ahead(used: Floats) -> Floats:
    """The share over the next few emails, at each email."""
    sums = np.concatenate([[0.0], np.cumsum(used)])
    shares = np.zeros(len(used))
    full = len(used) - _WINDOW
    if full > 0:
        shares[:full] = (sums[_WINDOW : _WINDOW + full] - sums[:full]) / _WINDOW
        shares[full:] = shares[full - 1]
    return shares


def _first(at: Floats, holds: npt.NDArray[np.bool_], start: float, end: float) -> float | None:
    found = np.flatnonzero(holds & (at >= start) & (at < end))
    return float(at[found[0]]) if len(found) else None
