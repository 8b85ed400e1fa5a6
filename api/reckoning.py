"""From sums in the database to statistics: percentiles, money, and what the emails would have cost otherwise."""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from operator import add
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping

from api.schemas.stats import SingleOut
from db.models.stats import COUNTS
from db.repositories.stats import Part
from db.uow import SqlUnitOfWork
from domain.stats import STEPS, percentile
from routing.hindsight import Hindsight, Offer, look_back
from routing.pricing import flat, in_force

_RECIPIENTS: Final = COUNTS.index("recipients")


@dataclass(slots=True)
class Sums:
    """Of some emails: counts and latencies as db.repositories.stats.Part has them. `months`: recipients of each, by its
    first day.
    """

    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    spend: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    latencies: list[int] = field(default_factory=lambda: [0] * STEPS)
    months: dict[date, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, part: Part) -> None:
        self.counts = list(map(add, self.counts, part.counts))
        self.latencies = list(map(add, self.latencies, part.latencies))
        if part.spend:
            self.spend[part.currency] += part.spend
        self.months[part.month] += part.counts[_RECIPIENTS]


def gathered(parts: Iterable[Part]) -> tuple[Sums, dict[tuple[Any, ...], Sums]]:
    """The sums of all parts, and those of each group."""
    total, groups = Sums(), defaultdict[tuple[Any, ...], Sums](Sums)
    for part in parts:
        total.add(part)
        if part.group:
            groups[part.group].add(part)
    return total, groups


@dataclass(frozen=True, slots=True)
class Account:
    id: UUID
    name: str
    currency: str


class Hindsights:
    """What whole months would have cost by the accounts that the user has now; a part of a month costs its share."""

    def __init__(self, accounts: Mapping[UUID, Account], months: Mapping[date, Hindsight]) -> None:
        self._accounts, self._months = accounts, months

    def cheapest(self, months: Mapping[date, int]) -> dict[str, Decimal] | None:
        found: dict[str, Decimal] = defaultdict(Decimal)
        for month, recipients in months.items():
            known = self._months.get(month)
            if known is None or not recipients:
                continue
            if known.cheapest is None:
                return None
            for provider, cost in known.cheapest.items():
                found[self._accounts[provider].currency] += _share(cost, recipients, known)
        return dict(found)

    def single(self, months: Mapping[date, int]) -> list[SingleOut]:
        known = [(self._months[month], n) for month, n in months.items() if n and month in self._months]
        return [
            SingleOut(
                provider_id=account.id,
                provider=account.name,
                currency=account.currency,
                cost=sum((_share(of.single[account.id].cost, n, of) for of, n in known), Decimal(0)),
                within_quota=all(of.single[account.id].fits for of, _ in known),
            )
            for account in self._accounts.values()
        ]


def hindsights(
    unit: SqlUnitOfWork, user_id: UUID, since: date, until: date, exchange: Mapping[str, Decimal]
) -> Hindsights:
    """Of the months, of UTC, that these days lie in, wherever they begin. Price lists count as they stood at the end of
    each month, or stand now.
    """
    now = unit.now()
    first = (since - timedelta(days=1)).replace(day=1)
    last = until + timedelta(days=1)
    last = last.replace(day=calendar.monthrange(last.year, last.month)[1])
    days: dict[date, list[int]] = defaultdict(list)
    for day, recipients in unit.stats.volumes(user_id, first, last).items():
        days[day.replace(day=1)].append(recipients)
    rows = unit.stats.offers(user_id)
    lists = unit.prices.lists([row["id"] for row in rows])

    def offers(month: date) -> list[Offer]:
        end = datetime.combine(month + timedelta(days=32), time(), UTC).replace(day=1)
        return [_offer(row, lists.get(row["id"], ()), min(end, now), exchange) for row in rows]

    accounts = {row["id"]: Account(row["id"], row["name"], row["currency"]) for row in rows}
    return Hindsights(accounts, {month: look_back(days[month], offers(month)) for month in days})


def figures(sums: Sums, hindsights: Hindsights) -> dict[str, Any]:
    """The fields of api.schemas.stats.FiguresOut."""
    counts = dict(zip(COUNTS, sums.counts, strict=True))
    return {
        "sent": counts.pop("accepted"),
        "bounced": counts["hard_bounced"] + counts["soft_bounced"],
        "latency_p50_ms": _rounded(percentile(sums.latencies, 0.5)),
        "latency_p95_ms": _rounded(percentile(sums.latencies, 0.95)),
        "spend": dict(sums.spend),
        "cheapest": hindsights.cheapest(sums.months),
        "single": hindsights.single(sums.months),
        **counts,
    }


def _offer(row: RowMapping, lists: Sequence[Any], at: datetime, exchange: Mapping[str, Decimal]) -> Offer:
    prices = in_force(lists, at) or flat(float(row["base_cost"]) * 1000)
    limits = [limit for limit in (row["daily_quota"], row["rolling_quota"]) if limit is not None]
    rate = float(exchange.get(row["currency"], Decimal(1)))
    return Offer(row["id"], prices, rate, min(limits, default=None), row["monthly_quota"])


def _share(cost: float, recipients: int, whole: Hindsight) -> Decimal:
    return Decimal(str(round(cost * recipients / whole.recipients, 8))) if whole.recipients else Decimal(0)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
