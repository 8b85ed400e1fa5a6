"""What a provider accepts must be heard of in time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.delay import DelayCurve
from routing.progress import BUCKETS, CLEAR_THRESHOLD, LASTING, WIDTH, Finding, ProgressWatch, Trial
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


def on_trial(traffic, found):
    """From now on the watch tries whether the groups of a finding deliver again."""
    trial = Trial(found.groups, found.at_most, traffic.now)
    traffic.watch.begin(trial)
    good = np.full(GROUPS, GOOD)

    def evidence():
        return traffic.watch.recovery(heard(traffic.watch.ages(traffic.now)), good, trial)

    def lasts():
        return traffic.watch.lasts(heard(traffic.watch.ages(traffic.now)), good, trial)

    return trial, evidence, lasts


def test_recovery_needs_deliveries_of_what_was_sent_afterwards():
    traffic = Traffic(trouble_at=400, seed=8)
    found = traffic.run(600)
    raised = traffic.now
    _, evidence, lasts = on_trial(traffic, found)
    assert not lasts(), "nothing was sent since"
    traffic.run(raised + 60, suspects=(True, True))
    assert evidence() < CLEAR_THRESHOLD
    assert lasts()
    traffic.trouble_at = math.inf
    traffic.run(traffic.now + 40, suspects=(True, True))
    assert evidence() >= CLEAR_THRESHOLD
    traffic.run(traffic.now + 300, suspects=(True, True))
    assert not lasts()


RARE = 150.0  # seconds between probes: one or two of them are ever looked at together


def probed(lost, count=40, at_most=0.4):
    """A trial by rare probes, of which `lost` say which get lost; whether it lasts, at every probe."""
    traffic = Traffic(per_second=0)
    traffic.now = 1000.0
    _, evidence, lasts = on_trial(traffic, Finding((0, 1), 990.0, at_most, at_most, 20.0))
    said = []
    for i in range(count):
        at = traffic.now
        traffic.watch.sent(0, at)
        if not lost(i):
            traffic.watch.event(0, at, True)
        traffic.now += RARE
        traffic.watch.advance(traffic.now)
        said.append((evidence(), lasts()))
    return said


def test_rare_probes_that_get_lost_add_up_and_stand_whatever_became_of_the_last():
    said = probed(lambda i: i % 3 != 2)
    assert all(lasting for _, lasting in said[6:])
    assert max(evidence for evidence, _ in said) < CLEAR_THRESHOLD


def test_rare_probes_that_arrive_add_up_to_a_recovery():
    said = probed(lambda _: False, at_most=0.85)
    assert said[3][0] < CLEAR_THRESHOLD <= said[39][0]
    assert not any(lasting for _, lasting in said)


def test_after_many_lost_probes_a_recovery_is_found_as_soon_as_after_few():
    soon = probed(lambda i: i < 10, count=20)
    late = probed(lambda i: i < 30)
    assert [e for e, _ in soon[10:20]] == pytest.approx([e for e, _ in late[30:40]])
    assert late[39][0] >= CLEAR_THRESHOLD


@given(st.lists(st.booleans(), max_size=12), st.floats(0.05, 1), st.integers(0, 12))
def test_evidence_is_the_same_before_and_after_it_has_left_the_ring(arrived, left, still):
    """`still`: how many of the probes may still be looked at."""
    trial, watch = Trial((0, 1), left, 100.0), ProgressWatch(GROUPS)
    watch.begin(trial)
    good, everything = np.full(GROUPS, GOOD), np.ones(BUCKETS)
    gains = []
    bad = trial.bad(good)[0]
    for i, delivered in enumerate(arrived):
        at = 200.0 + WIDTH * i
        watch.sent(i % GROUPS, at)
        if delivered:
            watch.event(i % GROUPS, at, True)
        gains.append(math.log(GOOD / bad) if delivered else math.log((1 - GOOD) / (1 - bad)))
    watch.advance(200.0 + WIDTH * (BUCKETS - 1 + max(0, len(arrived) - still)))
    assert watch.usual() == pytest.approx(good), "a trial teaches nothing"
    sums = [sum(gains[i:]) for i in range(len(gains) + 1)]
    assert watch.recovery(everything, good, trial) == pytest.approx(max(sums), abs=1e-6)
    assert watch.lasts(everything, good, trial) == (min(sums) <= -LASTING)


def test_losses_of_long_ago_keep_nobody_out_where_nothing_is_probed():
    trial, watch = Trial((0, 1), 0.4, 100.0), ProgressWatch(GROUPS)
    watch.begin(trial)
    good, everything = np.full(GROUPS, GOOD), np.ones(BUCKETS)
    for _ in range(3):
        watch.sent(0, 200.0)
    watch.advance(200.0 + 2 * WIDTH * BUCKETS)
    assert trial.against <= -LASTING
    assert watch.lasts(everything, good, trial)
    watch.advance(200.0 + 7200 + WIDTH)
    assert not watch.lasts(everything, good, trial)


def test_after_a_long_silence_nothing_is_counted_twice():
    watch = ProgressWatch(GROUPS)
    watch.sent(0, 200.0)
    watch.advance(200.0 + 4 * WIDTH * BUCKETS)
    assert watch.idle()


def test_what_probes_show_of_a_trouble_is_not_taken_for_usual():
    traffic = Traffic(seed=3)
    traffic.run(800)
    before = traffic.watch.usual().copy()
    trial = Trial((0, 1), 0.4, traffic.now)
    traffic.watch.begin(trial)
    traffic.trouble_at = traffic.now
    traffic.run(traffic.now + 900, suspects=(True, True))
    assert traffic.watch.usual() == pytest.approx(before)
    traffic.watch.end(trial)
    traffic.trouble_at = math.inf
    traffic.run(traffic.now + 10, suspects=(True, True))
    traffic.bad = (0, 1)
    traffic.trouble_at = traffic.now
    assert traffic.run(traffic.now + 60) is not None, "the same trouble is found again"


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
