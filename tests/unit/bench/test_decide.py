"""The timing of single decisions."""

from __future__ import annotations

import json

from click.testing import CliRunner

from bench.decide import WORTHS, decide, outlook_of
from routing.outlook import Why, choose
from tests.builders import chance


def test_it_times_five_and_twenty_providers_with_and_without_writing_it_out():
    found = CliRunner().invoke(decide, ["--rounds", "1000", "--json"])
    assert found.exit_code == 0, found.output
    timings = json.loads(found.stdout)["timings"]
    assert [(t["providers"], "stored" in t["what"]) for t in timings] == [
        (5, False), (5, True), (20, False), (20, True),
    ]  # fmt: skip
    assert all(0 < t["p50"] <= t["p99"] for t in timings)


def test_what_is_timed_is_a_decision_with_trouble_in_it():
    outlook = outlook_of(20, chance())
    found = choose(outlook, WORTHS[1], 0, range(20), lambda _: 0.7, chance())
    assert found is not None
    assert len(found.scores) == 20
    assert Why.OPEN in {why for _, _, why in found.scores}
