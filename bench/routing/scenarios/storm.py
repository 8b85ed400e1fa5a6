"""The cheapest provider suddenly takes 3 emails a second only; the second never took more than 5."""

from dataclasses import replace

from bench.routing.pool import BRAVO, pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario("storm", pool(replace(BRAVO, rate=5.0)), (Change("rate", ("alpha",), 1800, 5400, 3.0),))
