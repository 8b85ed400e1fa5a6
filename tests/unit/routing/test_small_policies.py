"""Policies as (V, w), the service level, stickiness, mailbox groups, and how often trouble is looked at again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.mailbox_groups import GROUPS, OTHER, MailboxHosts, group_of
from routing.pricing import UNLIMITED, flat, graduated
from routing.service_level import ServiceLevel
from routing.stickiness import KEPT, settle
from routing.suspicion import probe_wait
from routing.worths import Preference, worth_of
from tests.builders import chance


def test_cheapest_still_prefers_sending_to_losing():
    prices = [flat(0.1), graduated((10, 0.2), (UNLIMITED, 1.3))]
    assert worth_of(Preference.CHEAPEST, prices).value > 1.3
    assert worth_of(Preference.CHEAPEST, prices).value < 2


def test_more_reliability_is_a_higher_value_and_urgency_a_dearer_second():
    values = [worth_of(p, [flat(1.0)]).value for p in Preference]
    assert values == sorted(values)
    for preference in Preference:
        assert worth_of(preference, [], urgent=True).wait > worth_of(preference, []).wait


@pytest.mark.parametrize("target", [0.97, 0.985, 0.99])
def test_the_service_level_is_reached_at_less_than_the_dearest(target):
    """A cheap provider delivers 96%, a dear one 99.5%; what is expected of the cheap one is half a point too much."""
    level, rng, delivered, dear = ServiceLevel(target, 5.0), chance(1), 0, 0
    for _ in range(40_000):
        take_dear = 0.1 + level.value * (1 - 0.965) > 0.8 + level.value * (1 - 0.995)
        expected, true = (0.995, 0.995) if take_dear else (0.965, 0.96)
        reached = rng.random() < true
        level = level.accepted(expected).settled(expected, reached)
        delivered, dear = delivered + reached, dear + take_dear
    assert delivered / 40_000 >= target - 0.0005
    assert dear < 40_000


@given(st.lists(st.booleans(), max_size=200), st.floats(0.9, 0.999))
def test_the_value_stays_within_bounds(outcomes, target):
    level = ServiceLevel(target, 10.0)
    for delivered in outcomes:
        level = level.accepted(0.98).settled(0.98, delivered)
        assert 1.0 < level.value < 10_000
        assert level.aim < 1


def test_marketing_keeps_to_its_provider_though_another_is_better_now():
    rng = chance(1)
    assert settle(None, 2, [2, 1], [2, 1], rng) == (2, True)
    picks = [settle(2, 1, [1, 2], [1, 2], rng) for _ in range(2000)]
    assert KEPT - 0.02 <= picks.count((2, False)) / 2000 < KEPT + 0.02
    assert set(picks) == {(2, False), (1, False)}, "an email that goes elsewhere moves nothing"


def test_a_home_in_trouble_is_left_and_one_that_is_merely_full_is_not():
    rng = chance(1)
    assert settle(2, 1, well=[1], here=[1], chance=rng) == (1, False)
    assert settle(2, 1, well=[1], here=[1, 2], chance=rng) == (1, True)
    assert settle(2, 1, well=[], here=[1, 2], chance=rng) == (1, False), (
        "where all are in trouble nothing is settled"
    )


@pytest.mark.parametrize(
    ("domain", "mx", "group"),
    [
        ("gmail.com", (), "google"),
        ("GoogleMail.com.", (), "google"),
        ("firm.example", ("aspmx.l.google.com.", "alt1.aspmx.l.google.com."), "google"),
        ("firm.example", ("firm-example.mail.protection.outlook.com",), "microsoft"),
        ("hotmail.com", ("anything.example",), "microsoft"),
        ("firm.example", ("mx.firm.example",), OTHER),
        ("firm.example", ("notgoogle.com",), OTHER),
        ("firm.example", (), OTHER),
    ],
)
def test_who_runs_the_mailbox_decides_the_group(domain, mx, group):
    assert group_of(domain, mx) == group
    assert group in GROUPS


def test_a_domain_is_of_no_known_host_until_its_mail_exchangers_were_asked():
    hosts = MailboxHosts()
    assert GROUPS[hosts.number("gmail.com")] == "google"
    assert GROUPS[hosts.number("firm.example")] == OTHER
    assert hosts.wanted() == {"firm.example"}
    assert hosts.wanted() == set(), "it is asked for once, until somebody asks for its number again"
    hosts.learn({"firm.example": "google", "odd.example": "a group of another version"})
    assert [GROUPS[hosts.number(d)] for d in ("firm.example", "odd.example")] == ["google", OTHER]
    assert hosts.wanted() == set()


def test_dear_probes_of_old_troubles_are_rare_and_gainful_ones_frequent():
    assert (
        probe_wait(600, 3.0, 2.0, 1, 90) > probe_wait(600, 0.3, 2.0, 1, 90) > probe_wait(60, 0.3, 2.0, 1, 90)
    )
    assert probe_wait(600, 3.0, 20.0, 1, 90) < probe_wait(600, 3.0, 2.0, 1, 90)
    assert probe_wait(600, 3.0, 0.0, 1, 90) == 90
    assert probe_wait(0.0, 3.0, 2.0, 1, 90) == 1
