"""A day on which what is cheap does not last: free emails, a small quota, a slow second."""

from dataclasses import replace

from bench.routing.pool import ALPHA, BRAVO, DAY, DAY_STEP, FREE_ECHO, daily, pool
from bench.routing.world import Scenario


def build(seed: int) -> Scenario:
    providers = pool(
        replace(FREE_ECHO, quota=11_000), replace(ALPHA, quota=25_000), replace(BRAVO, rate=20.0)
    )
    return Scenario("quota", providers, duration=DAY, step=DAY_STEP, rate=daily)
