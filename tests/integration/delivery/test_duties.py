"""The clock's duties: done once, however often and by whomever they are rung for, and by the database's clock only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from domain.message import Lane, OnUnknown
from domain.upkeep import Duty, Retention, Rota
from providers.memory import Answer
from tests.builders import a_submission, new_id
from tests.integration.delivery.conftest import House
from workers.upkeep import overdue, perform

HOUR = 3600.0
DAY = datetime(2031, 5, 3, tzinfo=UTC)
PERIODIC = [duty for duty in Duty if duty is not Duty.SWEEP]
ROTA = Rota(dict.fromkeys(PERIODIC, HOUR), Retention(bodies=1, attempts=2, timeline=3, performance=4))


def do(house: House, duty: Duty, rota: Rota = ROTA) -> bool:
    return perform(duty, rota, house.units)


def done_at(house: House, duty: Duty) -> Any:
    return house.one("SELECT done_at FROM upkeep_duties WHERE name = :name", name=duty.value).done_at


@pytest.mark.parametrize("duty", PERIODIC)
def test_a_duty_is_done_once_a_period_however_many_beats_ring(house: House, duty: Duty):
    with ThreadPoolExecutor(8) as beats:
        done = list(beats.map(lambda _: do(house, duty), range(16)))
    assert done.count(True) == 1
    assert overdue(ROTA, house.units) == [other for other in PERIODIC if other is not duty]
    house.pass_time(HOUR - 2)
    assert not do(house, duty), "none early"
    house.pass_time(2)
    assert [do(house, duty), do(house, duty)] == [True, False]


def test_a_duty_is_left_to_who_is_at_it(house: House):
    with house.units() as leading:
        assert leading.upkeep.lead(Duty.PURGE)
        assert not do(house, Duty.PURGE)
        assert do(house, Duty.MEASURE_PROVIDERS), "one duty does not wait for another"
    assert do(house, Duty.PURGE), "its leader broke off, so it is still due"


def test_a_database_clock_that_is_set_back_stops_no_duty(house: House):
    house.pass_time(HOUR)
    assert do(house, Duty.MEASURE_PROVIDERS)
    house.pass_time(-HOUR)
    assert [do(house, Duty.MEASURE_PROVIDERS), do(house, Duty.MEASURE_PROVIDERS)] == [True, False]


def test_without_beat_the_hearts_notice_what_nobody_rings_for(house: House):
    assert set(overdue(ROTA, house.units)) == set(PERIODIC)
    for duty in PERIODIC:
        do(house, duty)
    assert overdue(ROTA, house.units) == []
    house.pass_time(3 * HOUR)
    assert overdue(ROTA, house.units) == [], "beat may be restarting"
    house.pass_time(60)
    assert set(overdue(ROTA, house.units)) == set(PERIODIC)


def test_an_unknown_email_is_final_after_its_time_and_not_before_and_says_so_once(house: House):
    house.provider("only", answer=Answer.UNKNOWN)
    (job,) = house.accept()
    house.drain()
    house.pass_time(house.patience.unknown_ttl - 2)
    for _ in range(2):
        house.sweep()
        house.drain()
    assert (house.timeline(job), house.queued(job).held) == (["unknown"], True)
    house.pass_time(3)
    for _ in range(2):
        house.sweep()
        house.drain()
    assert house.bell.rung[-1] is Lane.TRANSACTIONAL
    assert (house.timeline(job), house.queued(job)) == (["unknown", "unknown"], None)
    assert "it stays unknown" in house.job(job).status_reason


def test_quota_windows_open_once_and_in_the_providers_time_zone(house: House):
    house.provider("tokyo", quota={"daily_quota": 10, "used_today": 7, "time_zone": "Asia/Tokyo"})
    house.provider("utc", quota={"daily_quota": 10, "used_today": 7})
    house.set_time(DAY.replace(hour=15))  # midnight in Tokyo
    with house.engine.begin() as connection:
        connection.execute(
            text("""UPDATE provider_quota SET reset_at =
                    (date_trunc('day', (mm_now() - interval '1 minute') AT TIME ZONE time_zone) + interval '1 day')
                    AT TIME ZONE time_zone""")
        )
    assert do(house, Duty.OPEN_QUOTA_WINDOWS)
    used = {r.time_zone: r.used_today for r in house.all("SELECT * FROM provider_quota")}
    assert used == {"Asia/Tokyo": 0, "UTC": 7}


# ── performance ──


def attempts(house: House, provider: str, rows: list[tuple[str, str | None, float | None]], ago: float = 60):
    """Lines of the ledger: outcome, error, latency in ms."""
    (job,) = house.accept()
    with house.engine.begin() as connection:
        for outcome, error, latency in rows:
            connection.execute(
                text("""INSERT INTO delivery_attempts (id, job_id, provider_id, run, token, round, recipients,
                            estimated_cost, currency, decision, opened_at, settled_at, outcome, error, latency_ms)
                        SELECT :id, :job, p.id, :id, 1, 0, 1, 0, 'USD', '{}', mm_now() - :ago * interval '1 second',
                            mm_now(), :outcome, :error, :latency FROM providers p WHERE p.name = :provider"""),
                {"id": new_id(), "job": job, "ago": ago, "outcome": outcome, "error": error, "latency": latency,
                 "provider": provider},
            )  # fmt: skip


def performance(house: House, provider: str) -> Any:
    return house.one(
        """SELECT f.*, p.reliability_score FROM provider_performance f JOIN providers p ON p.id = f.provider_id
           WHERE p.name = :name""",
        name=provider,
    )


def test_percentiles_of_the_latency_are_right_within_a_step(house: House):
    house.provider("one")
    attempts(house, "one", [("accepted", None, float(ms)) for ms in range(1, 1001)])
    assert do(house, Duty.MEASURE_PROVIDERS)
    found = performance(house, "one")
    assert found.emails_sent == 1000
    assert found.average_latency == pytest.approx(500.5)
    assert (found.latency_p50, found.latency_p95, found.latency_p99) == (
        pytest.approx(500, rel=0.06), pytest.approx(950, rel=0.06), pytest.approx(990, rel=0.06),
    )  # fmt: skip


def test_only_what_tells_of_the_provider_counts_against_it(house: House):
    house.provider("one")
    attempts(
        house,
        "one",
        [
            ("accepted", None, 10.0),
            ("not_sent", "rejected", 10.0),
            ("not_sent", "not_attempted", None),
            ("not_sent", "rate_limited", 5.0),
            ("unknown", "worker_lost", None),
        ],
    )
    do(house, Duty.MEASURE_PROVIDERS)
    found = performance(house, "one")
    assert (found.emails_sent, found.emails_failed, found.emails_rejected, found.emails_unknown) == (
        1,
        0,
        1,
        1,
    )
    spotless = found.reliability_score
    assert spotless > 0.99
    attempts(house, "one", [("unknown", "outcome_unknown", None), ("not_sent", "provider_unavailable", 1.0)])
    house.pass_time(HOUR)
    do(house, Duty.MEASURE_PROVIDERS)
    assert performance(house, "one").emails_failed == 2
    assert performance(house, "one").reliability_score < spotless


def test_slots_are_kept_as_history_and_the_day_is_their_sum(house: House):
    house.provider("one")
    house.provider("idle")
    for ago in (2 * HOUR, 23 * HOUR, 26 * HOUR):
        attempts(house, "one", [("accepted", None, 10.0)], ago)
    do(house, Duty.MEASURE_PROVIDERS)
    assert performance(house, "one").emails_sent == 2, "the last day only"
    attempts(house, "one", [("accepted", None, 1000.0)])
    for _ in range(3):
        do(house, Duty.MEASURE_PROVIDERS, Rota(dict.fromkeys(PERIODIC, 0.0)))
    assert performance(house, "one").emails_sent == 3
    slots = house.all("SELECT emails_sent, latencies FROM provider_performance_history ORDER BY slot")
    assert [s.emails_sent for s in slots] == [1, 1, 1]
    assert performance(house, "idle").emails_sent == 0


# ── retention ──


def counts(house: House) -> dict[str, int]:
    tables = ("email_contents", "delivery_attempts", "email_status", "email_jobs")
    return {t: house.one(f"SELECT count(*) FROM {t}")[0] for t in tables}


def purge(house: House) -> None:
    house.pass_time(HOUR)
    assert do(house, Duty.PURGE)


def test_what_ended_is_taken_away_each_in_its_time(house: House):
    house.provider("only")
    house.accept()
    house.drain()
    full = counts(house)
    assert full == {"email_contents": 1, "delivery_attempts": 1, "email_status": 1, "email_jobs": 1}
    steps = [(1.5, {}), (1, {"delivery_attempts": 0}), (1, {"email_contents": 0, "email_status": 0})]
    for days, gone in steps:
        house.pass_time(timedelta(days=days).total_seconds())
        purge(house)
        full |= gone
        assert counts(house) == full


def test_what_providers_told_goes_but_not_what_still_waits(house: House):
    house.provider("only")
    with house.engine.begin() as connection:
        for key, state in (("old", "unmatched"), ("due", "waiting")):
            connection.execute(
                text("""INSERT INTO inbound_events (id, provider_id, event_key, raw, event, state)
                        SELECT :id, id, :key, '{}', '{}', :state FROM providers"""),
                {"id": new_id(), "key": key, "state": state},
            )
        connection.execute(
            text(
                "INSERT INTO inbound_nonces (provider_id, nonce, body_hash) SELECT id, 'n', 'h' FROM providers"
            )
        )
    nonces = "SELECT count(*) FROM inbound_nonces"
    purge(house)
    assert house.one(nonces)[0] == 1, "a replay is known for a day"
    house.pass_time(timedelta(days=100).total_seconds())
    purge(house)
    assert [e.event_key for e in house.all("SELECT event_key FROM inbound_events")] == ["due"]
    assert house.one(nonces)[0] == 0


@pytest.mark.parametrize("move", ["waits", "held"])
def test_nothing_of_an_email_that_still_moves_is_taken_away(house: House, move: str):
    if move == "held":
        house.provider("only", answer=Answer.UNKNOWN)
    submission = a_submission(on_unknown=OnUnknown.HOLD)
    house.accept(submission, due_in=0 if move == "held" else timedelta(days=300).total_seconds())
    house.drain()
    before = counts(house)
    house.pass_time(timedelta(days=200).total_seconds())
    everything = Rota(ROTA.every, Retention(1, 1, 1, 1, 1, 1))
    assert do(house, Duty.PURGE, everything)
    assert counts(house) == before


def test_a_body_that_was_purged_is_kept_anew_when_it_is_sent_again(house: House):
    """The day is in its hash: no new email can lean on a body that is about to go."""
    provider = house.provider("only")
    first = a_submission(id=day_id(20_000))
    second = a_submission(id=day_id(20_004))
    house.accept(first)
    house.drain()
    house.accept(second)
    assert counts(house)["email_contents"] == 2
    house.drain()
    assert [s.submission.message.text for s in provider.sent] == [first.message.text, second.message.text]


def day_id(day: int) -> UUID:
    return UUID(int=(day * 86_400_000 << 80) | (new_id().int & ((1 << 80) - 1)))


def test_emails_go_with_everything_where_that_is_asked_for(house: House):
    house.provider("only")
    house.accept()
    house.drain()
    house.pass_time(timedelta(days=9).total_seconds())
    assert do(house, Duty.PURGE, Rota(ROTA.every, Retention(None, None, None, None, None, 8)))
    assert counts(house) == {
        "email_contents": 1,
        "delivery_attempts": 0,
        "email_status": 0,
        "email_jobs": 0,
    }


def test_a_purge_that_leaves_something_is_due_again_at_once(house: House):
    house.provider("only")
    (job,) = house.accept(a_submission(id=day_id(1)))
    house.drain()
    with house.engine.begin() as connection:
        connection.execute(
            text("""INSERT INTO email_status (id, email_job_id, status)
                    SELECT CAST(lpad(to_hex(n), 12, '0') || '70008000000000000000' AS uuid), :job, 'sent'
                    FROM generate_series(1, 2500) n"""),
            {"job": job},
        )
    left = []
    while do(house, Duty.PURGE):
        left.append(counts(house)["email_status"])
    assert left == [501, 1], "not noted as done while there is more"
