"""Slowly the cheapest provider delivers less and the second more."""

from bench.routing.pool import pool
from bench.routing.world import GROUPS, Change, Scenario


def build(seed: int) -> Scenario:
    changes = []
    for group in GROUPS:
        changes.append(Change("delivery", ("alpha",), 0, 7200, lambda part: 0.98 - 0.10 * part, group))
        changes.append(Change("delivery", ("bravo",), 0, 7200, lambda part: 0.97 + 0.022 * part, group))
    return Scenario("drift", pool(), tuple(changes))
