"""The cheapest provider is down every other minute for an hour."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    down = tuple(Change("accept", ("alpha",), t, t + 60, 0.0) for t in range(1800, 5400, 120))
    return Scenario("flapping", pool(), down)
