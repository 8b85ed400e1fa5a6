"""The cheapest provider refuses everything for half an hour."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario("outage", pool(), (Change("accept", ("alpha",), 1800, 3600, 0.0),))
