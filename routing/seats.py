"""What changes about a provider while past emails are given to it: quotas, volume, rate."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from routing.evidence import Record
from routing.pricing import PriceList
from routing.snapshot import ProviderSnapshot, QuotaLeft

DAY = 86_400.0
_ROOM_STEPS = 10  # what is free of a rate is told in tenths
_ROUNDING = 1e-6  # of an email: weights are added and taken away as floats


@dataclass(frozen=True, slots=True)
class Account:
    """A provider as it is to be replayed.

    `provider`: what is configured of it, without anything of the present moment. `prices` in the money that prices
    are compared in; `volume`: recipients of its month before the first email. `day_ends` and `month_ends`: when its
    windows end, rising, the last one after the last email.
    """

    provider: ProviderSnapshot
    prices: PriceList
    record: Record
    daily: int | None = None
    monthly: int | None = None
    rolling: int | None = None
    day_ends: Sequence[float] = ()
    month_ends: Sequence[float] = ()
    volume: float = 0.0


class Seat:
    """One provider's state at a moment of the replay. Each email counts as `weight` of them."""

    def __init__(self, account: Account, weight: float) -> None:
        self.account = account
        self.volume = account.volume
        self.price = account.prices.price_at(self.volume)
        self._weight = weight
        self._today = self._month = self._rolling = 0.0
        self._lately: deque[tuple[float, float]] = deque()
        self._days, self._months = deque(account.day_ends), deque(account.month_ends)
        self._busy_until = 0.0  # when the emails that it was given have gone through its rate

    def advance(self, now: float) -> bool:
        """Move time on. Whether a month has ended, and prices begin anew."""
        while self._days and self._days[0] <= now:
            self._days.popleft()
            self._today = 0.0
        while self._lately and self._lately[0][0] <= now - DAY:
            self._rolling -= self._lately.popleft()[1]
        began = False
        while self._months and self._months[0] <= now:
            self._months.popleft()
            self._month, self.volume, began = 0.0, 0.0, True
        self.price = self.account.prices.price_at(self.volume)
        return began

    def give(self, recipients: int, now: float) -> bool:
        """Count an email, but for its rate. Whether it made the next one's price another."""
        count = recipients * self._weight
        self._today += count
        self._month += count
        if self.account.rolling is not None:
            self._rolling += count
            self._lately.append((now, count))
        self.volume += count
        before, self.price = self.price, self.account.prices.price_at(self.volume)
        return self.price != before

    def take_turn(self, now: float) -> float:
        """Let one more email through its rate: when it has its turn, `now` or later."""
        rate = self.account.provider.rate_per_second
        if rate is None:
            return now
        turn = self.free_at(now) or now
        self._busy_until = max(self._busy_until, now) + self._weight / rate
        return turn

    def free_at(self, now: float) -> float | None:
        """When its rate admits the next email; None: now."""
        rate = self.account.provider.rate_per_second
        if rate is None:
            return None
        waits = max(self._busy_until, now) + self._weight / rate - now - self._burst(rate)
        return now + waits if waits > 1e-9 else None

    def _burst(self, rate: float) -> float:
        """The seconds that a full burst takes: one, and always room for one email."""
        return max(1.0, self._weight / rate)

    def shown(self, now: float, *, has_turn: bool) -> ProviderSnapshot:
        """As the router sees it. `has_turn`: for an email whose turn has come.

        What is left of a quota is told in recipients of replayed emails, of which each is `weight` of the quota's.
        """
        provider = self.account.provider
        room, free_at = 1.0, None
        if provider.rate_per_second is not None and not has_turn:
            free_at = self.free_at(now)
            used = max(0.0, self._busy_until - now) / self._burst(provider.rate_per_second)
            room = round(max(0.0, 1 - used) * _ROOM_STEPS) / _ROOM_STEPS
        return replace(
            provider,
            base_cost=Decimal(str(round(self.price, 5))) / 1000 / provider.exchange,
            quota=self._left(self._weight),
            room=room,
            rate_free_at=None if free_at is None else _time(free_at) + timedelta(microseconds=1),
        )

    def planned(self) -> ProviderSnapshot:
        """As the planner sees it, in recipients of the period that is replayed."""
        return replace(self.account.provider, quota=self._left(1.0))

    def _left(self, each: float) -> QuotaLeft:
        """How many times `each` recipients still fit."""
        account = self.account
        return QuotaLeft(
            today=_fits(account.daily, self._today, each),
            this_month=_fits(account.monthly, self._month, each),
            day_ends=_time(self._days[0]) if self._days else None,
            month_ends=_time(self._months[0]) if self._months else None,
            rolling=_fits(account.rolling, self._rolling, each),
            rolling_ends=_time(self._lately[0][0] + DAY) if self._lately else None,
        )


def _fits(limit: int | None, used: float, each: float) -> int | None:
    return None if limit is None else math.floor((limit - used) / each + _ROUNDING)


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
