"""The shapes of requests and answers about what providers charge."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StrictInt
from pydantic_core import PydanticCustomError

from api.fields import Body, Cost, Instant, Out, Timestamp
from routing.pricing import UNLIMITED, PriceList, Tier

_MOST = 10**12
Volume = Annotated[StrictInt, Field(ge=0, le=_MOST)]


class PriceTier(Body):
    """What a recipient costs, up to the `up_to`-th of the month; the last tier has no end."""

    up_to: Annotated[StrictInt, Field(ge=1, le=_MOST)] | None = None
    per_recipient: Cost


def rising(tiers: list[PriceTier]) -> list[PriceTier]:
    ends = [tier.up_to for tier in tiers]
    if ends[-1] is not None:
        raise PydanticCustomError("tiers", "the last tier has no end: leave its up_to out")
    if None in ends[:-1] or any((a or 0) >= (b or 0) for a, b in pairwise(ends[:-1])):
        raise PydanticCustomError("tiers", "tiers rise: each but the last has an up_to above the one before")
    return tiers


class PriceListIn(Body):
    """What an account charges from a day on, in its currency.

    `included` recipients of a month are covered by `monthly_fee`; those that come after them are charged by `tiers`,
    which count from the month's first recipient.
    """

    valid_from: Instant = Field(description="From when it holds, until the next list does.")
    monthly_fee: Cost = Decimal(0)
    included: Volume = 0
    tiers: Annotated[list[PriceTier], Field(min_length=1, max_length=20), AfterValidator(rising)]
    per_gigabyte: Cost = Field(default=Decimal(0), description="Of attachments.")

    def value(self, currency: str) -> PriceList:
        tiers = tuple(
            Tier(UNLIMITED if t.up_to is None else t.up_to, float(t.per_recipient * 1000)) for t in self.tiers
        )
        return PriceList(
            tiers, float(self.monthly_fee), self.included, float(self.per_gigabyte), currency, self.valid_from
        )


def _one_a_day(prices: list[PriceListIn]) -> list[PriceListIn]:
    if len({p.valid_from for p in prices}) < len(prices):
        raise PydanticCustomError("valid_from", "two lists begin at the same time")
    return prices


class PricesReplace(Body):
    """All price lists of an account, those of the past too. None: `base_cost` holds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prices": [
                        {
                            "valid_from": "2026-01-01T00:00:00Z",
                            "monthly_fee": "15",
                            "included": 10000,
                            "tiers": [
                                {"up_to": 100000, "per_recipient": "0.0018"},
                                {"per_recipient": "0.0012"},
                            ],
                        }
                    ]
                }
            ]
        }
    )

    prices: Annotated[list[PriceListIn], Field(max_length=50), AfterValidator(_one_a_day)]


class TierOut(Out):
    up_to: int | None
    per_recipient: Cost


class PriceListOut(Out):
    valid_from: Timestamp
    monthly_fee: Cost
    included: int
    tiers: list[TierOut]
    per_gigabyte: Cost
    in_force: bool = Field(description="Whether it is the one that holds now.")

    @classmethod
    def of(cls, known: PriceList, in_force: bool) -> Self:
        tiers = [
            TierOut(up_to=None if t.up_to == UNLIMITED else int(t.up_to), per_recipient=exact(t.price / 1000))
            for t in known.tiers
        ]
        assert known.valid_from is not None
        return cls(
            valid_from=known.valid_from,
            monthly_fee=exact(known.monthly_fee),
            included=int(known.included),
            tiers=tiers,
            per_gigabyte=exact(known.per_gigabyte),
            in_force=in_force,
        )


class PricesOut(Out):
    """What an account charges, in its currency, and how far this month has come."""

    provider_id: UUID
    currency: str
    recipients_this_month: int = Field(description="In the time zone of its quota; a minute behind.")
    per_recipient_now: Cost = Field(description="What the next one costs.")
    prices: list[PriceListOut]


def exact(amount: float) -> Decimal:
    """An amount with as many digits as one is given with."""
    return Decimal(str(round(amount, 8)))
