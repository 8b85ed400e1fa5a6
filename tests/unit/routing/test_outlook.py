"""The choice by an outlook."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.message import OnUnknown
from routing.acceptance import Ends
from routing.explanation import FORM, row_text, seen_text, tell
from routing.index import Worth, coefficients
from routing.outlook import Outlook, Reason, Standing, Why, choose
from tests.builders import chance

RECEIPT, BULK, OTP = Worth(20.0, 0.05), Worth(5.0), Worth(60.0, 0.5)


def a_standing(price=0.5, delivered=0.98, accepted=0.99, shadow=0.0, **more):
    ends = Ends(accepted, 0.0, 0.2, 0.3, 100)
    found = coefficients(ends, price, shadow, (delivered, delivered), OnUnknown.HOLD)
    values = {
        "coefficients": found,
        "accepted": accepted,
        "delivered": (delivered, delivered),
        "sample": (100.0, 100.0),
        "hopeful": found.loss,
        "least": BULK.value,
    } | more
    return Standing(**values)


def well(price=0.5, delivered=0.98):
    return coefficients(Ends(0.99, 0.0, 0.2, 0.3, 100), price, 0.0, (delivered, delivered), OnUnknown.HOLD)


def chosen(*standings, worth=RECEIPT, group=0, candidates=None, free=lambda _: 1.0, seed=1, explores=False):
    return choose(
        Outlook(1, standings),
        worth,
        group,
        range(len(standings)) if candidates is None else candidates,
        free,
        chance(seed),
        explores=explores,
    )


def test_price_decides_among_equals_and_delivery_where_it_is_worth_more():
    cheap, good = a_standing(0.1, 0.97), a_standing(0.8, 0.99)
    assert chosen(cheap, good, worth=BULK).provider == 0
    assert chosen(cheap, good, worth=OTP).provider == 1


def test_a_shadow_price_counts_like_a_price():
    assert chosen(a_standing(0.1, shadow=1.0), a_standing(0.5), worth=BULK).provider == 1


def test_a_scarce_rate_costs_more_the_emptier_its_bucket():
    scarce, other = a_standing(0.1, rate_price=1.0), a_standing(0.5)
    assert chosen(scarce, other, free=lambda _: 0.9).provider == 0
    assert chosen(scarce, other, free=lambda k: 0.1 if k == 0 else 1.0).provider == 1


def test_a_spent_rate_is_passed_over_and_says_so():
    found = chosen(a_standing(0.1), a_standing(0.5), free=lambda k: -1.0 if k == 0 else 1.0)
    assert found.provider == 1
    assert found.scores[0] == (0, math.inf, Why.RATE_LIMITED)


DOWN = {"share": 0.0, "healthy": well(0.1)}


def test_a_provider_that_is_down_gets_nothing_until_its_probe_is_due():
    assert chosen(a_standing(0.1, **DOWN), a_standing(0.5), worth=BULK).provider == 1


def test_a_due_probe_goes_with_the_least_valuable_email_only():
    down = a_standing(0.1, **DOWN, probe_due=True)
    found = chosen(down, a_standing(0.5), worth=BULK)
    assert (found.provider, found.reason, found.probe) == (0, Reason.PROBE, True)
    for worth in (RECEIPT, OTP):
        assert chosen(down, a_standing(0.5), worth=worth).provider == 1


def test_nobody_is_probed_who_would_not_win_if_he_were_well():
    down = a_standing(2.0, share=0.0, healthy=well(2.0), probe_due=True)
    assert chosen(down, a_standing(0.5), worth=BULK).provider == 1


def test_an_alarm_is_probed_in_its_own_groups():
    alarmed = a_standing(0.1, 0.1, healthy=well(0.1), alarmed=frozenset({1}), probe_groups=frozenset({1}))
    assert chosen(alarmed, a_standing(0.5), worth=BULK, group=1).probe
    assert not chosen(alarmed, a_standing(0.5), worth=BULK, group=0).probe


def test_a_ramp_lets_a_part_of_the_traffic_in():
    ramping = a_standing(0.1, share=0.25)
    taken = sum(chosen(ramping, a_standing(0.5), worth=BULK, seed=s).provider == 0 for s in range(400))
    assert 60 <= taken <= 140


def test_where_none_is_well_the_least_bad_that_takes_some_is_used():
    dead, weak = a_standing(0.1, accepted=0.01, **DOWN), a_standing(0.9, accepted=0.5, **DOWN)
    found = chosen(dead, weak)
    assert (found.provider, found.reason) == (1, Reason.PANIC)
    assert chosen(dead) is None


def test_exploring_gives_the_benefit_of_the_doubt_now_and_then_but_never_to_the_alarmed():
    hopeful = a_standing(0.6, 0.97, hopeful=(0.0, 0.0))
    picks = [chosen(hopeful, a_standing(0.5), seed=s, explores=True) for s in range(2000)]
    explored = [p for p in picks if p.reason is Reason.EXPLORE]
    assert 5 <= len(explored) <= 45
    assert all(p.provider == 0 for p in explored)
    alarmed = a_standing(0.6, 0.5, hopeful=(0.0, 0.0), alarmed=frozenset({0}), healthy=well())
    assert all(chosen(alarmed, a_standing(0.5), seed=s, explores=True).provider == 1 for s in range(2000))


def test_nobody_can_is_none():
    assert chosen(candidates=()) is None
    assert chosen(a_standing(), free=lambda _: -1.0) is None


@st.composite
def fleets(draw):
    def one():
        share = draw(st.sampled_from([0.0, 0.5, 1.0]))
        trouble = share == 0 or draw(st.booleans())
        return a_standing(
            draw(st.floats(0, 2)), draw(st.floats(0.3, 1)), draw(st.floats(0.01, 0.99)), share=share,
            probe_due=draw(st.booleans()), healthy=well(draw(st.floats(0, 2))) if trouble else None,
        )  # fmt: skip

    return [one() for _ in range(draw(st.integers(1, 6)))]


@given(fleets(), st.data(), st.sampled_from([RECEIPT, BULK, OTP]), st.integers(0, 99))
def test_only_a_candidate_whose_rate_admits_is_ever_chosen(fleet, data, worth, seed):
    candidates = data.draw(st.lists(st.sampled_from(range(len(fleet))), unique=True))
    spent = data.draw(st.sets(st.sampled_from(range(len(fleet)))))
    found = chosen(
        *fleet, worth=worth, candidates=candidates, seed=seed, explores=True,
        free=lambda k: -1.0 if k in spent else 1.0,
    )  # fmt: skip
    if found is not None:
        assert found.provider in set(candidates) - spent
        assert not (found.probe and worth.value > BULK.value)


@given(fleets(), st.integers(0, 99), st.floats(0.01, 1))
def test_a_lower_price_never_makes_a_choice_less_likely(fleet, seed, less):
    fleet = [a_standing(s.coefficients.price, s.delivered[0]) for s in fleet]
    found = chosen(*fleet, seed=seed)
    s = fleet[found.provider]
    cheaper = list(fleet)
    cheaper[found.provider] = a_standing(s.coefficients.price - less, s.delivered[0])
    assert chosen(*cheaper, seed=seed).provider == found.provider


def told(choice, standings, names, view=1):
    """What a reader is told of what the ledger keeps of a choice."""
    rows = [row_text(name, s, RECEIPT, 0) for name, s in zip(names, standings, strict=True)]
    kept = {
        "form": FORM, "chosen": names[choice.provider], "reason": choice.reason.value, "rule": None, "excluded": [],
        **json.loads(f"{{{seen_text(view, RECEIPT, 0, choice.scores, rows)}}}"),
    }  # fmt: skip
    return tell(kept)


def test_a_choice_explains_itself():
    names = ("one", "two", "three")
    standings = (a_standing(0.1), a_standing(0.5), a_standing(0.2, **DOWN))
    said = told(chosen(*standings), standings, names, view=7)
    assert (said["chosen"], said["reason"]) == ("one", "LOWEST_EXPECTED_COST")
    assert (said["runner_up"], said["snapshot"]) == ("two", 7)
    assert said["margin"] == pytest.approx(0.4, abs=0.01)
    assert [r["state"] for r in said["candidates"]] == ["COMPARED", "COMPARED", "BREAKER_OPEN"]
    for row in said["candidates"]:
        parts = sum(row[p] for p in ("price", "shadow", "work", "lost", "time", "congestion"))
        assert row["index"] == pytest.approx(parts, abs=1e-4)


ALARMED = a_standing(0.1, 0.1, healthy=well(0.1), alarmed=frozenset({0}))


@pytest.mark.parametrize(
    ("better", "free", "reason"),
    [
        (a_standing(0.1, **DOWN), 1.0, "BREAKER_OPEN"),
        (a_standing(0.1), -1.0, "RATE_LIMITED"),
        (ALARMED, 1.0, "DOMAIN_ALARM"),
        (a_standing(0.1, shadow=1.0), 1.0, "QUOTA_PRESERVED"),
        (a_standing(0.1, rate_price=1.0), 0.0, "RATE_LIMITED"),
        (a_standing(0.9), 1.0, "LOWEST_EXPECTED_COST"),
    ],
)
def test_it_is_said_why_the_better_one_was_passed_over(better, free, reason):
    standings = (better, a_standing(0.5))
    choice = chosen(*standings, free=lambda k: free if k == 0 else 1.0)
    said = told(choice, standings, ("better", "taken"))
    assert (said["chosen"], said["reason"]) == ("taken", reason)
