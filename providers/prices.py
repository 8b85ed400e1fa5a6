"""List prices of providers: dated data that ships with the product (`prices.toml`, which says what each field is).

A price is more than dollars per thousand: a monthly fee covers a volume, and what goes beyond it is charged in
tiers, by recipients, and by the size of the attachments. What an operator really pays is a setting of the account.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

_BYTES_OF_A_GB = 1_000_000_000


class Unit(StrEnum):
    RECIPIENT = "recipient"
    EMAIL = "email"


class Period(StrEnum):
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Tier:
    """`up_to` units beyond what is included, counted from the first; None: without end."""

    per_thousand: Decimal
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class ListPrice:
    """One plan of one provider kind, from the day `since` on. `confirmed`: seen on the provider's own page."""

    kind: str
    plan: str
    since: date
    source: str
    currency: str = "USD"
    monthly_fee: Decimal = Decimal(0)
    included: int = 0
    per: Period = Period.MONTH
    beyond: tuple[Tier, ...] = ()
    attachment_gb: Decimal = Decimal(0)
    unit: Unit = Unit.RECIPIENT
    confirmed: bool = True

    def overage(self, units: int) -> Decimal | None:
        """What `units` beyond the included volume cost in one month; None where the plan sells no more."""
        if units <= 0:
            return Decimal(0)
        cost, below = Decimal(0), 0
        for tier in self.beyond:
            end = units if tier.up_to is None else min(units, tier.up_to)
            cost += max(end - below, 0) * tier.per_thousand / 1000
            below = end
        return cost if below >= units else None

    def attachments(self, size: int) -> Decimal:
        """What `size` bytes of attachments cost."""
        return self.attachment_gb * size / _BYTES_OF_A_GB


def list_prices(kind: str, on: date, entries: Iterable[ListPrice] | None = None) -> tuple[ListPrice, ...]:
    """The plans of a provider kind as they hold on that day, in the order of the data; none where none is known."""
    newest: dict[str, ListPrice] = {}
    for price in every_price() if entries is None else entries:
        if price.kind == kind and price.since <= on:
            known = newest.get(price.plan)
            if known is None or known.since <= price.since:
                newest[price.plan] = price
    return tuple(newest.values())


@cache
def every_price() -> tuple[ListPrice, ...]:
    """All entries of `prices.toml`. Raises ValueError or TypeError where one cannot be read."""
    text = files("providers").joinpath("prices.toml").read_text("utf-8")
    return tuple(read(entry) for entry in tomllib.loads(text)["price"])


def read(entry: Mapping[str, Any]) -> ListPrice:
    """One entry of the data. An unknown or missing field is a TypeError, a senseless one a ValueError."""
    values = dict(entry)
    for name in ("monthly_fee", "attachment_gb"):
        if name in values:
            values[name] = _money(values[name])
    if "per" in values:
        values["per"] = Period(values["per"])
    if "unit" in values:
        values["unit"] = Unit(values["unit"])
    values["beyond"] = tuple(_tier(**tier) for tier in values.get("beyond", ()))
    price = ListPrice(**values)
    ends = [tier.up_to for tier in price.beyond]
    if None in ends[:-1] or sorted(e for e in ends if e is not None) != [e for e in ends if e is not None]:
        raise ValueError(f"{price.kind}, {price.plan}: tiers rise, and only the last is without end")
    return price


def _tier(per_thousand: str, up_to: int | None = None) -> Tier:
    return Tier(_money(per_thousand), up_to)


def _money(text: str) -> Decimal:
    amount = Decimal(text)
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"not an amount of money: {text}")
    return amount
