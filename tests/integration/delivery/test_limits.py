"""Quotas, rates and breakers on real parts: never over, never lost, refunded where nothing was sent."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from db.live import RedisLiveState, cells
from db.repositories.providers import QuotaLimits
from db.repositories.quotas import Quotas
from domain.delivery import Opening
from domain.message import Lane
from providers.memory import Answer
from routing.breaker import TRIP_AFTER, Admission, Sign
from routing.live import Signal
from routing.policy import Patience
from tests.builders import NOW, a_submission, new_id
from tests.integration.delivery.conftest import NO_REDIS, House


def used(house):
    return house.one("SELECT used_today, used_this_month FROM provider_quota")


def test_a_spent_quota_moves_the_rest_to_the_next_provider_with_the_reason(house):
    cheap = house.provider("cheap", "0.0001", quota={"daily_quota": 3})
    dear = house.provider("dear", "0.0020")
    house.accept(*(a_submission() for _ in range(5)))
    house.drain()
    assert (len(cheap.sent), len(dear.sent)) == (3, 2)
    assert tuple(used(house)) == (3, 3)
    reasons = house.all("SELECT decision->'excluded'->0->>1 AS b FROM delivery_attempts")
    assert [r.b for r in reasons].count("QUOTA_DAY") == 2


def test_a_quota_counts_recipients_and_is_refunded_where_nothing_was_sent(house):
    house.provider("cheap", "0.0001", quota={"daily_quota": 10}, answer=Answer.UNAVAILABLE)
    house.provider("dear", "0.0020")
    house.accept(a_submission(to=("a@x.example", "b@x.example", "c@x.example")))
    house.drain()
    assert tuple(used(house)) == (0, 0)


def test_an_unknown_outcome_keeps_its_quota(house):
    house.provider("cheap", quota={"monthly_quota": 10}, answer=Answer.UNKNOWN)
    house.accept()
    house.drain()
    assert tuple(used(house)) == (1, 1)


def test_without_room_anywhere_emails_wait_for_the_next_day(house):
    provider = house.provider(
        "only", quota={"daily_quota": 1, "reset_at": datetime.now(UTC) + timedelta(hours=1)}
    )
    first, second = house.accept(a_submission(), a_submission())
    house.drain()
    assert sorted([house.job(first).status, house.job(second).status]) == ["deferred", "sent"]
    house.pass_time(3605)
    house.drain()
    assert len(provider.sent) == 2


def test_a_new_window_opens_once_however_often_it_is_asked_for(house):
    house.provider("only", quota={"daily_quota": 9, "used_today": 5, "used_this_month": 5, "reset_at": NOW})
    with house.units() as unit:
        assert unit.quotas.roll() == 1
        assert unit.quotas.roll() == 0
        unit.commit()
    assert used(house).used_today == 0


@pytest.mark.parametrize(
    ("reset_at", "zone", "now", "month_kept"),
    [
        ("2026-03-02T00:00Z", "UTC", "2026-03-02T00:00Z", True),
        ("2026-04-01T00:00Z", "UTC", "2026-04-01T00:00Z", False),
        ("2026-04-01T04:00Z", "America/New_York", "2026-04-01T04:00Z", False),
        ("2026-03-31T04:00Z", "America/New_York", "2026-04-01T03:59Z", True),
        ("2026-03-02T00:00Z", "UTC", "2027-03-05T00:00Z", False),
    ],
)
def test_the_month_ends_with_its_last_day_in_the_providers_zone(house, reset_at, zone, now, month_kept):
    house.provider(
        "only",
        quota={
            "daily_quota": 9, "used_today": 5, "used_this_month": 7, "time_zone": zone,
            "reset_at": datetime.fromisoformat(reset_at),
        },
    )  # fmt: skip
    house.set_time(datetime.fromisoformat(now))
    with house.units() as unit:
        unit.quotas.roll()
        unit.commit()
    assert tuple(used(house)) == (0, 7 if month_kept else 0)
    assert house.one("SELECT reset_at > mm_now() AS ahead FROM provider_quota").ahead


def test_many_workers_racing_for_a_quota_are_granted_exactly_it(house):
    provider = house.provider("only", quota={"daily_quota": 50})
    house.accept(*(a_submission() for _ in range(90)))
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: house.drain(batch=10, window=5), range(4)))
    assert len(provider.sent) == 50
    assert used(house).used_today == 50
    assert len({s.submission.id for s in provider.sent}) == 50


def test_many_workers_on_one_lane_send_each_email_once(house):
    provider = house.provider("one")
    house.accept(*(a_submission() for _ in range(120)))
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: house.drain(batch=7, window=3), range(4)))
    assert len(provider.sent) == len({s.submission.id for s in provider.sent}) == 120


def test_a_rate_is_kept_and_the_rest_goes_when_it_is_free_again(house):
    provider = house.provider("only", quota={"rate_per_second": 10})
    jobs = house.accept(*(a_submission() for _ in range(6)))
    wait = house.drain()
    assert len(provider.sent) == 2
    assert 0 < wait < 0.5
    assert {house.job(j).status for j in jobs} == {"sent", "queued"}
    assert house.all("SELECT 1 FROM email_status WHERE status = 'deferred'") == []
    assert house.all("SELECT 1 FROM email_queue WHERE round > 0") == []


def test_a_spent_rate_moves_emails_to_the_next_provider(house):
    house.provider("cheap", "0.0001", quota={"rate_per_second": 1})
    dear = house.provider("dear", "0.0020")
    house.accept(a_submission(), a_submission())
    house.drain()
    assert len(dear.sent) == 1


def test_a_provider_that_asks_to_slow_down_is_left_alone_for_as_long_as_it_said(house):
    house.provider("cheap", "0.0001", answer=Answer.RATE_LIMITED, retry_after=30)
    house.provider("dear", "0.0020")
    house.accept()
    house.drain()
    cheap = house.reconfigure("cheap")
    house.accept()
    house.drain()
    assert cheap.calls == ()
    house.pass_time(31)
    house.accept()
    house.drain()
    assert len(cheap.sent) == 1


@given(st.floats(0.1, 5000))
def test_no_second_ever_holds_more_than_the_rate(rate):
    interval, burst = cells(rate)
    assert burst >= 1
    most_in_a_second = burst + int((1 - 1e-9) / interval)
    assert most_in_a_second <= math.ceil(rate)


@pytest.fixture
def live(house):
    return RedisLiveState(house.redis, house.clock)


def test_breakers_are_shared_between_workers(house, live):
    provider, other = new_id(), RedisLiveState(house.redis, house.clock)
    for _ in range(TRIP_AFTER):
        live.fold([Signal(provider, Sign.FAILED, cause="refused")], NOW)
    breaker = other.breakers([provider])[provider]
    assert breaker.admission(NOW) is Admission.SHUT
    assert breaker.cause == "refused"


def test_of_many_workers_one_gets_the_probe(house, live):
    provider = new_id()
    for _ in range(TRIP_AFTER):
        live.fold([Signal(provider, Sign.FAILED)], NOW)
    later = NOW + timedelta(seconds=2)
    barrier, taken = threading.Barrier(8), []

    def race(_):
        mine = RedisLiveState(house.redis, house.clock)
        barrier.wait()
        taken.append(mine.take_probe(provider, later))

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(race, range(8)))
    assert taken.count(True) == 1


def test_of_many_workers_the_rate_is_granted_once(house):
    provider = new_id()

    def race(_):
        return RedisLiveState(house.redis, house.clock).reserve_rate(provider, 100, 30).granted

    with ThreadPoolExecutor(8) as workers:
        granted = sum(workers.map(race, range(8)))
    assert 20 <= granted <= 30


def test_without_redis_limits_hold_within_the_process(house):
    away = redis.Redis(port=1, socket_connect_timeout=0.05)
    alone = RedisLiveState(away, house.clock)
    provider = new_id()
    assert alone.reserve_rate(provider, 10, 5).granted == 2
    assert alone.reserve_rate(provider, 10, 5).granted == 0
    for _ in range(TRIP_AFTER):
        alone.fold([Signal(provider, Sign.FAILED)], NOW)
    assert alone.breakers([provider])[provider].admission(NOW) is Admission.SHUT


def test_a_flushed_redis_loses_no_email_and_no_quota(house):
    provider = house.provider("only", quota={"daily_quota": 5, "rate_per_second": 100})
    house.accept(a_submission())
    house.drain()
    house.redis.flushall()
    house.accept(*(a_submission() for _ in range(9)))
    house.drain()
    assert len(provider.sent) == 5
    assert used(house).used_today == 5


@settings(max_examples=15, deadline=None)
@given(asks=st.lists(st.integers(1, 4), min_size=1, max_size=12), limit=st.integers(0, 12))
def test_any_mix_of_recipients_never_exceeds_the_quota(databases, asks, limit):
    with databases.clone() as url:
        house = House(url, NO_REDIS)
        try:
            provider = house.provider("only", quota={"daily_quota": limit})
            house.accept(*(a_submission(to=tuple(f"r{i}@x.example" for i in range(n))) for n in asks))
            house.drain()
            assert (
                sum(len(s.submission.envelope.recipients) for s in provider.sent)
                == used(house).used_today
                <= limit
            )
        finally:
            house.close()


def test_reliability_is_learned_from_the_ledger_and_rejections_do_not_hurt(house):
    house.provider("good", "0.0001")
    house.accept(*(a_submission() for _ in range(3)))
    house.drain()
    house.reconfigure("good", answer=Answer.REJECTED)
    house.accept(*(a_submission() for _ in range(3)))
    house.drain()
    house.provider("bad", "0.00001", answer=Answer.UNAVAILABLE)
    house.accept()
    house.drain()
    for _ in range(2):
        with house.units() as unit:
            unit.upkeep.measure_providers()
            unit.commit()
    rows = house.all("""SELECT p.name, f.emails_sent, f.emails_failed, p.reliability_score AS score
                        FROM provider_performance f JOIN providers p ON p.id = f.provider_id""")
    found = {r.name: r for r in rows}
    assert (found["good"].emails_sent, found["good"].emails_failed) == (3, 0)
    assert found["bad"].emails_failed == 1
    assert found["bad"].score < found["good"].score <= 1


def test_quotas_of_unlimited_providers_are_not_locked(house):
    house.provider("free")
    with house.units() as unit:
        assert Quotas(unit.connection).lock([house.one("SELECT id FROM providers").id]) == {}
    assert house.drain(Lane.BULK) is None


def test_a_worker_waits_for_another_that_is_reserving_the_last_of_a_quota(house):
    house.provider("only", quota={"daily_quota": 1})
    provider = house.one("SELECT id FROM providers").id
    first, second = house.accept(a_submission(), a_submission())
    run = house.run()
    with house.units() as unit:
        token = unit.delivery.claim(Lane.TRANSACTIONAL, run.id, 10, house.clock.chance.shuffle).token
        unit.commit()

    def opening(job):
        return Opening(new_id(), job, provider, 0, 1, Decimal("0.0004"), "USD")

    def reserve_too():
        with house.units() as unit:
            opened = unit.delivery.open(run.id, token, [opening(second)])
            unit.commit()
        return opened

    with ThreadPoolExecutor(1) as other, house.units() as unit:
        assert len(unit.delivery.open(run.id, token, [opening(first)]).attempts) == 1
        waiting = other.submit(reserve_too)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        unit.commit()
        opened = waiting.result(timeout=5)
    assert (opened.attempts, opened.spent) == (frozenset(), {provider})
    assert used(house).used_today == 1


def rolling(house):
    """What is used of the quota of any 24 hours, and the sum of its slots: they must never differ."""
    used = house.one("SELECT used_rolling FROM provider_quota").used_rolling
    assert used == house.one("SELECT COALESCE(sum(recipients), 0) AS sum FROM quota_slots").sum
    return used


PATIENT = Patience(give_up_after=10 * 86_400)


def roll(house):
    with house.units() as unit:
        unit.quotas.roll()
        unit.commit()


def test_a_quota_of_any_24_hours_is_free_again_a_day_after_it_was_used(house):
    provider = house.provider("only", quota={"rolling_quota": 3})
    house.accept(*(a_submission() for _ in range(2)))
    house.drain()
    house.pass_time(12 * 3600)
    house.accept(*(a_submission() for _ in range(3)))
    house.drain(patience=PATIENT)
    assert (len(provider.sent), rolling(house)) == (3, 3)
    house.pass_time(11.9 * 3600)
    house.drain(patience=PATIENT)
    assert len(provider.sent) == 3, "midnight, or a new day, frees nothing"
    house.pass_time(0.4 * 3600)
    house.drain(patience=PATIENT)
    assert (len(provider.sent), rolling(house)) == (5, 3)
    reasons = {r.status_reason for r in house.all("SELECT status_reason FROM email_jobs")}
    assert reasons == {None}


def test_an_email_over_a_rolling_quota_waits_until_room_is_there_and_says_why(house):
    house.provider("only", quota={"rolling_quota": 1})
    house.accept(a_submission(), a_submission())
    house.drain(patience=PATIENT)
    (waiting,) = house.all("SELECT * FROM email_jobs WHERE status = 'deferred'")
    assert waiting.status_reason.startswith("QUOTA_24H")
    due_in = house.one("SELECT EXTRACT(epoch FROM due_at - mm_now()) AS s FROM email_queue").s
    assert 23.9 * 3600 < due_in < 24.5 * 3600


def test_what_was_not_sent_is_refunded_to_the_slot_it_was_taken_from(house):
    house.provider("only", quota={"rolling_quota": 5}, answer=Answer.UNAVAILABLE)
    house.accept(a_submission(to=("a@x.example", "b@x.example")))
    house.drain()
    assert rolling(house) == 0
    roll(house)
    assert rolling(house) == 0


def test_a_new_rolling_limit_counts_what_the_ledger_knows_and_its_end_forgets_it(house):
    house.provider("only", quota={"daily_quota": 100})
    house.accept(*(a_submission() for _ in range(4)))
    house.drain()
    provider = house.one("SELECT id FROM providers").id

    def limit(rolling):
        with house.units() as unit:
            unit.providers.set_quota(new_id(), provider, QuotaLimits(rolling=rolling))
            unit.commit()

    for _ in range(2):
        limit(6)
    assert rolling(house) == 4
    house.accept(*(a_submission() for _ in range(4)))
    house.drain()
    assert rolling(house) == 6
    limit(None)
    assert rolling(house) == 0


@settings(max_examples=12, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9)), min_size=1, max_size=8))
def test_in_no_24_hours_more_is_sent_than_a_rolling_quota_allows(databases, steps):
    """Emails with 1 to 3 recipients, hours apart."""
    with databases.clone() as url:
        house = House(url, NO_REDIS)
        sent: list[tuple[float, int]] = []
        now = 0.0
        try:
            provider = house.provider("only", quota={"rolling_quota": 5})
            for count, hours in steps:
                before = len(provider.sent)
                house.accept(a_submission(to=tuple(f"r{i}@x.example" for i in range(count))))
                house.drain()
                fresh = provider.sent[before:]
                sent += [(now, len(s.submission.envelope.recipients)) for s in fresh]
                assert rolling(house) <= 5
                house.pass_time(hours * 3600)
                now += hours
            for start, _ in sent:
                assert sum(n for at, n in sent if start <= at < start + 24) <= 5
        finally:
            house.close()
