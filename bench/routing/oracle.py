"""The least that any policy could have paid: one who knows the truth and all arrivals, for whom emails are a fluid.

Per bucket an attempt at a provider ends as acknowledged, held, or failed; only what failed goes on (under `resend`
also what hung). An email that fails may go to the same provider again. Solved as one linear program over all buckets,
with falling tiers as binaries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bench.routing.world import (
    CONNECT_TIMEOUT,
    DUPLICATE,
    GROUPS,
    HUNG_ACCEPTED,
    KAPPA,
    LONGEST_WAIT,
    TIMEOUT,
    UNACKNOWLEDGED_WAIT,
    World,
)
from domain.message import OnUnknown
from routing.allocation import Floats, Options, Tariff, allocate

_normal = np.vectorize(lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2))))
_GIVEN_UP = 5.0  # $ per 1,000 on top of the value, for what nobody could carry
_LEAST_CHANCE = 0.02  # a provider below it is not considered


@dataclass(frozen=True, slots=True)
class Ends:
    """Per [bucket, provider]: how one attempt ends. `settled` = no other attempt follows."""

    acknowledged: Floats
    charged: Floats
    settled: Floats
    seconds: Floats


def attempt_ends(world: World, on_unknown: OnUnknown) -> Ends:
    t = world.truth
    z = (math.log(TIMEOUT) - np.log(t.latency)) / t.spread
    late = 1 - _normal(z)
    quick = t.latency * np.exp(t.spread**2 / 2) * _normal(z - t.spread)  # E[latency; it is in time]
    fails = 1 - t.accept
    hangs = np.maximum(0.0, 1 - t.errors - t.connects)
    errors = np.minimum(t.errors, 1.0)
    error_time = np.minimum(TIMEOUT, t.latency * math.exp(0.125))
    failing = errors * error_time + np.minimum(t.connects, 1 - errors) * CONNECT_TIMEOUT
    acknowledged = t.accept * (1 - late)
    charged = t.accept + fails * hangs * HUNG_ACCEPTED
    if on_unknown is OnUnknown.HOLD:
        held_in_vain = fails * hangs * (1 - HUNG_ACCEPTED)
        held = charged - acknowledged
        seconds = t.accept * quick + fails * failing
        seconds += held * UNACKNOWLEDGED_WAIT + held_in_vain * LONGEST_WAIT
        return Ends(acknowledged, charged, t.accept + fails * hangs, seconds)
    seconds = t.accept * (quick + late * TIMEOUT) + fails * (failing + hangs * TIMEOUT)
    return Ends(acknowledged, charged, acknowledged, seconds)


def best_possible(world: World, on_unknown: OnUnknown) -> float:
    """J*: the mean cost per email in $ per 1,000. Raises routing.allocation.Unsolved."""
    ends = attempt_ends(world, on_unknown)
    allowed = np.array(world.allowed())
    possible = (
        (world.demand > 0)[:, :, None] & allowed[None, :, :] & (ends.settled > _LEAST_CHANCE)[:, None, :]
    )
    b, c, k = np.nonzero(possible)
    value, wait = world.value()[c], world.wait()[c]
    delivery = world.truth.delivery[b, k, c % len(GROUPS)]
    settled, charged = ends.settled[b, k], ends.charged[b, k]
    cost = wait * ends.seconds[b, k] + KAPPA
    if on_unknown is OnUnknown.HOLD:
        cost = (cost + value * (settled - charged * delivery)) / settled
    else:
        # What was accepted without our knowing is paid, and counted as a duplicate, for the email goes on.
        first_price = np.array([p.prices.price_at(0) for p in world.scenario.providers])
        doubtful = charged - settled
        cost = (cost + doubtful * (first_price[k] + DUPLICATE)) / settled + value * (1 - delivery)
        charged = settled
    step = world.scenario.step
    options = Options(b, c, k, cost, charged / settled, 1 / settled)
    capacity = world.truth.rate * step + np.maximum(1.0, world.truth.rate)
    tariffs = [Tariff(p.prices.segments(), p.quota) for p in world.scenario.providers]
    found = allocate(world.demand, options, capacity, tariffs, world.value() + _GIVEN_UP)
    return found.total / world.emails
