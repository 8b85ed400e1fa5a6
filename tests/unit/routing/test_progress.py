"""What a provider accepts must be heard of in time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from routing.delay import DelayCurve
from routing.progress import CLEAR_THRESHOLD, ProgressWatch
from tests.builders import chance

GROUPS = 2
GOOD = 0.95


def heard(ages):
    """Half of what is delivered is heard of after 20 s (lognormal)."""
    z = (np.log(np.maximum(ages, 1e-9)) - math.log(20)) / 0.8
    return np.vectorize(lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2))))(z)


class Traffic:
    """`per_second` emails to each group; after `trouble_at` the groups in `bad` deliver `left` of the usual."""

    def __init__(self, per_second=3.0, trouble_at=math.inf, bad=(0, 1), left=0.1, bounces=0.0, seed=1):
        self.watch, self.rng, self.now = ProgressWatch(GROUPS), chance(seed), 0.0
        self.per_second, self.trouble_at, self.bad = per_second, trouble_at, bad
        self.left, self.bounces, self.coming = left, bounces, []

    def run(self, until, suspects=(False, False)):
        """Second by second; the first finding ends it."""
        while self.now < until:
            self.now += 1.0
            for group in range(GROUPS):
                for _ in range(int(self.per_second)):
                    at = self.now - self.rng.random()
                    self.watch.sent(group, at)
                    wrong = at >= self.trouble_at and group in self.bad
                    if self.rng.random() < GOOD * (self.left if wrong else 1.0):
                        self.coming.append((at + 20 * math.exp(0.8 * self.rng.gauss(0, 1)), group, at, True))
                    elif self.rng.random() < self.bounces:
                        self.coming.append((at + 3.0, group, at, False))
            for event in [e for e in self.coming if e[0] <= self.now]:
                self.watch.event(event[1], event[2], event[3])
            self.coming = [e for e in self.coming if e[0] > self.now]
            self.watch.advance(self.now)
            good = np.full(GROUPS, GOOD)
            found = self.watch.scan(heard(self.watch.ages(self.now)), good, suspects)
            if found is not None:
                return found
        return None


@pytest.mark.parametrize("seed", range(3))
def test_half_an_hour_in_which_all_is_well_raises_no_alarm(seed):
    assert Traffic(seed=seed).run(1800) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_silent_drop_is_found_long_before_the_usual_delay_has_passed(seed):
    traffic = Traffic(trouble_at=400, seed=seed)
    found = traffic.run(600)
    assert traffic.now < 425
    assert found.groups == (0, 1)
    assert 385 <= found.since <= 410
    assert found.left < 0.3


def test_trouble_with_one_group_is_not_blamed_on_the_other():
    found = Traffic(trouble_at=400, bad=(1,), seed=4).run(600)
    assert found.groups == (1,)


def test_a_loss_of_a_third_is_found_as_well():
    traffic = Traffic(trouble_at=400, left=0.65, seed=5)
    found = traffic.run(700)
    assert traffic.now < 480
    assert 0.4 < found.left < 0.9


def test_bounces_are_found_before_silence_could_tell():
    silent, bouncing = Traffic(trouble_at=400, left=0.2, seed=6), Traffic(400, seed=6)
    bouncing = Traffic(trouble_at=400, left=0.2, bounces=1.0, seed=6)
    silent.run(600)
    bouncing.run(600)
    assert bouncing.now < silent.now


def test_a_trickle_of_traffic_is_judged_over_a_long_time():
    traffic = Traffic(per_second=1.0, trouble_at=2000, left=0.1, seed=7)
    assert traffic.run(2300) is not None
    assert traffic.now >= 2000


def test_recovery_needs_deliveries_of_what_was_sent_afterwards():
    traffic = Traffic(trouble_at=400, seed=8)
    found = traffic.run(600)
    raised = traffic.now
    traffic.watch.forget(found.groups)
    good = np.full(GROUPS, GOOD)

    def evidence():
        ages = heard(traffic.watch.ages(traffic.now))
        return traffic.watch.recovery(ages, good, found.at_most, found.groups, raised)

    def lasts():
        ages = heard(traffic.watch.ages(traffic.now))
        return traffic.watch.lasts(ages, good, found.at_most, found.groups, raised)

    assert not lasts(), "nothing was sent since"
    traffic.run(raised + 60, suspects=(True, True))
    assert evidence() < CLEAR_THRESHOLD
    assert lasts()
    traffic.trouble_at = math.inf
    traffic.run(traffic.now + 40, suspects=(True, True))
    assert evidence() >= CLEAR_THRESHOLD
    traffic.run(traffic.now + 300, suspects=(True, True))
    assert not lasts()


def test_what_is_forgotten_is_not_judged():
    traffic = Traffic(trouble_at=0, seed=9)
    traffic.run(5)
    traffic.watch.forget()
    assert traffic.watch.owed(np.zeros(128), np.ones(128), np.full(GROUPS, GOOD)) == 0


def test_the_delay_curve_is_unknown_until_enough_sends_have_matured():
    curve, rng = DelayCurve(), chance(1)
    for i in range(3000):
        at = i / 10
        curve.event(at, at + 20 * math.exp(0.8 * rng.gauss(0, 1)))
    known = []
    for now in (300.0, 700.0):
        curve.refresh(now)
        known.append(curve.known)
    assert known == [False, True]
    shares = curve.share(np.array([5.0, 20.0, 60.0, 299.0]))
    assert shares == pytest.approx([0.04, 0.5, 0.915, 1.0], abs=0.04)
