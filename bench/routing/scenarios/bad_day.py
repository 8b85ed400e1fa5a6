"""A day drawn by chance: quotas, tiers and rates, then eight to fourteen incidents of every kind."""

from __future__ import annotations

import random
from dataclasses import replace

from bench.routing.pool import ALPHA, BRAVO, CHARLIE, DAY, DAY_STEP, DELTA, FREE_ECHO, daily, pool
from bench.routing.world import GROUPS, Change, ProviderSpec, Scenario
from routing.pricing import UNLIMITED, flat, graduated

_BRAVO_PRICES = (
    flat(0.35),
    graduated((15_000, 0.2), (UNLIMITED, 0.6)),
    graduated((12_000, 0.8), (UNLIMITED, 0.15)),
)


def build(seed: int) -> Scenario:
    chance = random.Random(f"bad day {seed}")
    echo = replace(FREE_ECHO, quota=chance.choice([3000, 8000, 12_000]))
    alpha = replace(
        ALPHA, quota=chance.choice([None, 25_000, 40_000]), rate=chance.choice([2.0, 14.0, 200.0])
    )
    bravo = replace(BRAVO, prices=chance.choice(_BRAVO_PRICES))
    providers = pool(*(_shaken(p, chance) for p in (alpha, bravo, CHARLIE, DELTA)), echo)
    changes: list[Change] = []
    for _ in range(chance.randint(8, 14)):
        changes += _incident(chance)
    return Scenario("bad_day", providers, tuple(changes), duration=DAY, step=DAY_STEP, rate=daily)


def _shaken(provider: ProviderSpec, chance: random.Random) -> ProviderSpec:
    return replace(
        provider,
        delivery=tuple(min(0.998, max(0.88, d + chance.gauss(0, 0.008))) for d in provider.delivery),
    )


def _incident(chance: random.Random) -> list[Change]:
    who = tuple(chance.choices(["alpha", "bravo", "charlie", "delta", "echo"], [4, 3, 2, 1, 1]))
    start = chance.randrange(280) * 300.0
    end = min(DAY, start + chance.choice([600, 1200, 2400, 5400, 10_800]))
    match chance.choice("obbldfrs"):
        case "o":
            hole = [Change("errors", who, start, end, 0.0)] if chance.random() < 0.4 else []
            return [Change("accept", who, start, end, 0.0), *hole]
        case "b":
            return [Change("accept", who, start, end, chance.uniform(0.3, 0.9))]
        case "l":
            return [Change("latency", who, start, end, chance.uniform(1, 5))]
        case "d":
            value, group = chance.uniform(0.05, 0.7), chance.choice(GROUPS)
            return [Change("delivery", who, start, end, value, group)]
        case "f":
            downs = range(int(start), int(end), 600)
            return [Change("accept", who, t, t + 300, 0.0) for t in downs]
        case "r":
            return [Change("rate", who, start, end, chance.uniform(0.2, 1.0))]
        case _:
            value = chance.uniform(0.2, 0.8)
            return [
                Change("delivery", who, start, end, value),
                Change("bounced_after", who, start, end, 900.0),
            ]
