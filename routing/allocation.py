"""How much of each kind of email each provider should carry: a linear program, by SciPy's HiGHS.

Emails are a fluid: x[i] emails of class c in time bucket b go to provider k, for every option i = (b, c, k).

    minimise    Σ x·cost + Σ unserved·penalty + Σ volume in price segments·price
    subject to  Σ_k x + unserved = demand              for every bucket and class
                Σ x·charged = Σ volume in segments     for every provider; segments end at the quota
                Σ x·attempts ≤ capacity                for every bucket and provider

A falling price (a cheaper segment behind a dearer one) may be used only once the dearer is full: one binary each.
Such a program is solved as a MILP, then once more as an LP with the binaries fixed, for the shadow prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_matrix, vstack

from routing.pricing import Segment, falling_edges

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MIP_GAP = 1e-4
_MIP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Options:
    """One entry per (bucket, class, provider) that may be used. Costs in $ per 1,000, without the price.

    `charged` and `attempts`: how many emails are billed, and how many calls are made, for each that is given.
    """

    bucket: Ints
    kind: Ints
    provider: Ints
    cost: Floats
    charged: Floats
    attempts: Floats


@dataclass(frozen=True, slots=True)
class Tariff:
    """What is left of a provider's price list. `quota`: recipients that may still be sent to; None: no limit.

    `window`: recipients that may still be sent to in the first so many buckets, after which there are more.
    """

    segments: Sequence[Segment]
    quota: float | None = None
    window: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """`given` per option, `unserved` per (bucket, class); `volume_price` per provider: what one more billed email
    costs there, now and later, `window_price`: what one more in its window would save beside that;
    `capacity_price` [bucket, provider]: what one more call per bucket would save.
    """

    total: float
    given: Floats
    unserved: Floats
    charges: float
    volume_price: Floats
    window_price: Floats
    capacity_price: Floats


class Unsolved(Exception):
    """HiGHS gave no answer."""


def allocate(
    demand: Floats,
    options: Options,
    capacity: Floats,
    tariffs: Sequence[Tariff],
    penalty: Floats,
    *,
    seconds: float = _MIP_SECONDS,
) -> Allocation:
    """Solve it. `demand` [bucket, class], `capacity` [bucket, provider], `penalty` per class. Raises Unsolved."""
    program = _Program(demand, options, capacity, tariffs, penalty)
    return program.solve(seconds)


class _Program:
    """Columns: options, then unserved per active (bucket, class), then price segments, then binaries."""

    def __init__(
        self,
        demand: Floats,
        options: Options,
        capacity: Floats,
        tariffs: Sequence[Tariff],
        penalty: Floats,
    ) -> None:
        self.options, self.capacity, self.shape = options, capacity, demand.shape
        self.active = np.argwhere(demand > 0)
        total = float(demand.sum()) * 1.01 + 1.0
        self.owner: list[int] = []
        self.segments: list[Segment] = []
        self.falls: list[tuple[int, int]] = []
        for k, tariff in enumerate(tariffs):
            kept = _within(tariff, total)
            first = len(self.segments)
            self.falls += [(first + i, first + i + 1) for i in falling_edges(kept)]
            self.segments += kept
            self.owner += [k] * len(kept)
        self.sizes = (len(options.cost), len(self.active), len(self.segments), len(self.falls))
        self.offsets = np.concatenate([[0], np.cumsum(self.sizes)]).astype(int)
        self.width = int(self.offsets[-1])
        self.cost = np.concatenate(
            [
                options.cost,
                penalty[self.active[:, 1]],
                [s.price for s in self.segments],
                np.zeros(self.sizes[3]),
            ]
        )
        self.upper = np.full(self.width, np.inf)
        self.upper[self.offsets[2] : self.offsets[3]] = [s.size for s in self.segments]
        self.upper[self.offsets[3] :] = 1.0
        self.lower = np.zeros(self.width)
        self._equalities(demand, len(tariffs))
        self._limits()
        self._windows(tariffs)

    def _equalities(self, demand: Floats, providers: int) -> None:
        o, (n, m, s, _) = self.options, self.sizes
        row_of = np.full(self.shape, -1)
        row_of[self.active[:, 0], self.active[:, 1]] = np.arange(m)
        rows = np.concatenate([row_of[o.bucket, o.kind], np.arange(m)])
        served = csr_matrix((np.ones(n + m), (rows, np.arange(n + m))), shape=(m, self.width))
        volume = csr_matrix(
            (
                np.concatenate([o.charged, -np.ones(s)]),
                (
                    np.concatenate([o.provider, np.array(self.owner, dtype=np.int64)]),
                    np.concatenate([np.arange(n), self.offsets[2] + np.arange(s)]),
                ),
            ),
            shape=(providers, self.width),
        )
        self.equal = vstack([served, volume]).tocsr()
        self.right = np.concatenate([demand[self.active[:, 0], self.active[:, 1]], np.zeros(providers)])

    def _limits(self) -> None:
        o, providers = self.options, self.capacity.shape[1]
        used, inverse = np.unique(o.bucket * providers + o.provider, return_inverse=True)
        self.capacity_rows = used
        self.below = csr_matrix(
            (o.attempts, (inverse, np.arange(self.sizes[0]))), shape=(len(used), self.width)
        )
        self.most = self.capacity[used // providers, used % providers]

    def _windows(self, tariffs: Sequence[Tariff]) -> None:
        """Rows below those of the capacities."""
        o = self.options
        self.windowed = [k for k, tariff in enumerate(tariffs) if tariff.window is not None]
        for k in self.windowed:
            buckets, most = tariffs[k].window or (0, 0.0)
            inside = np.flatnonzero((o.provider == k) & (o.bucket < buckets))
            row = csr_matrix(
                (o.charged[inside], (np.zeros(len(inside), dtype=np.int64), inside)), shape=(1, self.width)
            )
            self.below = vstack([self.below, row]).tocsr()
            self.most = np.append(self.most, max(0.0, most))

    def solve(self, seconds: float) -> Allocation:
        if self.falls:
            self._fix_binaries(seconds)
        found = linprog(
            self.cost,
            A_ub=self.below,
            b_ub=self.most,
            A_eq=self.equal,
            b_eq=self.right,
            bounds=np.stack([self.lower, self.upper], axis=1),
            method="highs",
        )
        if found.x is None:
            raise Unsolved(str(found.message))
        return self._read(found)

    def _fix_binaries(self, seconds: float) -> None:
        """Decide which falling tiers are worth earning: the dearer part full (1) or the cheaper unused (0)."""
        rows: list[tuple[int, int, float]] = []
        for j, (dear, cheap) in enumerate(self.falls):
            binary = int(self.offsets[3]) + j
            for row, column, size, sign in (
                (2 * j, dear, self.segments[dear].size, -1.0),
                (2 * j + 1, cheap, self.segments[cheap].size, 1.0),
            ):
                rows += [(row, int(self.offsets[2]) + column, sign), (row, binary, -sign * size)]
        order = csr_matrix(
            ([v for *_, v in rows], ([r for r, *_ in rows], [c for _, c, _ in rows])),
            shape=(2 * len(self.falls), self.width),
        )
        whole = np.zeros(self.width)
        whole[self.offsets[3] :] = 1
        found: Any = milp(
            self.cost,
            integrality=whole,
            bounds=Bounds(self.lower, self.upper),
            constraints=[
                LinearConstraint(self.equal, self.right, self.right),
                LinearConstraint(self.below, -np.inf, self.most),
                LinearConstraint(order, -np.inf, np.zeros(2 * len(self.falls))),
            ],
            options={"mip_rel_gap": _MIP_GAP, "time_limit": seconds},
        )
        if found.x is None:
            raise Unsolved(str(found.message))
        chosen = np.round(found.x[self.offsets[3] :])
        self.lower[self.offsets[3] :] = self.upper[self.offsets[3] :] = chosen
        for on, (dear, cheap) in zip(chosen, self.falls, strict=True):
            if on:
                self.lower[self.offsets[2] + dear] = self.segments[dear].size
            else:
                self.upper[self.offsets[2] + cheap] = 0.0

    def _read(self, found: Any) -> Allocation:
        n, m, s, _ = self.sizes
        buckets, providers = self.capacity.shape
        unserved = np.zeros(self.shape)
        unserved[self.active[:, 0], self.active[:, 1]] = found.x[n : n + m]
        below = -found.ineqlin.marginals
        capacity_price = np.zeros(buckets * providers)
        capacity_price[self.capacity_rows] = below[: len(self.capacity_rows)]
        window_price = np.zeros(providers)
        window_price[self.windowed] = below[len(self.capacity_rows) :]
        prices = np.array([segment.price for segment in self.segments])
        return Allocation(
            total=float(found.fun),
            given=found.x[:n],
            unserved=unserved,
            charges=float(found.x[n + m : n + m + s] @ prices),
            volume_price=-found.eqlin.marginals[m:],
            window_price=window_price,
            capacity_price=capacity_price.reshape(buckets, providers),
        )


def _within(tariff: Tariff, total: float) -> list[Segment]:
    """The segments as far as the quota, and no more than all emails together, reach."""
    left = total if tariff.quota is None else min(total, max(0.0, tariff.quota))
    kept: list[Segment] = []
    for segment in tariff.segments:
        size = min(segment.size, left)
        if size > 0:
            kept.append(Segment(size, segment.price))
        left -= size
    return kept
