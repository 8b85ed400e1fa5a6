"""Which routing rule an email goes by, and what a rule's own policy does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.message import RoutingWishes
from routing.eligibility import matching_rule
from routing.kinds import Roster
from routing.settling import settled_for
from tests.builders import USER, a_provider, a_rule, a_snapshot, a_submission, chance, new_id
from tests.unit.routing.test_router import CHEAP, DEAR, LOSSY, SOUND, chosen, learned, standing

EMAIL = {"sender": "hello@shop.example", "to": ("ada@gmail.com",), "tags": ("invoice", "eu")}
FITS = {
    "email_type": "transactional",
    "sender_domain": "shop.example",
    "recipient_domain": "gmail.com",
    "tag": "invoice",
    "user": USER,
}
OTHERS = {
    "email_type": "marketing",
    "sender_domain": "news.shop.example",
    "recipient_domain": "mail.gmail.com",
    "tag": "invoices",
    "user": new_id(),
}


def rule_of(**conditions):
    return a_rule(DEAR, **({"email_type": None} | conditions))


def holding(*rules, **email):
    return matching_rule(rules, a_submission(**(EMAIL | email)))


@pytest.mark.parametrize("name", FITS)
def test_a_condition_holds_for_emails_that_it_names_and_for_no_others(name):
    fits, other = rule_of(**{name: FITS[name]}), rule_of(**{name: OTHERS[name]})
    assert holding(fits) == fits
    assert holding(other) is None


@pytest.mark.parametrize("name", FITS)
def test_all_conditions_hold_together(name):
    assert holding(rule_of(**FITS)) is not None
    assert holding(rule_of(**(FITS | {name: OTHERS[name]}))) is None


def test_a_rule_without_conditions_is_for_every_email_but_those_of_tests():
    everything = rule_of()
    assert holding(everything) == everything
    assert holding(everything, email_type="marketing", tags=()) == everything
    assert holding(everything, test=True) is None


@pytest.mark.parametrize(
    ("to", "fits"),
    [
        (("ada@gmail.com", "eve@GMAIL.com"), True),
        (("ada@gmail.com", "eve@corp.example"), False),
        (("ada@corp.example", "eve@gmail.com"), False),
    ],
)
def test_a_recipient_domain_is_where_all_recipients_are(to, fits):
    assert (holding(rule_of(recipient_domain="gmail.com"), to=to) is not None) is fits


@pytest.mark.parametrize("seed", range(3))
def test_own_rules_go_first_then_the_lowest_number_then_the_most_conditions_then_the_oldest(seed):
    ranked = [
        rule_of(owner=USER, priority=9),
        rule_of(priority=1, email_type="transactional", tag="invoice", user=USER),
        rule_of(priority=1, email_type="transactional", tag="eu"),
        rule_of(priority=1, tag="invoice"),
        rule_of(priority=1, recipient_domain="gmail.com"),
        rule_of(priority=1),
        rule_of(priority=2, **FITS),
    ]
    rules = [*ranked]
    chance(seed).shuffle(rules)
    while rules:
        best = holding(*rules)
        assert best == ranked.pop(0)
        rules.remove(best)


def test_another_users_rule_of_the_house_does_not_hold():
    assert holding(rule_of(user=USER), user_id=new_id()) is None


PAIRS = [
    ({"recipient_domain": "gmail.com"}, {"to": ("ada@corp.example",)}, {"to": ("ada@gmail.com",)}),
    ({"sender_domain": "a.example"}, {"sender": "x@b.example"}, {"sender": "x@a.example"}),
    ({"tag": "invoice"}, {"tags": ("eu",)}, {"tags": ("eu", "invoice")}),
]


@pytest.mark.parametrize(("condition", "other", "named"), PAIRS)
def test_emails_that_differ_only_in_what_a_rule_looks_at_are_not_taken_for_alike(condition, other, named):
    """Their memory is one snapshot's."""
    rule = rule_of(**condition)
    snapshot = a_snapshot(CHEAP, DEAR, rules=(rule,))
    for _ in range(2):
        assert chosen(a_submission(**other), snapshot).chosen.provider == "cheap"
        decision = chosen(a_submission(**named), snapshot)
        assert (decision.chosen.provider, decision.reason) == ("dear", "RULE")
        assert decision.as_json()["rule"] == str(rule.id)


@pytest.mark.parametrize("rules", [(), (a_rule(DEAR),), (rule_of(recipient_domain="gmail.com", tag="x"),)])
def test_what_no_rule_looks_at_does_not_part_emails_that_are_alike(rules):
    snapshot = a_snapshot(CHEAP, DEAR, rules=rules)
    one = settled_for(a_submission(to=("a@one.example",), tags=("one",), sender="a@a.example"), snapshot)
    assert (
        settled_for(a_submission(to=("b@two.example",), tags=("two",), sender="b@b.example"), snapshot) is one
    )


def in_order(decision):
    return [c.provider for c in decision.candidates]


def test_a_rule_keeps_its_order_and_one_with_a_policy_weighs_its_providers_by_it():
    third = a_provider("third", "0.00001", standing=standing(0.01, 0.9))
    fleet = (LOSSY, SOUND, third)
    rule = a_rule(SOUND, LOSSY)
    assert chosen(snapshot=learned(*fleet, rules=(rule,))).chosen.provider == "dear"
    cheapest = replace(rule, policy="cheapest")
    decision = chosen(snapshot=learned(*fleet, rules=(cheapest,)))
    assert in_order(decision) == ["cheap", "dear"]
    assert decision.reason == "LOWEST_EXPECTED_COST"
    assert decision.as_json()["rule"] == str(rule.id)


def test_an_emails_own_policy_goes_before_the_rules():
    gmail = ("ada@gmail.com",)  # where the cheap one loses half
    rule = a_rule(LOSSY, SOUND, policy="cheapest")
    snapshot = learned(LOSSY, SOUND, rules=(rule,))
    assert chosen(a_submission(to=("ada@firm.example",)), snapshot).chosen.provider == "cheap"
    own = RoutingWishes(policy="most_reliable")
    assert chosen(a_submission(to=gmail, wishes=own), snapshot).chosen.provider == "dear"
    worth = settled_for(a_submission(), snapshot).worth
    assert worth != settled_for(a_submission(wishes=own), snapshot).worth


def test_where_nothing_is_learned_yet_a_rule_with_a_policy_keeps_its_order():
    rule = a_rule(DEAR, CHEAP, policy="cheapest")
    assert in_order(chosen(snapshot=a_snapshot(CHEAP, DEAR, rules=(rule,)))) == ["dear", "cheap"]


def test_plans_are_made_for_the_emails_that_no_narrower_rule_takes_away():
    worths = learned().worths
    narrow = a_rule(DEAR, tag="invoice", priority=0)
    assert Roster((CHEAP, DEAR), worths, (narrow,)).demands[0].allowed == (True, True)
    assert Roster((CHEAP, DEAR), worths, (narrow, rule_of())).demands[0].allowed == (False, True)
