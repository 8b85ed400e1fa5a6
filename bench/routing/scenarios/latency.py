"""The cheapest provider becomes slow: a median of four seconds."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario(
        "latency",
        pool(),
        (
            Change("latency", ("alpha",), 1800, 4500, 4.0),
            Change("spread", ("alpha",), 1800, 4500, 0.8),
        ),
    )
