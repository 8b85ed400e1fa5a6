"""Nothing happens: what learning costs."""

from bench.routing.pool import pool
from bench.routing.world import Scenario


def build(seed: int) -> Scenario:
    return Scenario("stationary", pool())
