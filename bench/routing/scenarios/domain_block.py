"""One mailbox host refuses what the cheapest provider brings, later another the second's."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario(
        "domain_block",
        pool(),
        (
            Change("delivery", ("alpha",), 1800, 5400, 0.05, "gmail"),
            Change("delivery", ("bravo",), 3600, 5400, 0.3, "corp"),
        ),
    )
