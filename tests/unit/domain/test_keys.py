"""What a limited key may do, and what a key that it makes may not do beyond it."""

from __future__ import annotations

import pytest

from domain.keys import NO_LIMITS, KeyLimits

SHOP = KeyLimits(("shop.example", "ada@x.example"), ("10.0.0.0/8", "2001:db8::/32"), 60)


@pytest.mark.parametrize(
    ("email", "may"),
    [
        ("any@shop.example", True),
        ("ada@x.example", True),
        ("eve@x.example", False),
        ("any@sub.shop.example", False),
    ],
)
def test_it_sends_as_its_addresses_and_domains(email: str, may: bool) -> None:
    assert SHOP.may_send_as(email) == may
    assert NO_LIMITS.may_send_as(email)


@pytest.mark.parametrize(
    ("address", "may"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("2001:db8::1", True), ("11.0.0.1", False), ("::1", False),
     (None, False), ("nonsense", False)],
)  # fmt: skip
def test_it_is_used_from_its_networks(address: str | None, may: bool) -> None:
    assert SHOP.may_come_from(address) == may
    assert NO_LIMITS.may_come_from(address)


@pytest.mark.parametrize(
    ("asked", "beyond"),
    [
        (KeyLimits(), []),
        (KeyLimits(("any@shop.example",), ("10.9.0.0/16",), 5), []),
        (KeyLimits(("other.example",), ("11.0.0.0/8",), 61), ["senders", "networks", "per_minute"]),
        (KeyLimits(("x.example",)), ["senders"]),
        (KeyLimits(networks=("0.0.0.0/0",)), ["networks"]),
    ],
)
def test_what_it_makes_is_limited_as_itself(asked: KeyLimits, beyond: list[str]) -> None:
    assert list(asked.under(SHOP).beyond(SHOP)) == beyond
    assert list(asked.beyond(NO_LIMITS)) == []
