"""What a month's emails would have cost: by each provider alone, and by the cheapest split among all of them.

Price lists alone decide: rules, faults and rates are left out, fees are apart. The split keeps to the quotas.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

from routing.pricing import PriceList


@dataclass(frozen=True, slots=True)
class Offer:
    """What an account charges, one unit of whose money is worth `exchange`. Quotas in recipients; None: no limit."""

    provider_id: UUID
    prices: PriceList
    exchange: float = 1.0
    daily: int | None = None
    monthly: int | None = None

    def room(self, days: Sequence[int]) -> int:
        """How many of the recipients of these days its quotas let through."""
        by_day = sum(days) if self.daily is None else sum(min(day, self.daily) for day in days)
        return by_day if self.monthly is None else min(by_day, self.monthly)


@dataclass(frozen=True, slots=True)
class Single:
    """What everything would have cost by one provider, in its money, and whether its quotas had let it through."""

    cost: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Hindsight:
    """`cheapest`: what each provider would have charged in the cheapest split; None: their quotas are too small."""

    recipients: int
    single: Mapping[UUID, Single]
    cheapest: Mapping[UUID, float] | None


def look_back(days: Sequence[int], offers: Sequence[Offer]) -> Hindsight:
    """`days`: the recipients of each day of one month."""
    total = sum(days)
    rooms = [offer.room(days) for offer in offers]
    single = {
        offer.provider_id: Single(offer.prices.charge(0, total), room >= total)
        for offer, room in zip(offers, rooms, strict=True)
    }
    split = _split(total, offers, rooms)
    cheapest = None
    if split is not None:
        cheapest = {
            offer.provider_id: offer.prices.charge(0, part)
            for offer, part in zip(offers, split, strict=True)
            if part
        }
    return Hindsight(total, single, cheapest)


@dataclass(frozen=True, slots=True)
class _State:
    """So many recipients are given to the providers looked at, for so much."""

    given: int
    cost: float
    parts: tuple[int, ...]


def _split(total: int, offers: Sequence[Offer], rooms: Sequence[int]) -> tuple[int, ...] | None:
    """How many recipients each gets.

    Charges are piecewise linear. In some cheapest split all providers but one stand at an end of a tier, at their quota
    or at nothing: were two of them between, moving emails from one to the other would save, or cost nothing, until one
    arrives. So each in turn is that one, and gets what the others leave.
    """
    if sum(rooms) < total:
        return None
    stops = [_stops(offer, min(room, total)) for offer, room in zip(offers, rooms, strict=True)]
    best: _State | None = None
    for free, offer in enumerate(offers):
        states = [_State(0, 0.0, ())]
        for place, other in enumerate(offers):
            ends = [0] if place == free else stops[place]
            states = _undominated(states, [(end, _cost(other, end)) for end in ends], total)
        for state in states:
            rest = total - state.given
            if rest <= rooms[free]:
                cost = state.cost + _cost(offer, rest)
                if best is None or cost < best.cost:
                    parts = (*state.parts[:free], rest, *state.parts[free + 1 :])
                    best = _State(total, cost, parts)
    return None if best is None else best.parts


def _stops(offer: Offer, most: int) -> list[int]:
    segments = [segment.size for segment in offer.prices.segments()][:-1]
    ends = [int(end) for end in accumulate(segments)]
    return [0, *ends[: bisect_right(ends, most - 1)], *([most] if most else [])]


def _cost(offer: Offer, recipients: int) -> float:
    return offer.prices.charge(0, recipients) * offer.exchange


def _undominated(states: Sequence[_State], steps: Sequence[tuple[int, float]], most: int) -> list[_State]:
    """All that follow, without those that give fewer recipients for as much: what is left to give never costs less."""
    after = [
        _State(s.given + given, s.cost + cost, (*s.parts, given))
        for s in states
        for given, cost in steps
        if s.given + given <= most
    ]
    after.sort(key=lambda s: (s.cost, -s.given))
    kept: list[_State] = []
    for state in after:
        if not kept or state.given > kept[-1].given:
            kept.append(state)
    return kept
