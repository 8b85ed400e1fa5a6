"""Policies as what they are: how much a delivered email is worth (V), and a second of waiting (w)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from routing.index import Worth
from routing.pricing import PriceList, flat
from routing.snapshot import Worths

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
            return Worth(_ABOVE_THE_DEAREST * dearest + 0.01, URGENT_WAIT if urgent else 0.0, urgent=urgent)
        case Preference.BALANCED:
            return Worth(BALANCED if waits else NEWSLETTER, wait, urgent=urgent)
        case Preference.MOST_RELIABLE:
            return Worth(RELIABLE, wait, urgent=urgent)


def in_place_of(worth: Worth, policy: str, prices: Iterable[float]) -> Worth:
    """What an email is worth that says its policy itself. `worth`: of its type; `prices`: of all providers, in $ per
    1,000, as they stand.
    """
    found = worth_of(
        Preference(policy),
        [flat(price) for price in prices],
        urgent=worth.urgent,
        waits=not worth.steady,
    )
    return replace(found, steady=worth.steady)


class TypeTerms(Protocol):
    """An email type as it was declared. `owner` None: everybody's; `policy`: a Preference's name."""

    @property
    def owner(self) -> UUID | None: ...
    @property
    def name(self) -> str: ...
    @property
    def marketing(self) -> bool: ...
    @property
    def policy(self) -> str: ...
    @property
    def urgent(self) -> bool: ...


def worths_of(
    types: Iterable[TypeTerms],
    shared: Iterable[PriceList],
    policies: Mapping[str, Preference] | None = None,
    everywhere: Preference | None = None,
) -> Worths:
    """What an email of each type is worth, by the type's own policy, or by the one that is named for it, or for all.

    `shared`: the price lists of the providers that all users share.
    """
    lists = [*shared]
    found = {}
    for t in types:
        policy = (policies or {}).get(t.name) or everywhere or Preference(t.policy)
        worth = worth_of(policy, lists, urgent=t.urgent, waits=not t.marketing)
        found[t.owner, t.name] = replace(worth, steady=t.marketing)
    return found
