"""What a provider has to offer to the planner: what is left of its quotas and tiers, by the day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from routing.acceptance import Ends
from routing.allocation import Tariff
from routing.planner import Supply
from routing.pricing import PriceList, Segment
from routing.snapshot import ProviderSnapshot

DAY = 86_400.0
_SLACK = 1.0  # seconds by which a bucket may end after the day that it belongs to
_FASTEST = 1e9  # emails per second, where no rate is known


def supply(
    p: ProviderSnapshot,
    prices: PriceList,
    volume: float,
    ends: Ends,
    delivered: tuple[float, ...],
    now: float,
    taught: float = math.inf,
    seconds: Sequence[float] = (),
) -> Supply:
    """For the day ahead, in buckets of so many `seconds`. `volume`: recipients of this month; `taught`: the rate that
    refusals have shown.

    What is left of a month, quota and tiers, is planned by the day: a day's share of it. What is left of today holds
    until the day ends: whoever comes later has tomorrow's.
    """
    share = month_share(p, now)
    month = None if p.quota.this_month is None else p.quota.this_month * share
    left = [q for q in (month, p.quota.rolling) if q is not None]
    window = None
    if p.quota.today is not None:
        until = math.inf if p.quota.day_ends is None else p.quota.day_ends.timestamp() - now
        buckets = sum(end <= until + _SLACK for end in accumulate(seconds))
        window = max(1, buckets), float(max(0, p.quota.today))
    rate = min(p.rate_per_second or math.inf, taught, _FASTEST)
    segments = [Segment(s.size * share, s.price) for s in prices.segments(volume)]
    tariff = Tariff(segments, max(0.0, min(left)) if left else None, window)
    return Supply(ends, delivered, prices.price_at(volume), tariff, rate)


def month_share(p: ProviderSnapshot, now: float) -> float:
    """The day ahead as a part of what is left of the provider's month."""
    ends = p.quota.month_ends
    if ends is None:
        today = datetime.fromtimestamp(now, UTC)
        ends = (today.replace(day=1) + timedelta(days=32)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
    return min(1.0, DAY / max(DAY, ends.timestamp() - now))


def cuts(providers: Sequence[ProviderSnapshot], now: float) -> list[float]:
    """Seconds from `now` at which days' quotas are given anew, of those that have one."""
    ends = {p.quota.day_ends for p in providers if p.quota.today is not None and p.quota.day_ends is not None}
    return sorted(end.timestamp() - now for end in ends)
