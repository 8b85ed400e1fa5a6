"""What is scarce is priced: a plan over the hours ahead gives every provider's quota, tiers and rate their worth.

Every few minutes one process solves the allocation of the forecast demand. The dual of a provider's volume is the bid
price of one more email there: its list price and what a later, better use of the quota or tier would be worth. The
dual of its capacity in the first bucket is the price of its rate. Decisions in between only compare prices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.message import OnUnknown
from routing.acceptance import Ends
from routing.allocation import Floats, Options, Tariff, Unsolved, allocate
from routing.index import Worth, coefficients

HORIZON_BUCKETS = 10
UNUSED = 0.001  # share of the plan below which a dual is degenerate, and the list price stands
SPENT = (
    0.999  # of what is scarce, its price: at all of it equals would be sent elsewhere, and it would be left
)
_REFUSED = 5.0  # $ per 1,000 above the value, for demand that no capacity is left for
_MIP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Demand:
    """One class of emails that are treated alike: its worth, its group, who may carry it."""

    worth: Worth
    group: int
    allowed: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Supply:
    """What is believed of a provider for the time ahead. `price`: of the next email, in $ per 1,000."""

    ends: Ends
    delivered: tuple[float, ...]  # per group
    price: float
    tariff: Tariff
    rate: float = math.inf


@dataclass(frozen=True, slots=True)
class Prices:
    """Per provider, $ per 1,000: `shadow` to add to the list price, `rate` of a scarce first bucket."""

    shadow: tuple[float, ...]
    rate: tuple[float, ...]


def plan(
    demands: Sequence[Demand],
    forecast: Floats,
    seconds: Floats,
    supplies: Sequence[Supply],
    on_unknown: OnUnknown,
) -> Prices:
    """`forecast` [bucket, class]: emails; `seconds`: the length of each bucket. Raises allocation.Unsolved.

    Where nothing is expected nothing is scarce: the list prices stand.
    """
    if not (forecast > 0).any():
        return Prices((0.0,) * len(supplies), (0.0,) * len(supplies))
    per_provider = [coefficients(s.ends, 0.0, 0.0, s.delivered, on_unknown) for s in supplies]
    settled = np.array(
        [s.ends.accepted + (s.ends.timed_out if on_unknown is OnUnknown.HOLD else 0.0) for s in supplies]
    ).clip(0.01)
    billed = np.array([s.ends.accepted + s.ends.timed_out * s.ends.taken for s in supplies]) / settled
    allowed = np.array([d.allowed for d in demands])
    b, c, k = np.nonzero((forecast > 0)[:, :, None] & allowed[None, :, :])
    unit = np.array(
        [
            [q.work + d.worth.value * q.loss[d.group] + d.worth.wait * q.time for q in per_provider]
            for d in demands
        ]
    )
    options = Options(b, c, k, unit[c, k], billed[k], 1 / settled[k])
    rates = np.array([s.rate for s in supplies])
    most = float(forecast.sum()) * 100 + 1
    capacity = np.minimum(np.outer(seconds, rates), most)
    penalty = np.array([d.worth.value + _REFUSED for d in demands])
    found = allocate(forecast, options, capacity, [s.tariff for s in supplies], penalty, seconds=_MIP_SECONDS)
    used = np.bincount(k, weights=found.given, minlength=len(supplies))
    shadows, scarce = [], []
    for i, supply in enumerate(supplies):
        in_use = used[i] >= UNUSED * forecast.sum()
        scarcity = float(found.volume_price[i]) - supply.price + float(found.window_price[i])
        shadows.append(min(scarcity, SPENT * scarcity) if in_use else 0.0)
        scarce.append(max(0.0, float(found.capacity_price[0, i])))
    return Prices(tuple(shadows), tuple(scarce))


def knapsack(
    demands: Sequence[Demand], expected: Sequence[float], supplies: Sequence[Supply], on_unknown: OnUnknown
) -> Prices:
    """Bid prices without a solver: each quota is filled from the most to the least profitable class.

    `expected`: emails per class until the quotas end. What the last one that fits would gain is the price of the
    quota. Providers are treated one by one, so this is a fallback; it never prices what is not scarce.
    """
    per_provider = [coefficients(s.ends, s.price, 0.0, s.delivered, on_unknown) for s in supplies]
    costs = [
        [
            q.fixed + d.worth.value * q.loss[d.group] + d.worth.wait * q.time if may else math.inf
            for q, may in zip(per_provider, d.allowed, strict=True)
        ]
        for d in demands
    ]
    shadows = []
    for k, supply in enumerate(supplies):
        left = supply.tariff.quota
        price = 0.0
        if left is not None:
            gains = sorted(
                (
                    (min((x for j, x in enumerate(row) if j != k), default=math.inf) - row[k], count)
                    for row, count in zip(costs, expected, strict=True)
                    if row[k] != math.inf
                ),
                reverse=True,
            )
            for gain, count in gains:
                if gain <= 0:
                    break
                left -= count
                if left <= 0:
                    price = gain
                    break
        shadows.append(SPENT * price if price != math.inf else 0.0)
    return Prices(tuple(shadows), (0.0,) * len(supplies))


__all__ = ["Demand", "Prices", "Supply", "Unsolved", "knapsack", "plan"]
