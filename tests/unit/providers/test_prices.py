"""List prices are data: readable, dated, and enough to reckon with."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from providers import prices, registry
from providers.prices import Period, Unit

PLAIN: dict[str, Any] = {"kind": "x", "plan": "P", "since": date(2026, 8, 1), "source": "https://x.example"}


def test_every_entry_can_be_read_and_says_where_it_is_from() -> None:
    entries = prices.every_price()
    assert len(entries) > 10
    assert all(p.source.startswith("https://") and p.plan and p.since <= date(2026, 12, 31) for p in entries)
    assert len({(p.kind, p.plan, p.since) for p in entries}) == len(entries)
    assert all(p.monthly_fee or p.included or p.beyond for p in entries)


def test_every_kind_that_is_paid_for_has_a_price() -> None:
    """What is run by oneself has none."""
    paid = {kind.name for kind in registry.KINDS.values()} - {"memory", "smtp"}
    assert paid <= {p.kind for p in prices.every_price()}


def test_a_price_is_more_than_dollars_per_thousand() -> None:
    price = prices.read(
        {
            **PLAIN,
            "monthly_fee": "35.00",
            "included": 50_000,
            "beyond": [{"up_to": 10_000, "per_thousand": "1.30"}, {"per_thousand": "0.50"}],
            "attachment_gb": "0.12",
        }
    )
    assert (price.unit, price.per, price.currency) == (Unit.RECIPIENT, Period.MONTH, "USD")
    assert price.overage(0) == price.overage(-3) == 0
    assert price.overage(1) == Decimal("0.0013")
    assert price.overage(10_000) == Decimal(13)
    assert price.overage(30_000) == Decimal(13) + Decimal(10)
    assert price.attachments(250_000_000) == Decimal("0.03")


def test_a_plan_that_sells_no_more_says_so() -> None:
    assert prices.read({**PLAIN, "included": 100, "per": "day"}).overage(1) is None
    limited = prices.read({**PLAIN, "beyond": [{"up_to": 10, "per_thousand": "1"}]})
    assert limited.overage(10) == Decimal("0.01")
    assert limited.overage(11) is None


def test_the_price_of_a_day_is_the_newest_until_then() -> None:
    earlier = prices.read({**PLAIN, "monthly_fee": "10"})
    later = prices.read({**PLAIN, "monthly_fee": "12", "since": date(2027, 1, 1)})
    other = prices.read({**PLAIN, "plan": "Q", "monthly_fee": "99"})
    entries = (later, earlier, other)
    assert prices.list_prices("x", date(2026, 7, 31), entries) == ()
    assert prices.list_prices("x", date(2026, 12, 31), entries) == (earlier, other)
    assert prices.list_prices("x", date(2027, 1, 1), entries) == (later, other)
    assert prices.list_prices("y", date(2027, 1, 1), entries) == ()


def test_what_ships_can_be_reckoned_with() -> None:
    """Of the two prices that AWS has by the age of the account."""
    old, new = prices.list_prices("ses", date(2026, 8, 1))
    assert old.overage(1000) == Decimal("0.10")
    assert new.overage(11_000_000) == 1600 + 140


@pytest.mark.parametrize(
    "wrong",
    [
        {"monthly_fee": "-1"},
        {"monthly_fee": "NaN"},
        {"monthly_fee": "dear"},
        {"unit": "byte"},
        {"per": "week"},
        {"surprise": 1},
        {"beyond": [{"per_thousand": "1"}, {"per_thousand": "2"}]},
        {"beyond": [{"up_to": 2, "per_thousand": "1"}, {"up_to": 1, "per_thousand": "2"}]},
        {"beyond": [{"up_to": 2}]},
    ],
)
def test_senseless_data_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, ArithmeticError)):
        prices.read({**PLAIN, **wrong})
