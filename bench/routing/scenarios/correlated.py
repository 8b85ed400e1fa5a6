"""The two cheapest are down together, the third half the time; the others become slow."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario(
        "correlated",
        pool(),
        (
            Change("accept", ("alpha", "bravo"), 1800, 3000, 0.0),
            Change("accept", ("charlie",), 2400, 3000, 0.5),
            Change("latency", ("charlie", "delta"), 1800, 3000, 0.8),
        ),
    )
