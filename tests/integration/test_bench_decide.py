"""The timing of single decisions."""

from __future__ import annotations

import json

import redis
from click.testing import CliRunner

from bench.decide import WORTHS, decide, outlook_of
from routing.outlook import Why, choose
from tests.builders import chance


def test_it_times_five_and_twenty_providers_with_and_without_writing_it_out_and_reservations(redis_url):
    found = CliRunner().invoke(decide, ["--rounds", "1000", "--redis-url", redis_url, "--json"])
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    timings = report["timings"]
    assert [(t["providers"], t["what"].split(",")[-1].strip()) for t in timings] == [
        (5, "decide"), (5, "and the explanation as it is stored"),
        (20, "decide"), (20, "and the explanation as it is stored"),
        (1, "reserve for one email"), (5, "reserve for a batch of 25"), (20, "reserve for a batch of 25"),
    ]  # fmt: skip
    assert all(0 < t["p50"] <= t["p99"] for t in timings)
    assert report["round_trips"] == 1
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys() == [], "it takes its keys away"


def test_it_starts_a_redis_of_its_own_and_tells_its_figures_in_a_table():
    found = CliRunner().invoke(decide, ["--rounds", "1000"])
    assert found.exit_code == 0, found.output
    assert "reserve for a batch of 25" in found.stdout
    assert "round trips of a reservation: 1\n" in found.stdout


def test_its_help_names_the_goal_and_every_option():
    found = CliRunner().invoke(decide, ["--help"])
    assert found.exit_code == 0
    for said in ("25 µs at p99", "one round trip", "--rounds", "--redis-url", "--json"):
        assert said in found.output


def test_what_is_timed_is_a_decision_with_trouble_in_it():
    outlook = outlook_of(20, chance())
    found = choose(outlook, WORTHS[1], 0, range(20), lambda _: 0.7, chance())
    assert found is not None
    assert len(found.scores) == 20
    assert Why.OPEN in {why for _, _, why in found.scores}
