"""The cheapest provider fails two of five attempts, three of ten of those by hanging."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario(
        "brownout",
        pool(),
        (
            Change("accept", ("alpha",), 1800, 4500, 0.6),
            Change("errors", ("alpha",), 1800, 4500, 0.5),
            Change("connects", ("alpha",), 1800, 4500, 0.2),
        ),
    )
