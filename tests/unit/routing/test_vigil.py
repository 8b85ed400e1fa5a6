"""Watching over one provider: an alarm ends by what probes show, however rare they are."""

from __future__ import annotations

import math
from itertools import cycle, islice

import pytest

from routing.delay import DelayCurve
from routing.suspicion import FORCED_END, LONGEST_LOOK
from routing.vigil import UNUSED, Vigil
from tests.builders import chance

AS_USUAL = 0.97


def a_known_curve():
    """Half of what is delivered is heard of after 20 s."""
    curve, rng = DelayCurve(), chance(1)
    for i in range(400):
        curve.event(i / 10, i / 10 + 20 * math.exp(0.8 * rng.gauss(0, 1)))
    curve.refresh(1000.0)
    assert curve.known
    return curve


class Night:
    """One group, an email every five seconds until there is an alarm, then probes alone."""

    def __init__(self):
        self.vigil, self.curve, self.rng, self.now = Vigil(1), a_known_curve(), chance(5), 1000.0

    def send(self, delivered, wait):
        at = self.now
        self.vigil.accepted(0, at)
        self.vigil.watch(at, self.curve)
        if delivered:
            self.now = at + min(wait, 20.0)
            self.vigil.event(0, at, True, self.now, followed=True)
        self.now = at + wait
        self.vigil.watch(self.now, self.curve)

    def goes_well(self, emails=300):
        for _ in range(emails):
            self.send(self.rng.random() < AS_USUAL, 5.0)
        assert not self.alarmed

    def loses(self, share):
        """Until it is noticed; after how many emails that was."""
        for n in range(1, 100):
            self.send(self.rng.random() >= share, 5.0)
            if self.alarmed:
                return n
        raise AssertionError("nobody noticed")

    @property
    def alarmed(self):
        return bool(self.vigil.alarmed())

    def probed(self, fates, emails):
        """Whether it is alarmed, after every one of so many rare probes. `fates`: which of them arrive, in turn."""
        said = []
        for delivered in islice(cycle(fates), emails):
            self.send(delivered, LONGEST_LOOK)
            said.append(self.alarmed)
        return said


@pytest.mark.parametrize(
    "fates", [(False, False, True), (False, True, False, False), (False, False, True, True)]
)
def test_an_alarm_does_not_age_away_while_rare_probes_get_lost(fates):
    night = Night()
    night.goes_well()
    night.loses(0.75)
    for_hours = int(2.5 * FORCED_END / LONGEST_LOOK)
    assert all(night.probed(fates, for_hours))


def test_without_any_probe_an_alarm_ends_by_its_age():
    night = Night()
    night.goes_well()
    night.loses(0.75)
    night.now += FORCED_END - 600
    night.vigil.watch(night.now, night.curve)
    assert night.alarmed
    night.now += 1200
    night.vigil.watch(night.now, night.curve)
    assert not night.alarmed


def test_its_end_is_found_by_a_few_probes_after_hours_of_lost_ones():
    night = Night()
    night.goes_well()
    night.loses(0.75)
    night.probed((False, False, True), int(2.5 * FORCED_END / LONGEST_LOOK))
    well = night.probed((True,), 20)
    assert not well[-1]
    assert sum(well) <= 12


def test_the_same_trouble_is_found_as_soon_the_second_time():
    night = Night()
    night.goes_well()
    first = night.loses(0.75)
    night.probed((False, False, True), int(FORCED_END / LONGEST_LOOK) - 1)
    night.probed((True,), 20)
    assert not night.alarmed
    assert night.loses(0.75) <= first + 5, "lost probes were not taken for usual"


def test_it_is_unused_when_nobody_was_accepted_for_long_and_not_because_it_was_just_begun():
    vigil = Vigil(1)
    assert not vigil.unused(5000.0)
    assert vigil.unused(5000.0 + UNUSED)
    vigil.accepted(0, 5000.0 + UNUSED)
    assert not vigil.unused(5001.0 + UNUSED)


def test_what_is_doubted_is_probed_and_cleared_like_any_alarm():
    night = Night()
    night.vigil.accepted(0, night.now)
    night.now += UNUSED
    night.vigil.doubt((0,), 0.3, night.now)
    assert night.vigil.left(0) == 0.3
    assert night.vigil.probe_groups(night.now + 60) == {0}
    assert not night.vigil.event(0, night.now - 100, False, night.now, followed=True), (
        "late bounces teach nothing"
    )
    assert all(night.probed((False, False, True), 10))
    assert not night.probed((True,), 20)[-1]
    assert night.vigil.left(0) == 1.0


def test_an_alarm_is_not_doubted_once_more():
    night = Night()
    night.goes_well()
    night.loses(0.75)
    left = night.vigil.left(0)
    night.vigil.doubt((0,), 0.5, night.now + UNUSED)
    assert night.vigil.left(0) == left
