"""All models together: what happens moves the traffic, and brings it back."""

from __future__ import annotations

import math

from domain.message import OnUnknown
from routing.index import Worth
from routing.learner import Learner
from routing.outlook import choose
from routing.planner import Demand
from routing.signs import End
from routing.vigil import UNUSED
from tests.builders import chance

WORTHS = (Worth(60.0, 0.5), Worth(20.0, 0.05), Worth(5.0, 0.0))


class Day:
    """Ten emails a second to two groups: an OTP, a receipt or bulk; provider 0 is cheap, provider 1 is dear."""

    def __init__(self, seed=1):
        self.rng, self.now, self.attempts = chance(seed), 0.0, 0
        demands = [Demand(w, g, (True, True)) for w in WORTHS for g in (0, 1)]
        self.learner = Learner((0.1, 0.6), 2, demands, OnUnknown.HOLD)
        self.demands, self.coming = demands, []
        self.down = self.lossy = self.mute = self.bounces = False
        self.log = []

    def run(self, seconds, step=0.1):
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for what in sorted(c for c in self.coming if c[0] <= self.now):
                getattr(self, f"_{what[1]}")(*what[2:], what[0])
            self.coming = [c for c in self.coming if c[0] > self.now]
            self._send(self.rng.randrange(len(self.demands)))

    def _send(self, kind):
        demand = self.demands[kind]
        outlook = self.learner.outlook(self.now)
        choice = choose(outlook, demand.worth, demand.group, (0, 1), lambda _: 1.0, self.rng)
        assert choice is not None
        self.attempts += 1
        k, attempt = choice.provider, self.attempts
        self.learner.started(attempt, k, kind, self.now, probe=choice.probe)
        self.log.append((self.now, kind, k, choice.probe))
        if self.down and k == 0:
            self.coming.append((self.now + 0.8, "late", attempt))
            self.coming.append((self.now + 10, "end", attempt, k, kind, End.TIMED_OUT, 10.0))
            return
        self.coming.append((self.now + 0.2, "end", attempt, k, kind, End.ACCEPTED, 0.2))
        lost = self.rng.random() < (0.9 if self.lossy and k == 0 else 0.03)
        if not lost:
            delay = 20 * math.exp(0.8 * self.rng.gauss(0, 1))
            self.coming.append(
                (self.now + 0.2 + delay, "event", attempt, k, demand.group, True, self.now + 0.2)
            )
        elif self.bounces:
            late = self.now + 900.0
            self.coming.append((late, "event", attempt, k, demand.group, False, self.now + 0.2))

    def _late(self, attempt, at):
        self.learner.overdue(attempt, 0, at)

    def _end(self, attempt, k, kind, end, seconds, at):
        self.learner.ended(attempt, k, kind, end, seconds, at)

    def _event(self, attempt, k, group, delivered, accepted_at, at):
        if not (self.mute and k == 0):
            self.learner.event(attempt, k, group, delivered, accepted_at, at)

    def share(self, since):
        """Of the emails since then: how many went to the cheap provider."""
        mine = [k for at, _, k, _ in self.log if at >= since]
        return mine.count(0) / len(mine)


def test_a_black_hole_loses_its_traffic_within_seconds_and_gets_it_back():
    day = Day()
    day.run(60)
    assert day.share(30) > 0.9
    day.down = True
    day.run(4)
    lost_at = day.now
    day.run(120)
    assert day.share(lost_at) < 0.05
    day.down = False
    day.run(45)
    healed_at = day.now
    day.run(30)
    assert day.share(healed_at) > 0.9


def test_probes_of_a_black_hole_are_few_and_never_valuable():
    day = Day()
    day.run(60)
    day.down = True
    day.run(4)
    down_at = day.now
    day.run(600)
    risked = [kind for at, kind, k, _ in day.log if k == 0 and at >= down_at]
    assert 10 <= len(risked) <= 120
    assert all(day.demands[kind].worth is WORTHS[2] for kind in risked)


def test_a_silent_drop_moves_the_traffic_and_its_end_brings_it_back():
    day = Day()
    day.run(800)
    assert day.share(700) > 0.9
    day.lossy = True
    day.run(25)
    found_at = day.now
    day.run(200)
    assert day.share(found_at) < 0.1
    day.lossy = False
    day.run(300)
    healed_at = day.now
    day.run(60)
    assert day.share(healed_at) > 0.9


def test_a_drop_that_lasts_for_hours_is_not_forgotten_by_its_age_and_its_end_is_found():
    day = Day()
    day.run(800)
    day.lossy = True
    day.run(60)
    day.run(7000, step=2.0)
    aged_at = day.now
    day.run(1800, step=2.0)
    assert day.share(aged_at) < 0.1, "probes still get lost"
    assert day.learner.outlook(day.now).standings[0].alarmed
    day.lossy = False
    day.run(600, step=0.5)
    healed_at = day.now
    day.run(120, step=0.5)
    assert day.share(healed_at) > 0.9


def test_what_lost_email_before_anything_was_known_is_looked_at_again_once_nobody_has_used_it_for_long():
    day = Day()
    day.lossy = day.bounces = True
    day.run(2400, step=1.0)
    left_at = day.now
    assert not day.learner.outlook(day.now).standings[0].alarmed, "it was taken for its quality"
    day.run(600, step=1.0)
    assert day.share(left_at) < 0.02
    day.run(2 * UNUSED, step=2.0)
    assert day.learner.outlook(day.now).standings[0].alarmed
    assert day.share(left_at) < 0.05, "it still loses"
    day.lossy = False
    day.run(1200, step=1.0)
    healed_at = day.now
    day.run(120, step=1.0)
    assert day.share(healed_at) > 0.9


def feeds_down(day):
    return [s.feed_down for s in day.learner.outlook(day.now).standings]


def test_a_stopped_event_feed_moves_nothing():
    day = Day()
    day.run(800)
    day.mute = True
    day.run(600)
    assert day.share(800) > 0.9
    assert feeds_down(day)[0]
    day.mute = False
    day.run(120)
    assert not any(feeds_down(day))
    assert day.share(1400) > 0.9


def test_an_hour_in_which_nothing_happens_stays_quiet():
    day = Day(2)
    day.run(3600)
    assert day.share(60) > 0.95
    assert not any(probe for *_, probe in day.log)
