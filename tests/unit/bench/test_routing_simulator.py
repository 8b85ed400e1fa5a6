"""The simulator's rules, and the best possible as a bound that nobody beats."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from bench.routing.briefing import brief
from bench.routing.catalogue import load_policy, load_scenario, policy_names, scenario_names
from bench.routing.command import routing
from bench.routing.figures import measure, merge
from bench.routing.oracle import best_possible
from bench.routing.pool import ALPHA, POOL, pool
from bench.routing.simulator import Simulation
from bench.routing.world import Change, Scenario, World
from domain.message import OnUnknown
from routing.signs import End

HOLD, RESEND = OnUnknown.HOLD, OnUnknown.RESEND
BOTH = pytest.mark.parametrize("mode", [HOLD, RESEND])


def a_world(*changes, seed=5, duration=300.0, providers=POOL, rate=4.0):
    return World(Scenario("short", providers, changes, duration, rate=lambda _: rate), seed)


class Fixed:
    """Takes the providers in one order, and writes down what it is told."""

    def __init__(self, told, order=(0, 1, 2, 3, 4), deadline=math.inf):
        self.told, self.order, self._deadline = told, order, deadline
        self.starts, self.ends, self.events = [], [], []

    def choose(self, kind, now, tried):
        return next((k for k in self.order if self.told.allowed[kind][k] and not tried >> k & 1), None)

    def patience(self, provider):
        return math.inf

    def deadline(self, provider):
        return self._deadline

    def started(self, attempt, provider, kind, now):
        self.starts.append((attempt, provider, kind, now))

    def overdue(self, attempt, provider, kind, now):
        raise AssertionError("nobody asked for it")

    def ended(self, attempt, provider, kind, end, seconds, now):
        self.ends.append((attempt, provider, end))

    def event(self, attempt, provider, kind, delivered, now):
        self.events.append((attempt, provider, delivered, now))


def played(world, mode=HOLD, **more):
    policy = Fixed(brief(world, mode), **more)
    return Simulation(world, policy, mode).run(), policy


DEAD = Change("accept", ("alpha",), 0, 300, 0.0)
HOLE = (DEAD, Change("errors", ("alpha",), 0, 300, 0.0), Change("connects", ("alpha",), 0, 300, 0.0))


@BOTH
def test_every_email_comes_to_an_end(mode):
    run, _ = played(a_world(DEAD), mode)
    accepted, held = run.waited >= 0, run.held > 0
    assert (accepted ^ held).all()


def test_the_same_seed_is_the_same_day_for_every_policy():
    one, other = a_world(), a_world()
    assert (one.arrivals == other.arrivals).all()
    first, second = played(one)[0], played(other, order=(1, 0, 2, 3, 4))[0]
    again = played(a_world())[0]
    assert (first.lost == again.lost).all()
    assert not (first.lost == second.lost).all()


def test_under_hold_what_hangs_is_never_sent_again():
    run, policy = played(a_world(*HOLE))
    assert run.held.mean() == 1.0
    assert len(policy.starts) == len(run.held)
    assert (run.acceptances <= 1).all()


def test_under_resend_what_hangs_goes_on_and_some_arrives_twice():
    run, _ = played(a_world(*HOLE), RESEND, deadline=2.0)
    assert run.held.sum() == 0
    assert 0.2 < (run.acceptances == 2).mean() < 0.4
    assert run.waited.min() >= 2.0


def test_what_is_refused_for_its_rate_or_quota_goes_on():
    slow = pool(replace(ALPHA, rate=1.0, quota=100))
    run, policy = played(a_world(providers=slow))
    ends = [end for _, provider, end in policy.ends if provider == 0]
    assert ends.count(End.ACCEPTED) <= 100
    assert run.throttled > 0
    assert run.overrun > 0
    assert (run.waited >= 0).mean() > 0.99


def test_forbidden_providers_get_nothing_from_a_type():
    world = a_world()
    run, _ = played(world, order=(4, 3, 2, 1, 0))
    types = world.kinds // 5
    assert not (run.first[types == 0] == 4).any()
    assert not (run.first[types == 2] == 3).any()


def test_a_stopped_feed_loses_its_events_and_silence_only_those_of_the_lost():
    silent = (Change("delivery", ("alpha",), 0, 300, 0.5), Change("silent", ("alpha",), 0, 300, 1.0))
    assert all(delivered for _, k, delivered, _ in played(a_world(*silent))[1].events if k == 0)
    stopped = played(a_world(Change("feed_stopped", ("alpha",), 0, 300, 1.0)))[1]
    assert not [e for e in stopped.events if e[1] == 0]


def test_a_change_touches_its_group_and_its_time_only():
    truth = a_world(Change("delivery", ("bravo",), 60, 120, 0.3, "corp")).truth.delivery
    changed = np.argwhere(truth[:, :, :] == 0.3)
    assert changed.tolist() == [[1, 1, 3]]


@BOTH
@pytest.mark.parametrize("changes", [(), (DEAD,), HOLE, (Change("rate", ("alpha",), 0, 300, 1.0),)])
def test_nobody_beats_the_best_possible(mode, changes):
    world = a_world(*changes, duration=1200.0)
    best = best_possible(world, mode)
    for order in ((0, 1, 2, 3, 4), (1, 2, 0, 3, 4), (3, 2, 1, 0, 4)):
        run, _ = played(world, mode, order=order)
        assert run.objective(world).mean() > 0.97 * best  # its own draws may be a little lucky


def test_the_best_possible_of_one_provider_is_that_provider():
    alone = World(Scenario("alone", (replace(ALPHA, accept=1.0),), (), 600.0), 3)
    run, _ = played(alone, order=(0,))
    assert best_possible(alone, HOLD) == pytest.approx(run.objective(alone).mean(), rel=0.02)


def test_a_dead_provider_is_found_and_found_to_be_back():
    dead = Change("accept", ("alpha",), 600, 1200, 0.0)
    world = a_world(dead, duration=2400.0)
    policy = load_policy("mailmux")(brief(world, HOLD))
    figures = measure(world, Simulation(world, policy, HOLD).run()).against(best_possible(world, HOLD))
    assert figures.detected is not None
    assert figures.recovered is not None
    assert figures.detected < 10
    assert figures.recovered < 60
    assert 0 <= figures.excess < 0.3
    assert merge([figures, figures]) == figures


@pytest.mark.parametrize("name", policy_names())
@BOTH
def test_every_policy_carries_emails_through_trouble(name, mode):
    world = a_world(*HOLE, duration=300.0)
    run = Simulation(world, load_policy(name)(brief(world, mode)), mode).run()
    settled = (run.waited >= 0) | (run.held > 0)
    assert settled.mean() > 0.98
    if mode is HOLD:
        assert (run.acceptances <= 1).all()


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_is_a_day_with_emails(name):
    scenario = load_scenario(name)(7)
    assert scenario.name == name
    assert load_scenario(name)(7).providers == scenario.providers
    assert len(scenario.types) == 3
    assert all(0 <= c.start < c.end <= scenario.duration for c in scenario.changes)


SCENARIO = """
from bench.routing.pool import pool
from bench.routing.world import Change, Scenario

def build(seed):
    return Scenario("mine", pool(), (Change("accept", ("alpha",), 60, 120, 0.0),), 240.0)
"""


def invoke(*arguments):
    return CliRunner().invoke(routing, arguments)


def test_a_scenario_is_a_file_that_anyone_can_add(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SCENARIO)
    found = invoke(
        "--scenarios", str(path), "--policies", "mailmux,round_robin", "--seeds", "1,3", "--mode", "both",
        "--plots", str(tmp_path / "plots"), "--json",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert said["mode"] == "hold"
    assert said["seeds"] == [1, 3]
    assert set(said["mean_excess"]) == {"mailmux", "round_robin"}
    row = said["scenarios"]["mine"]["mailmux"]
    assert row["excess"] == pytest.approx(said["mean_excess"]["mailmux"], abs=1e-5)
    assert said["resend"]["scenarios"]["mine"]["round_robin"]["held"] == 0
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {
        "excess-hold.svg", "excess-resend.svg", "traffic-mine.svg",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--seeds", "5-1"), "not a range"),
        (("--seeds", "x"), "neither a number nor a range"),
        (("--scenarios", "nowhere"), "there are stationary"),
        (("--policies", "/no/such.py"), "there is no file"),
    ],
)
def test_what_cannot_be_played_is_said_before_anything_is(arguments, says):
    found = invoke(*arguments)
    assert found.exit_code == 2
    assert says in found.output
