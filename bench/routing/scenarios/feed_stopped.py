"""No events arrive for half an hour: first from the cheapest provider, later from all. Nothing else is wrong."""

from bench.routing.pool import POOL, pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario(
        "feed_stopped",
        pool(),
        (
            Change("feed_stopped", ("alpha",), 1200, 3000, 1.0),
            Change("feed_stopped", tuple(p.name for p in POOL), 4200, 6000, 1.0),
        ),
    )
