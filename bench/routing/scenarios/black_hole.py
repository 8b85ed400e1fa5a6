"""The cheapest provider takes connections and never answers: four of five attempts hang."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario(
        "black_hole",
        pool(),
        (
            Change("accept", ("alpha",), 1800, 3600, 0.0),
            Change("errors", ("alpha",), 1800, 3600, 0.0),
            Change("connects", ("alpha",), 1800, 3600, 0.2),
        ),
    )
