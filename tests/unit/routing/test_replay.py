"""Past emails decided once more: what is chosen, what runs out, and what is said of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.message import RoutingWishes
from routing.evidence import LEAST, Record, draw
from routing.index import Worth
from routing.mailbox_groups import GROUPS
from routing.pricing import UNLIMITED, flat, graduated
from routing.reckoning import reckon
from routing.replay import Happened, PastEmail, Replay
from routing.seats import Account
from routing.snapshot import Worths
from tests.builders import NOW, a_provider, a_rule, a_submission, chance

GOOGLE, OTHER = GROUPS.index("google"), GROUPS.index("other")
START = NOW.timestamp()
BALANCED: Worths = {(None, "transactional"): Worth(20.0, 0.05)}


def a_record(tries=5000, accepted=1.0, delivered=0.98, google=None, seconds=0.2):
    taken, log = int(accepted * tries), math.log(seconds)
    record = Record(tries, taken, 0, taken, taken * log, taken * (log * log + 0.25))
    for group, share in ((GOOGLE, delivered if google is None else google), (OTHER, delivered)):
        record.told[group], record.delivered[group] = tries // 2, int(share * (tries // 2))
    return record


def an_account(name, price, record=None, *, limits=None, prices=None, **provider):
    cost = f"{price / 1000:f}"
    return Account(
        a_provider(name, cost, **provider),
        prices or flat(price),
        record if record is not None else a_record(),
        **(limits or {}),
    )


def emails(count, every=1.0, to="ada@firm.example", happened=None, **more):
    return [
        PastEmail(
            START + n * every,
            a_submission(to=(to,), **more),
            happened or Happened("old", 0.001, 0.4, delivered=n % 20 > 0),
        )
        for n in range(count)
    ]


def replayed(past, *accounts, worths: Worths | None = None, rules=(), weight=1.0, seed=1):
    replay = Replay(past, accounts, rules, worths or BALANCED, chance(seed), weight)
    assert [*replay.steps()] == [*range(1, len(past) + 1)]
    return replay


def findings(replay):
    return reckon(replay, np.random.default_rng(3))


def firsts(replay):
    found: Counter[str] = Counter()
    for (_, path), tally in replay.ways.items():
        found[replay.accounts[path[0]].provider.name] += tally.emails
    return found


# -- what is chosen ----------------------------------------------------------------------------------------


def test_a_policy_that_values_delivery_less_takes_the_cheaper_provider():
    fleet = (an_account("cheap", 0.1, a_record(delivered=0.93)), an_account("sound", 0.9))
    assert firsts(replayed(emails(150), *fleet))["sound"] > 140
    cheapest: Worths = {(None, "transactional"): Worth(1.0)}
    assert firsts(replayed(emails(150), *fleet, worths=cheapest))["cheap"] > 140


def test_an_email_that_says_its_policy_itself_goes_by_that():
    fleet = (an_account("cheap", 0.1, a_record(delivered=0.93)), an_account("sound", 0.9))
    saving = emails(150, wishes=RoutingWishes(policy="cheapest"))
    assert firsts(replayed(saving, *fleet))["cheap"] > 140
    nearly = (an_account("cheap", 0.1, a_record(delivered=0.93)), an_account("sound", 4.0))
    assert firsts(replayed(emails(150), *nearly))["cheap"] > 140, "70 of 1,000 lost are worth 1.4"
    precious = emails(150, wishes=RoutingWishes(policy="most_reliable"))
    assert firsts(replayed(precious, *nearly))["sound"] > 140


def test_what_one_mailbox_host_refuses_goes_elsewhere_and_the_rest_does_not():
    fleet = (an_account("cheap", 0.1, a_record(google=0.3)), an_account("sound", 0.9))
    past = [*emails(200, to="ada@gmail.com"), *emails(200)]
    ways = replayed(sorted(past, key=lambda e: e.at), *fleet).ways
    to_google = Counter({path[0]: t.emails for (group, path), t in ways.items() if group == GOOGLE})
    assert to_google[1] > 190


def test_rules_pins_and_exclusions_hold_in_a_replay_too():
    cheap, dear = an_account("cheap", 0.1), an_account("dear", 0.9)
    assert firsts(replayed(emails(50), cheap, dear, rules=(a_rule(dear.provider),))) == {"dear": 50}
    pinned = emails(50, wishes=RoutingWishes(pinned=frozenset({"dear"})))
    assert firsts(replayed(pinned, cheap, dear)) == {"dear": 50}


def test_a_days_quota_is_spent_once_and_given_anew_when_the_day_ends():
    ends = (START + 500, START + 90_000)
    free = an_account("free", 0.0, limits={"daily": 100, "day_ends": ends})
    assert firsts(replayed(emails(1000), free, an_account("dear", 0.9)))["free"] == 200


def test_where_emails_stand_for_many_a_quota_is_spent_by_all_of_them():
    free = an_account("free", 0.0, limits={"daily": 100, "day_ends": (START + 90_000,)})
    assert firsts(replayed(emails(100), free, an_account("dear", 0.9), weight=10.0))["free"] == 10


def test_an_email_that_stands_for_more_than_is_left_of_a_quota_is_not_given_to_it():
    free = an_account("free", 0.0, limits={"daily": 105, "day_ends": (START + 90_000,)})
    assert firsts(replayed(emails(100), free, an_account("dear", 0.9), weight=10.0))["free"] == 10


def test_what_a_days_quota_does_not_hold_waits_for_the_next_days():
    ends = tuple(START + day * 86_400 for day in (1, 2, 3, 4))
    replay = replayed(emails(25), an_account("only", 0.5, limits={"daily": 10, "day_ends": ends}))
    assert (firsts(replay)["only"], replay.not_carried) == (25, [])
    assert findings(replay).waited == pytest.approx((10 * 86_400 + 5 * 172_800) / 25, rel=0.01)


def test_a_rolling_quota_comes_back_a_day_after_it_was_used():
    free = an_account("free", 0.0, limits={"rolling": 10})
    past = [*emails(20), *[replace(e, at=e.at + 86_500) for e in emails(20)]]
    assert firsts(replayed(past, free, an_account("dear", 0.9)))["free"] == 20


def test_a_free_tier_is_kept_for_those_that_it_serves_best():
    """The plan knows that more is to come than the quota holds: to google it saves little."""
    free = an_account(
        "free", 0.0, a_record(delivered=0.985, google=0.95),
        limits={"daily": 200, "day_ends": (START + 90_000,)},
    )  # fmt: skip
    past = [e for n in range(200) for e in (emails(1, to="a@gmail.com")[0], emails(1)[0])]
    past = [replace(e, at=START + n * 20) for n, e in enumerate(past)]
    ways = replayed(past, free, an_account("dear", 0.9, a_record(delivered=0.985))).ways
    by_group: Counter[int] = Counter()
    for (group, path), tally in ways.items():
        if path[0] == 0:
            by_group[group] += tally.emails
    assert by_group[OTHER] > 8 * by_group[GOOGLE]


def test_tiers_are_paid_as_they_are_reached():
    tiers = graduated((100, 1.0), (UNLIMITED, 5.0))
    only = an_account("only", 1.0, a_record(tries=2000), prices=tiers)
    found = findings(replayed(emails(150), only))
    assert found.cost.would.mean == pytest.approx((100 * 1.0 + 50 * 5.0) / 1000, rel=0.02)


def test_a_rate_makes_emails_wait_for_their_turn_and_loses_none():
    slow = an_account("slow", 0.1, rate_per_second=1.0)
    replay = replayed(emails(100, every=0.1), slow)
    assert sum(t.emails for t in replay.ways.values()) == 100
    assert findings(replay).waited == pytest.approx(45, rel=0.1)  # the last one waits 90 s


def test_what_cannot_wait_for_a_rate_goes_by_the_dearer_provider():
    slow, dear = an_account("slow", 0.1, rate_per_second=1.0), an_account("dear", 0.9)
    found = firsts(replayed(emails(100, every=0.1), slow, dear))
    assert found["dear"] > 80
    assert found["slow"] >= 9


def test_nobody_to_carry_it_is_said_and_not_counted_as_cheap():
    replay = replayed(emails(5), an_account("paused", 0.1, active=False))
    found = findings(replay)
    assert (found.not_carried, found.cost.would, found.cost.emails) == (5, None, 0)


def test_an_email_that_expires_while_it_waits_is_not_carried():
    slow = an_account("slow", 0.1, rate_per_second=1.0)
    past = emails(100, every=0.1, expires_at=NOW + timedelta(seconds=20))
    assert 60 < len(replayed(past, slow).not_carried) < 90


# -- what is said ------------------------------------------------------------------------------------------


def test_beside_what_happened_stands_what_would_have_with_its_doubt():
    found = findings(replayed(emails(400), an_account("one", 0.5, a_record(delivered=0.98))))
    assert found.cost.happened == pytest.approx(0.4)
    assert found.cost.would.mean == pytest.approx(0.2, rel=0.01)
    assert found.cost.difference.mean == pytest.approx(-0.2, rel=0.02)
    assert found.delivered.happened == pytest.approx(0.95)
    assert found.delivered.would.low < 0.98 < found.delivered.would.high
    assert found.seconds.would.mean == pytest.approx(0.2 * math.exp(0.125), rel=0.05)
    assert found.seconds_p95.would.mean > found.seconds.would.mean


def test_below_a_hundred_observations_nothing_is_known():
    few = a_record(tries=2 * LEAST - 2)
    found = findings(replayed(emails(50), an_account("new", 0.1, few)))
    assert found.delivered.would is None
    assert found.delivered.unknown == f"new at other: 99 of the {LEAST} observations that it takes"
    assert found.cells[0].delivered is None
    assert found.cost.would is not None, "prices are known"
    enough = findings(replayed(emails(50), an_account("new", 0.1, a_record(tries=2 * LEAST))))
    assert enough.delivered.would is not None


def test_what_is_known_of_some_is_compared_with_what_happened_to_the_same():
    past = [*emails(100, to="a@gmail.com", happened=Happened("old", 0.1, 0.1, delivered=False)), *emails(100)]
    blind = a_record()
    blind.told[GOOGLE] = blind.delivered[GOOGLE] = 0
    found = findings(replayed(sorted(past, key=lambda e: e.at), an_account("one", 0.1, blind)))
    assert (found.delivered.emails, found.delivered.happened) == (100, 0.95)
    assert found.delivered.would is not None
    assert "google" in found.delivered.unknown


def test_a_bill_that_is_known_in_part_is_not_compared():
    past = [*emails(5), *emails(5, happened=Happened("old"))]
    found = findings(replayed(sorted(past, key=lambda e: e.at), an_account("one", 0.1)))
    assert (found.cost.happened, found.cost.difference) == (None, None)
    assert found.cost.would is not None


def test_failures_are_followed_to_the_next_provider():
    shaky, sound = an_account("shaky", 0.1, a_record(accepted=0.9)), an_account("sound", 0.2)
    found = findings(replayed(emails(500), shaky, sound))
    would = {s.provider: s.would_emails for s in found.providers}
    assert would["shaky"] + would["sound"] == pytest.approx(500, rel=0.01)
    assert 30 < would["sound"] < 70


# -- what always holds ---------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 2.0), st.floats(0.5, 1.0), st.sampled_from((None, 0.5, 5.0))), max_size=4
    ),
    st.integers(0, 60),
    st.sampled_from(("daily", "monthly", "rolling")),
    st.sampled_from((None, 0, 10, 25)),
    st.sampled_from((1.0, 1.1, 7.0)),
    st.integers(0, 99),
)
@example([(0.0, 1.0, None)], 11, "daily", 10, 1.0, 0)
@example([(0.0, 1.0, None)], 11, "daily", 25, 7.0, 0)
def test_every_email_is_accounted_for_once_and_no_quota_is_overrun(fleet, count, what, quota, weight, seed):
    ends = (START + 90_000,)
    limits = {} if quota is None else {what: quota, "day_ends": ends, "month_ends": ends}
    accounts = [
        an_account(f"p{k}", price, a_record(300, delivered=share), rate_per_second=rate, limits=limits)
        for k, (price, share, rate) in enumerate(fleet)
    ]
    # They end before the quota begins anew: what waits for that is the next day's.
    past = emails(count, every=0.5, expires_at=NOW + timedelta(seconds=80_000))
    replay = replayed(past, *accounts, seed=seed, weight=weight)
    carried = sum(t.emails for t in replay.ways.values())
    assert carried + len(replay.not_carried) == count
    if quota is not None:
        assert all(n * weight <= quota + 1e-6 for n in firsts(replay).values())
    found = findings(replay)
    assert found.cost.emails == carried
    if found.cost.would is not None:
        # The mean may lie beyond nine tenths of a posterior that is very skew.
        assert 0 <= found.cost.would.low <= found.cost.would.high
        assert 0 <= found.cost.would.mean < math.inf


@settings(max_examples=25)
@given(st.integers(0, 2000), st.floats(0, 1))
def test_the_more_was_observed_the_surer_it_is(n, share):
    def width(times):
        record = Record()
        record.told[0], record.delivered[0] = n * times, int(n * times * share)
        low, high = np.quantile(draw(record, np.random.default_rng(1), 2000).delivered[0], [0.05, 0.95])
        return high - low

    assert width(16) <= width(1) + 1e-3


def test_the_same_chance_gives_the_same_findings():
    fleet = (an_account("a", 0.1, a_record(delivered=0.97)), an_account("b", 0.3))
    one, two = (findings(replayed(emails(150), *fleet)) for _ in range(2))
    assert one == two
