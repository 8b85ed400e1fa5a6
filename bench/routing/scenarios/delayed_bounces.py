"""The cheapest provider loses two of five, and its bounces come a quarter of an hour later."""

from bench.routing.pool import pool
from bench.routing.world import Change, Scenario


def build(seed: int) -> Scenario:
    return Scenario(
        "delayed_bounces",
        pool(),
        (
            Change("delivery", ("alpha",), 1800, 4500, 0.6),
            Change("bounced_after", ("alpha",), 1800, 4500, 900.0),
        ),
    )
