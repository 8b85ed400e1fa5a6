"""What the plan reckons with: months by the day, moneys by their rates."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from db.repositories.learning import TypeRow
from domain.capabilities import Capabilities
from routing.allocation import Unsolved
from routing.news import Began, Ended, Heard
from routing.outlook import Outlook, choose
from routing.pricing import PriceList, flat, graduated
from routing.signs import End
from routing.snapshot import ProviderSnapshot, QuotaLeft, Snapshot
from routing.supplies import DAY, month_share
from routing.worths import URGENT_WAIT, WAIT
from tests.builders import chance
from workers import mind as minds
from workers.mind import Mind, mind_of

NOW = datetime(2026, 4, 11, tzinfo=UTC)  # twenty days before the month ends
TYPES = [TypeRow(None, "receipt", False, "balanced", False)]
PROMISED = TypeRow(None, "receipt", False, "cheapest", False, 0.985)
IN_TIME = TypeRow(None, "receipt", False, "cheapest", False, within=2.0)


def provider(number: int, cost: str = "0.001", **more: Any) -> ProviderSnapshot:
    return ProviderSnapshot(UUID(int=number), f"p{number}", Capabilities(), Decimal(cost), **more)


def a_mind(
    providers: Sequence[ProviderSnapshot],
    lists: dict[UUID, PriceList] | None = None,
    volumes: dict[UUID, float] | None = None,
) -> Mind:
    return mind_of(Snapshot(tuple(providers)), TYPES, lists or {}, volumes or {})


def supply(mind: Mind, place: int = 0) -> Any:
    return mind.supply_of(mind.roster.providers[place], NOW.timestamp())


@pytest.mark.parametrize(
    ("day", "share"), [(1, 1 / 30), (11, 1 / 20), (30, 1.0)], ids=["the first", "the eleventh", "the last"]
)
def test_a_day_has_its_share_of_what_is_left_of_the_month(day: int, share: float) -> None:
    ends = datetime(2026, 5, 1, tzinfo=UTC)
    one = provider(1, quota=QuotaLeft(this_month=1, month_ends=ends))
    at = datetime(2026, 4, day, tzinfo=UTC).timestamp()
    assert month_share(one, at) == pytest.approx(share)
    assert month_share(provider(1), at) == pytest.approx(share), "of UTC's month where it has none of its own"
    assert month_share(one, (ends + timedelta(hours=1)).timestamp()) == 1.0


def test_a_months_quota_and_tiers_are_planned_by_the_day_and_a_days_quota_whole() -> None:
    quota = QuotaLeft(today=500, this_month=2000, month_ends=datetime(2026, 5, 1, tzinfo=UTC))
    one = provider(1, quota=quota)
    found = supply(a_mind([one], {one.id: graduated((10_000, 0.0), (float("inf"), 1.0))}, {one.id: 4000.0}))
    assert found.tariff.quota == pytest.approx(100)
    assert found.tariff.segments[0].size == pytest.approx(300)  # a twentieth of the 6,000 that are left
    wide = replace(one, quota=replace(quota, this_month=60_000))
    assert supply(a_mind([wide])).tariff.window == (1, 500)


def test_prices_in_two_moneys_are_compared_by_their_rates() -> None:
    dollars, pounds = provider(1, "0.0011"), provider(2, "0.001", currency="GBP", exchange=Decimal("1.25"))
    mind = a_mind([dollars, pounds], {pounds.id: flat(1.0)})
    assert [supply(mind, k).price for k in (0, 1)] == pytest.approx([1.1, 1.25])
    assert mind.view(NOW.timestamp()).prices == {pounds.id: pytest.approx(1.25)}


def test_without_a_solution_the_last_prices_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    mind = a_mind([provider(1), provider(2, "0.002")])
    kind = mind.roster.kind(UUID(int=9), "receipt", 0)
    assert kind is not None
    for attempt in range(100):
        mind.learner.started(attempt, 0, kind, NOW.timestamp())

    def unsolved(*_: Any) -> Any:
        raise Unsolved("HiGHS status 1")

    before = mind.view(NOW.timestamp())
    monkeypatch.setattr(minds, "plan", unsolved)
    with pytest.raises(Unsolved):
        mind.plan(NOW.timestamp() + DAY / 1000, ())
    assert mind.view(NOW.timestamp()).standings == before.standings


def carry(mind: Mind, count: int, seed: int = 1) -> tuple[float, float]:
    """Emails of the type, one after the other: the cheap provider delivers 96%, the dear one 99.5%. Returns the share
    that was delivered, and the share that went by the dear one.
    """
    rng, reached, dear = chance(seed), 0, 0
    user, now = UUID(int=9), NOW.timestamp()
    for attempt in range(count):
        now += 0.1
        view = mind.view(now)
        outlook = Outlook(view.version, [view.standings[p.id] for p in mind.roster.providers])
        choice = choose(outlook, view.worths[None, "receipt"], 0, (0, 1), lambda _: 1.0, rng)
        assert choice is not None
        k = choice.provider
        provider = mind.roster.providers[k].id
        mind.fold(Began(provider, now, (attempt,), ((user, "receipt", 0),)))
        mind.fold(Ended(provider, now + 0.05, ((attempt, End.ACCEPTED, 0.05),)))
        delivered = rng.random() < (0.995 if k else 0.96)
        mind.fold(Heard(provider, now + 0.06, attempt, 0, delivered, now + 0.05))
        reached, dear = reached + delivered, dear + k
    return reached / count, dear / count


def test_a_promise_is_kept_at_less_than_the_dearest() -> None:
    fleet = Snapshot((provider(1, "0.0001"), provider(2, "0.0008")))
    assert carry(mind_of(fleet, [replace(PROMISED, target=None)], {}, {}), 2000)[1] < 0.1
    delivered, dear = carry(mind_of(fleet, [PROMISED], {}, {}), 12_000)
    assert delivered > 0.985 - 0.002
    assert 0.4 < dear < 0.95


def hurry(mind: Mind, count: int, seed: int = 1) -> tuple[float, float]:
    """Emails of the type: the cheap provider takes a sixth of them too late, the dear one none. Returns the share that
    was taken within two seconds, and the share that went by the dear one.
    """
    rng, in_time, dear, owner = chance(seed), 0, 0, UUID(int=9)
    now = NOW.timestamp()
    for attempt in range(count):
        now += 5.0
        view = mind.view(now)
        outlook = Outlook(view.version, [view.standings[p.id] for p in mind.roster.providers])
        choice = choose(outlook, view.worths[None, "receipt"], 0, (0, 1), lambda _: 1.0, rng)
        assert choice is not None
        k = choice.provider
        seconds = 0.2 if k else rng.lognormvariate(0.18, 0.5)
        one = mind.roster.providers[k].id
        mind.fold(Began(one, now, (attempt,), ((owner, "receipt", 0),)))
        mind.fold(Ended(one, now + seconds, ((attempt, End.ACCEPTED, seconds),)))
        in_time, dear = in_time + (seconds <= 2.0), dear + k
    return in_time / count, dear / count


def test_a_promise_of_time_is_kept_at_less_than_the_dearest() -> None:
    fleet = Snapshot((provider(1, "0.0001"), provider(2, "0.0008")))
    in_time, dear = hurry(mind_of(fleet, [replace(IN_TIME, within=None)], {}, {}), 1500)
    assert in_time < 0.88
    assert dear < 0.1
    mind = mind_of(fleet, [IN_TIME], {}, {})
    hurry(mind, 1500)  # what a second is worth has to be found
    in_time, dear = hurry(mind, 4000, seed=2)
    assert in_time > 0.95 - 0.005
    assert 0.4 < dear < 0.95


def test_who_fails_keeps_no_promise_of_time_and_a_limited_rate_breaks_none() -> None:
    mind = mind_of(Snapshot((provider(1),)), [IN_TIME], {}, {})
    place, now = (None, "receipt"), NOW.timestamp()

    def worth_after(attempt: int, end: End, seconds: float) -> float:
        mind.fold(Began(UUID(int=1), now, (attempt,), ((UUID(int=9), "receipt", 0),)))
        mind.fold(Ended(UUID(int=1), now, ((attempt, end, seconds),)))
        return mind.view(now).worths[place].wait

    before = mind.view(now).worths[place].wait
    assert worth_after(1, End.THROTTLED, 9.0) == before
    late = worth_after(2, End.FAILED, 0.1)
    assert late > before
    later = worth_after(3, End.ACCEPTED, 2.1)
    assert later > late
    assert worth_after(4, End.ACCEPTED, 1.9) < later


def test_a_dear_second_makes_nothing_urgent() -> None:
    """Its emails may still be probes: else nobody would find out that a provider is well again."""
    mind = mind_of(Snapshot((provider(1),)), [IN_TIME], {}, {})
    for _ in range(400):
        mind.promises.ended((None, "receipt"), math.inf)
    worth = mind.view(NOW.timestamp()).worths[None, "receipt"]
    assert worth.wait > URGENT_WAIT
    assert not worth.urgent


def test_what_is_owed_outlives_a_restart_and_a_changed_type() -> None:
    fleet = Snapshot((provider(1, "0.0001"), provider(2, "0.0008")))
    mind = mind_of(fleet, [PROMISED], {}, {})
    carry(mind, 500)
    owed = mind.view(NOW.timestamp()).worths[None, "receipt"].value
    again = mind_of(fleet, [PROMISED], {}, {})
    again.promises.recall(json.loads(json.dumps(mind.promises.kept())))
    assert again.view(NOW.timestamp()).worths[None, "receipt"].value == pytest.approx(owed)
    other = mind_of(fleet, [replace(PROMISED, target=0.97)], {}, {})
    other.adopt(mind)
    assert other.view(NOW.timestamp()).worths[None, "receipt"].value == pytest.approx(owed)
    in_time = mind_of(fleet, [IN_TIME], {}, {})
    hurry(in_time, 300)
    owed_time = in_time.view(NOW.timestamp()).worths[None, "receipt"].wait
    assert owed_time > WAIT
    again = mind_of(fleet, [IN_TIME], {}, {})
    again.promises.recall(json.loads(json.dumps(in_time.promises.kept())))
    assert again.view(NOW.timestamp()).worths[None, "receipt"].wait == pytest.approx(owed_time)
    none = mind_of(fleet, [replace(PROMISED, target=None)], {}, {})
    none.adopt(mind)
    assert none.view(NOW.timestamp()).worths[None, "receipt"].value < owed


def test_a_change_of_what_is_configured_forgets_no_traffic_and_so_no_plan() -> None:
    """A free tier that does not suffice was priced at once after its price list was set, not two minutes later."""
    fleet = [provider(1), provider(2, "0.002")]
    before, at = a_mind(fleet), NOW.timestamp()
    for second in range(60):
        kind = (UUID(int=9), "receipt", 0)
        numbers = tuple(range(second * 10, second * 10 + 10))
        before.fold(Began(UUID(int=1), at + second, numbers, (kind,) * 10))
        before.view(at + second)
    tiers = {UUID(int=1): graduated((300_000, 0.0), (float("inf"), 3.0))}
    other = TypeRow(None, "another", False, "balanced", False)
    after = mind_of(Snapshot(tuple(fleet)), [other, *TYPES], tiers, {})
    after.adopt(before)
    now = at + 60
    assert sum(after.learner.traffic(now)) == pytest.approx(sum(before.learner.traffic(now)))
    after.plan(now, ())
    free = after.learner.outlook(now).standings[0].coefficients
    assert free.shadow == pytest.approx(2.0, rel=0.05)
