"""What a policy is told before the day begins: what an operator would have configured, and no truth."""

from __future__ import annotations

from dataclasses import dataclass

from bench.routing.world import GROUP_SHARES, World
from domain.message import OnUnknown
from routing.allocation import Floats
from routing.pricing import PriceList


@dataclass(frozen=True, slots=True)
class Briefing:
    """`rates` and `quotas` as configured; `forecast`: emails per second per bucket of `step` seconds, some 20% off."""

    names: tuple[str, ...]
    prices: tuple[PriceList, ...]
    rates: tuple[float, ...]
    quotas: tuple[int | None, ...]
    allowed: tuple[tuple[bool, ...], ...]  # [class][provider]
    value: tuple[float, ...]  # per class
    wait: tuple[float, ...]
    shares: tuple[float, ...]
    forecast: Floats
    step: float
    duration: float
    groups: int
    on_unknown: OnUnknown
    seed: int


def brief(world: World, on_unknown: OnUnknown) -> Briefing:
    scenario = world.scenario
    return Briefing(
        names=tuple(world.names),
        prices=tuple(p.prices for p in scenario.providers),
        rates=tuple(p.rate for p in scenario.providers),
        quotas=tuple(p.quota for p in scenario.providers),
        allowed=tuple(tuple(row) for row in world.allowed()),
        value=tuple(world.value()),
        wait=tuple(world.wait()),
        shares=tuple(t.share * g for t in scenario.types for g in GROUP_SHARES),
        forecast=world.forecast(),
        step=scenario.step,
        duration=scenario.duration,
        groups=len(GROUP_SHARES),
        on_unknown=on_unknown,
        seed=world.seed,
    )
