"""What providers charge: a monthly fee, an included volume, tiers, per recipient and per gigabyte of attachments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

UNLIMITED = math.inf


@dataclass(frozen=True, slots=True)
class Tier:
    """`price` in $ per 1,000 recipients, up to the `up_to`-th of the period."""

    up_to: float
    price: float


@dataclass(frozen=True, slots=True)
class Segment:
    """The next `size` recipients cost `price` in $ per 1,000 each."""

    size: float
    price: float


@dataclass(frozen=True, slots=True)
class PriceList:
    """What one provider charges in one billing period, from `valid_from` on.

    `included` recipients are covered by `monthly_fee`; what comes after them is charged by `tiers`, which count
    from the period's first recipient. `per_gigabyte` of attachments. Amounts are in `currency`.
    """

    tiers: tuple[Tier, ...]
    monthly_fee: float = 0.0
    included: float = 0.0
    per_gigabyte: float = 0.0
    currency: str = "USD"
    valid_from: datetime | None = None

    def __post_init__(self) -> None:
        if not self.tiers or self.tiers[-1].up_to != UNLIMITED:
            raise ValueError("the last tier of a price list must be without an end")
        if any(a.up_to >= b.up_to for a, b in pairwise(self.tiers)):
            raise ValueError("the tiers of a price list must rise in volume")
        amounts = [self.monthly_fee, self.included, self.per_gigabyte, *(t.price for t in self.tiers)]
        if min(amounts) < 0:
            raise ValueError("a price list has no negative amounts")

    def times(self, factor: float) -> PriceList:
        """The same list in a money of which one unit of this one's is worth `factor`."""
        if factor == 1:
            return self
        tiers = tuple(Tier(t.up_to, t.price * factor) for t in self.tiers)
        fee, gigabyte = self.monthly_fee * factor, self.per_gigabyte * factor
        return PriceList(tiers, fee, self.included, gigabyte, self.currency, self.valid_from)

    def price_at(self, volume: float) -> float:
        """What the next recipient costs after `volume` of them in this period, in $ per 1,000."""
        if volume < self.included:
            return 0.0
        return next(tier.price for tier in self.tiers if volume < tier.up_to)

    def segments(self, volume: float = 0.0) -> list[Segment]:
        """What is still to come after `volume` recipients, the last part without an end."""
        edges = sorted({self.included, *(tier.up_to for tier in self.tiers)} - {0.0})
        found: list[Segment] = []
        at = volume
        for edge in edges:
            if edge > at:
                found.append(Segment(edge - at, self.price_at(at)))
                at = edge
        return found

    def charge(self, volume: float, count: float, gigabytes: float = 0.0) -> float:
        """What `count` more recipients after `volume` cost in $, without the monthly fee."""
        cost, left = self.per_gigabyte * gigabytes, count
        for segment in self.segments(volume):
            taken = min(left, segment.size)
            cost += taken * segment.price / 1000
            left -= taken
            if left <= 0:
                break
        return cost

    @property
    def dearest(self) -> float:
        return max(tier.price for tier in self.tiers)


def flat(price: float) -> PriceList:
    return PriceList((Tier(UNLIMITED, price),))


def graduated(*tiers: tuple[float, float]) -> PriceList:
    """From pairs of (up to the n-th recipient, $ per 1,000)."""
    return PriceList(tuple(Tier(up_to, price) for up_to, price in tiers))


def in_force(lists: Iterable[PriceList], now: datetime) -> PriceList | None:
    """The price list that is valid at `now`: the latest that has begun."""
    begun = [p for p in lists if p.valid_from is None or p.valid_from <= now]
    return max(begun, key=lambda p: (p.valid_from is not None, p.valid_from), default=None)


def falling_edges(segments: Sequence[Segment]) -> list[int]:
    """The indexes i where segment i + 1 is cheaper than segment i: there, volume has to be earned."""
    return [i for i, (a, b) in enumerate(pairwise(segments)) if b.price < a.price - 1e-12]
