"""Policies as what they are: how much a delivered email is worth (V), and a second of waiting (w)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from routing.index import Worth
from routing.pricing import PriceList

BALANCED, RELIABLE = 20.0, 100.0  # $ per 1,000 emails
NEWSLETTER = 5.0  # the same for what nobody waits for
WAIT, URGENT_WAIT = 0.05, 0.5  # $ per 1,000 emails and second
_ABOVE_THE_DEAREST = 1.05


class Preference(StrEnum):
    CHEAPEST = "cheapest"
    BALANCED = "balanced"
    MOST_RELIABLE = "most_reliable"


def worth_of(
    preference: Preference, prices: Iterable[PriceList], *, urgent: bool = False, waits: bool = True
) -> Worth:
    """`cheapest` still values an email slightly above the dearest price: else not to send would be cheapest.

    `urgent`: somebody waits for it, as for a one-time password. `waits` False: nobody does, as for a newsletter.
    """
    wait = URGENT_WAIT if urgent else WAIT if waits else 0.0
    match preference:
        case Preference.CHEAPEST:
            dearest = max((p.dearest for p in prices), default=0.0)
            return Worth(_ABOVE_THE_DEAREST * dearest + 0.01, URGENT_WAIT if urgent else 0.0)
        case Preference.BALANCED:
            return Worth(BALANCED if waits else NEWSLETTER, wait)
        case Preference.MOST_RELIABLE:
            return Worth(RELIABLE, wait)
