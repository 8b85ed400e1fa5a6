"""The cheapest provider accepts everything, loses nine of ten, and tells nobody."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario(
        "silent_drop",
        pool(),
        (
            Change("delivery", ("alpha",), 1800, 3600, 0.1),
            Change("silent", ("alpha",), 1800, 3600, 1.0),
        ),
    )
