"""The decision: who carries an email, in which order, and why nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.capabilities import Capabilities
from domain.message import Attachment, Message, OnUnknown, OwnLinks, RoutingWishes, Tracking
from routing.acceptance import Ends
from routing.breaker import Breaker
from routing.eligibility import Because, unsupported
from routing.index import Worth, coefficients
from routing.mailbox_groups import GROUPS
from routing.outlook import Standing
from routing.router import decide
from routing.snapshot import QuotaLeft
from tests.builders import (
    NOW,
    USER,
    a_provider,
    a_rule,
    a_snapshot,
    a_submission,
    an_attempt,
    chance,
    new_id,
)

CHEAP, DEAR = a_provider("cheap", "0.0001"), a_provider("dear", "0.0020")
SOON = NOW + timedelta(seconds=7)


def chosen(submission=None, snapshot=None, history=(), now=NOW):
    return decide(submission or a_submission(), snapshot or a_snapshot(DEAR, CHEAP), history, now, chance())


def test_without_a_rule_the_cheapest_goes_first_and_the_next_is_named():
    decision = chosen()
    assert [c.provider for c in decision.candidates] == ["cheap", "dear"]
    assert decision.reason == "LOWEST_COST"
    assert "Next would be dear" in decision.explanation()


def test_the_cost_counts_every_recipient():
    decision = chosen(a_submission(to=("a@x.example", "b@x.example", "c@x.example")))
    assert decision.chosen.cost == Decimal("0.0003")


def test_at_equal_cost_the_more_reliable_goes_first():
    shaky, steady = a_provider("shaky", reliability=0.9), a_provider("steady", reliability=0.99)
    assert chosen(snapshot=a_snapshot(shaky, steady)).chosen.provider == "steady"


def test_a_rule_sets_the_order_and_leaves_the_others_out():
    third = a_provider("third")
    decision = chosen(snapshot=a_snapshot(CHEAP, DEAR, third, rules=(a_rule(DEAR, CHEAP),)))
    assert [c.provider for c in decision.candidates] == ["dear", "cheap"]
    assert decision.reason == "RULE"
    assert [(e.provider, e.because) for e in decision.exclusions] == [("third", Because.RULE)]


@pytest.mark.parametrize("seed", range(3))
def test_a_users_own_rule_goes_before_a_shared_one_then_the_lowest_priority_number(seed):
    shared = a_rule(CHEAP, priority=0)
    late = a_rule(DEAR, priority=9, owner=USER)
    early = a_rule(CHEAP, DEAR, priority=2, owner=USER)
    rules = [shared, late, early]
    chance(seed).shuffle(rules)
    assert chosen(snapshot=a_snapshot(CHEAP, DEAR, rules=tuple(rules))).rule == early


def test_rules_for_other_types_and_other_users_do_not_apply():
    rules = (a_rule(DEAR, email_type="marketing"), a_rule(DEAR, owner=new_id()))
    assert chosen(snapshot=a_snapshot(CHEAP, DEAR, rules=rules)).rule is None


def test_another_users_provider_is_not_even_mentioned():
    private = a_provider("secret", "0", owner=new_id())
    decision = chosen(snapshot=a_snapshot(CHEAP, private))
    assert "secret" not in str(decision.as_json())


def test_after_a_failure_the_next_one_goes_and_says_so():
    decision = chosen(history=[an_attempt(CHEAP)])
    assert (decision.chosen.provider, decision.reason) == ("dear", "FAILOVER_1")


EXCLUDED = [
    (Because.PAUSED, {"active": False}, {}, None),
    (Because.FAULTY, {"fault": "bad key"}, {}, None),
    (Because.TYPE, {"types": {(None, "transactional"): False}}, {}, None),
    (Because.TYPE, {"types": {(None, "transactional"): True, (USER, "transactional"): False}}, {}, None),
    (Because.RESIDENCY, {}, {"wishes": RoutingWishes(residency="eu")}, None),
    (Because.RESIDENCY, {"region": "us"}, {"wishes": RoutingWishes(residency="eu")}, None),
    (Because.NOT_PINNED, {}, {"wishes": RoutingWishes(pinned=frozenset({"dear"}))}, None),
    (Because.EXCLUDED, {}, {"wishes": RoutingWishes(excluded=frozenset({"cheap"}))}, None),
    (Because.MAX_COST, {}, {"wishes": RoutingWishes(max_cost=Decimal("0.00001"))}, None),
    (
        Because.UNSUPPORTED,
        {"capabilities": Capabilities(tracking_opens_off=False)},
        {"tracking": Tracking(opens=False), "message": Message(subject="Hi", html="<p>Hi</p>")},
        None,
    ),
    (Because.SENDER_NOT_VERIFIED, {"refused_senders": {"shop.example": SOON}}, {}, SOON),
    (Because.QUOTA_DAY, {"quota": QuotaLeft(today=0, day_ends=SOON)}, {}, SOON),
    (Because.QUOTA_MONTH, {"quota": QuotaLeft(this_month=0, month_ends=SOON)}, {}, SOON),
    (Because.BREAKER_OPEN, {"breaker": Breaker(5, 15.0, SOON)}, {}, SOON),
    (Because.RATE_LIMITED, {"breaker": Breaker(throttled_until=SOON)}, {}, SOON),
    (Because.RATE_LIMITED, {"rate_free_at": SOON}, {}, SOON),
]


@pytest.mark.parametrize(("because", "provider", "submission", "retry_at"), EXCLUDED)
def test_each_exclusion_has_its_reason_and_its_end(because, provider, submission, retry_at):
    decision = chosen(a_submission(**submission), a_snapshot(replace(CHEAP, **provider)))
    assert decision.chosen is None
    assert [(e.because, e.retry_at) for e in decision.exclusions] == [(because, retry_at)]
    assert decision.reason == because.value
    assert decision.retry_at == retry_at


@pytest.mark.parametrize("can", [Capabilities(tracking_opens_off=False), Capabilities(tracking_opens=False)])
def test_a_text_that_is_not_to_be_tracked_goes_by_whom_it_may(can: Capabilities) -> None:
    """No image stands in a text, by which opens would be noticed."""
    snapshot = a_snapshot(replace(CHEAP, capabilities=can))
    html = Message(subject="Hi", text="Hi", html="<p>Hi</p>")
    assert chosen(a_submission(message=html, tracking=Tracking(opens=False)), snapshot).chosen is None
    assert chosen(a_submission(tracking=Tracking(opens=False)), snapshot).chosen is not None


def test_an_email_that_may_not_leave_a_region_ends_there_and_not_elsewhere():
    here, there = replace(DEAR, region="eu"), replace(CHEAP, region="us")
    bound = a_submission(wishes=RoutingWishes(residency="eu"))
    assert chosen(bound, a_snapshot(there, here)).chosen.provider == "dear"
    failed = chosen(bound, a_snapshot(there, here), history=[an_attempt(here)])
    assert (failed.chosen, failed.hopeless) == (None, False)
    assert chosen(bound, a_snapshot(there)).hopeless


def test_a_test_email_that_wishes_a_region_goes_by_the_provider_of_tests():
    alone = a_provider("alone", owner=USER, test=True, types={(None, "transactional"): False})
    bound = a_submission(test=True, wishes=RoutingWishes(residency="eu", policy="cheapest"))
    assert chosen(bound, a_snapshot(alone)).chosen is not None


def test_a_users_own_type_that_names_no_providers_goes_by_any():
    """Though everybody's type of the same name does."""
    types = {(None, "transactional"): False, (USER, "transactional"): True}
    assert chosen(snapshot=a_snapshot(replace(CHEAP, types=types))).chosen is not None
    others = replace(CHEAP, types={(None, "marketing"): False, (new_id(), "transactional"): False})
    assert chosen(snapshot=a_snapshot(others)).chosen is not None


def test_a_quota_counts_recipients_not_emails():
    small = replace(CHEAP, quota=QuotaLeft(today=2, day_ends=SOON))
    assert chosen(a_submission(to=("a@x.example", "b@x.example")), a_snapshot(small)).chosen is not None
    assert (
        chosen(a_submission(to=("a@x.example", "b@x.example", "c@x.example")), a_snapshot(small)).chosen
        is None
    )


def test_an_open_breaker_admits_one_probe_when_its_time_has_come():
    open_breaker = replace(CHEAP, breaker=Breaker(5, 1.0, NOW))
    assert chosen(snapshot=a_snapshot(open_breaker)).reason == "PROBE"
    taken = replace(open_breaker, probe_taken=True)
    assert chosen(snapshot=a_snapshot(taken)).reason == "BREAKER_OPEN"


def test_it_is_hopeless_only_where_the_email_itself_rules_out_everybody():
    pinned = a_submission(wishes=RoutingWishes(pinned=frozenset({"nobody"})))
    assert chosen(pinned).hopeless
    assert not chosen(pinned, a_snapshot(replace(CHEAP, active=False), DEAR)).hopeless
    assert not chosen(snapshot=a_snapshot()).hopeless
    assert chosen(snapshot=a_snapshot()).reason == "NO_PROVIDER"


@pytest.mark.parametrize(
    ("can", "email", "words"),
    [
        ({"max_recipients": 1}, {"to": ("a@x.example", "b@x.example")}, "recipients"),
        ({"max_bytes": 5000}, {"text": "x" * 6000}, "bytes"),
        (
            {"custom_headers": False},
            {"message": Message("s", "t", headers=(("X-A", "1"),))},
            "custom headers",
        ),
        (
            {"reserved_headers": frozenset({"x-a"})},
            {"message": Message("s", "t", headers=(("X-A", "1"),))},
            "headers X-A",
        ),
        (
            {"only_headers": frozenset({"x-b"})},
            {"message": Message("s", "t", headers=(("X-A", "1"), ("X-B", "1")))},
            "headers X-A",
        ),
        (
            {"attachments": False},
            {"message": Message("s", "t", attachments=(Attachment("a", "text/plain", b"1"),))},
            "attachments",
        ),
        ({"tracking_opens": False}, {"tracking": Tracking(opens=True)}, "open tracking"),
        ({"tracking_clicks": False}, {"tracking": Tracking(clicks=False)}, "click tracking"),
        (  # that we see opens ourselves keeps no provider from following clicks
            {"tracking_opens": False, "tracking_clicks": False},
            {"tracking": Tracking(True, False, OwnLinks("https://x", "00", opens=True, clicks=False))},
            "click tracking",
        ),
        ({"repeated_addresses": False}, {"to": ("a@x.example", "A@x.example")}, "named twice"),
    ],
)
def test_what_a_provider_cannot_express_is_named(can, email, words):
    lacking = unsupported(Capabilities(**can), a_submission(**email))
    assert len(lacking) == 1
    assert words in lacking[0]
    assert unsupported(Capabilities(), a_submission(**email)) == []


@given(costs=st.lists(st.decimals("0", "1", places=6), min_size=2, max_size=6), cut=st.integers(0, 5))
def test_a_lower_price_all_else_equal_never_ranks_later(costs, cut):
    providers = [a_provider(f"p{i}", str(c)) for i, c in enumerate(costs)]
    cut %= len(providers)
    cheaper = list(providers)
    cheaper[cut] = replace(providers[cut], base_cost=providers[cut].base_cost / 2 - Decimal("0.0000001"))

    def rank(among):
        names = [c.provider for c in decide(a_submission(), a_snapshot(*among), (), NOW, chance()).candidates]
        return names.index(f"p{cut}")

    assert rank(cheaper) <= rank(providers)


@given(
    st.lists(
        st.builds(
            a_provider,
            name=st.sampled_from("abcdef"),
            active=st.booleans(),
            quota=st.builds(QuotaLeft, today=st.none() | st.integers(0, 3)),
            breaker=st.builds(Breaker, retry_at=st.none() | st.sampled_from([NOW, SOON])),
        ),
        max_size=6,
    )
)
def test_every_visible_provider_is_either_a_candidate_or_excluded_with_a_reason(providers):
    decision = decide(a_submission(), a_snapshot(*providers), (), NOW, chance())
    named = [c.provider_id for c in decision.candidates] + [e.provider_id for e in decision.exclusions]
    assert sorted(named) == sorted(p.id for p in providers)
    eligible = {c.provider_id for c in decision.candidates}
    for provider in providers:
        if not provider.active or provider.quota.today == 0 or provider.breaker.retry_at == SOON:
            assert provider.id not in eligible


def standing(price: float, delivered: float, *, gmail: float | None = None) -> Standing:
    chances = [delivered] * len(GROUPS)
    if gmail is not None:
        chances[GROUPS.index("google")] = gmail
    found = coefficients(Ends(0.99, 0.0, 0.2, 0.3, 100), price, 0.0, chances, OnUnknown.HOLD)
    return Standing(found, 0.99, tuple(chances), (100.0,) * len(GROUPS), found.loss)


def learned(*providers, value=20.0, rules=()):
    return replace(a_snapshot(*providers, rules=rules), worths={(None, "transactional"): Worth(value, 0.05)})


LOSSY = replace(CHEAP, standing=standing(0.1, 0.98, gmail=0.5))
SOUND = replace(DEAR, standing=standing(2.0, 0.985))


def test_what_was_learned_ranks_by_expected_cost_and_shows_its_parts():
    decision = chosen(snapshot=learned(SOUND, LOSSY))
    assert (decision.chosen.provider, decision.reason) == ("cheap", "LOWEST_EXPECTED_COST")
    assert "the lowest expected cost" in decision.explanation()
    score = decision.as_json()["candidates"][0]
    assert score["index"] == pytest.approx(0.1 + 20 * 0.02 + score["time"], abs=0.05)


def test_a_block_by_one_mailbox_host_moves_its_emails_only():
    fleet = learned(SOUND, LOSSY)
    assert chosen(a_submission(to=("ada@gmail.com",)), fleet).chosen.provider == "dear"
    assert chosen(a_submission(to=("ada@firm.example",)), fleet).chosen.provider == "cheap"


@pytest.mark.parametrize("recipients", [("ada@firm.example",), ("ada@firm.example", "eve@gmail.com")])
def test_what_somebody_waits_for_is_no_probe_however_little_it_is_worth(recipients):
    well = standing(0.1, 0.985)
    down = replace(well, share=0.0, probe_due=True, healthy=well.coefficients, least=20.0)
    fleet = learned(SOUND, replace(CHEAP, standing=down))
    assert chosen(a_submission(to=recipients), fleet).reason == "PROBE"
    urgent = replace(fleet, worths={(None, "transactional"): Worth(20.0, 0.05, urgent=True)}, settled={})
    decision = chosen(a_submission(to=recipients), urgent)
    assert (decision.chosen.provider, decision.chosen.probe) == ("dear", False)


def test_a_rule_goes_before_what_was_learned():
    fleet = learned(SOUND, LOSSY, rules=(a_rule(DEAR, CHEAP),))
    assert chosen(snapshot=fleet).reason == "RULE"
    assert chosen(snapshot=fleet).chosen.provider == "dear"


@pytest.mark.parametrize("fleet", [learned(SOUND, CHEAP), replace(learned(SOUND, LOSSY), worths={})])
def test_without_a_worth_or_a_standing_of_all_the_list_price_decides(fleet):
    assert chosen(snapshot=fleet).reason == "LOWEST_COST"
