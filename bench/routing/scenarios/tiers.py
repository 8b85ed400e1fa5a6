"""A day on which prices depend on volume: one rises behind what is included, another falls by a discount."""

from dataclasses import replace

from bench.routing.pool import ALPHA, BRAVO, DAY, DAY_STEP, FREE_ECHO, daily, pool
from bench.routing.world import Scenario
from routing.pricing import UNLIMITED, graduated


def build(seed: int) -> Scenario:
    providers = pool(
        replace(ALPHA, prices=graduated((20_000, 0.10), (UNLIMITED, 0.95))),
        replace(BRAVO, prices=graduated((12_000, 0.90), (UNLIMITED, 0.15))),
        replace(FREE_ECHO, quota=5_000),
    )
    return Scenario("tiers", providers, duration=DAY, step=DAY_STEP, rate=daily)
