"""Budgets on real parts: never over, never lost, by the calendar of their zone, told once; other providers first."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert

from db import models
from db.repositories.budgets import Plan
from domain.attempt import Outcome
from domain.budgets import Period
from domain.delivery import Claim, Ending, Opening
from domain.lifecycle import Status
from domain.message import Lane
from providers.memory import Answer
from routing.policy import Patience
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import NO_REDIS, House
from workers.run import LeasedRun

DAY = 86_400.0
PATIENT = Patience(give_up_after=60 * DAY)


def set_budget(house: House, amount: str, provider: str | None = None, **more: Any) -> UUID:
    """A budget of the user's for a day, unless `more` says otherwise; what was spent before counts."""
    budget_id = new_id()
    at = None
    if provider is not None:
        at = house.one("SELECT id FROM providers WHERE name = :name", name=provider).id
    said: dict[str, Any] = {
        "user_id": USER,
        "period": Period.DAY,
        "currency": "USD",
        "time_zone": "UTC",
    } | more
    for step in ("add", "recount"):
        with house.units() as unit:
            if step == "add":
                unit.budgets.add(budget_id, Plan(provider_id=at, amount=Decimal(amount), **said))
            else:
                unit.budgets.recount(budget_id)
            unit.commit()
    return budget_id


def spent(house: House) -> Decimal:
    with house.units() as unit:
        (budget,) = unit.budgets.spending().budgets
    return budget.spent


def send(house: House, count: int = 1, **more: Any) -> list[UUID]:
    jobs = house.accept(*(a_submission(**more) for _ in range(count)))
    house.drain(patience=PATIENT)
    return jobs


def statuses(house: House, jobs: list[UUID]) -> list[str]:
    return sorted(house.job(job).status for job in jobs)


def declare(house: House, at_budget: str, name: str = "login-code") -> str:
    row = {
        "id": new_id(), "user_id": None, "name": name, "category": "transactional", "lane": "transactional",
        "at_budget": at_budget,
    }  # fmt: skip
    with house.engine.begin() as connection:
        connection.execute(insert(models.EmailType), row)
    return name


def test_the_next_provider_comes_first_where_there_is_one(house: House) -> None:
    cheap, dear = house.provider("cheap", "0.001"), house.provider("dear", "0.002")
    set_budget(house, "0.003", "cheap")
    send(house, 5)
    assert (len(cheap.sent), len(dear.sent), spent(house)) == (3, 2, Decimal("0.003"))
    reasons = house.all("SELECT decision->'excluded'->0->>1 AS b FROM delivery_attempts")
    assert [r.b for r in reasons].count("BUDGET") == 2


def test_a_budget_of_all_providers_stops_them_all(house: House) -> None:
    house.provider("cheap", "0.001"), house.provider("dear", "0.002")
    set_budget(house, "0.002")
    jobs = send(house, 3)
    assert statuses(house, jobs) == ["deferred", "sent", "sent"]
    (waiting,) = house.all("SELECT status_reason FROM email_jobs WHERE status = 'deferred'")
    assert waiting.status_reason.startswith("BUDGET: ")
    assert "the budget of 0.002 USD for this day" in waiting.status_reason


@pytest.mark.parametrize(
    ("at_budget", "status", "at_the_budget"),
    [("defer", Status.DEFERRED, "0.001"), ("fail", Status.FAILED, "0.001"), ("ignore", Status.SENT, "0.002")],
)
def test_at_the_stop_the_type_says_what_becomes_of_an_email(
    house: House, at_budget: str, status: Status, at_the_budget: str
) -> None:
    house.provider("only", "0.001")
    set_budget(house, "0.001")
    send(house)
    (job,) = send(house, email_type=declare(house, at_budget))
    assert (house.job(job).status, spent(house)) == (status.value, Decimal(at_the_budget))


def test_what_would_fail_for_the_budget_waits_for_a_provider_that_is_only_down(house: House) -> None:
    house.provider("cheap", "0.001")
    free = house.provider("free", "0.002", answer=Answer.UNAVAILABLE)
    set_budget(house, "0.001", "cheap")
    send(house)
    (job,) = send(house, email_type=declare(house, "fail"))
    assert house.job(job).status == "deferred"
    assert len(free.calls) == 1


def test_what_costs_nothing_goes_always(house: House) -> None:
    free = house.provider("free", "0")
    set_budget(house, "0")
    send(house, 3)
    assert len(free.sent) == 3


def test_recipients_are_counted_and_given_back_where_nothing_was_sent(house: House) -> None:
    house.provider("cheap", "0.001", answer=Answer.UNAVAILABLE)
    dear = house.provider("dear", "0.002")
    set_budget(house, "1", "cheap")
    send(house, to=("a@x.example", "b@x.example", "c@x.example"))
    assert (len(dear.sent), spent(house)) == (1, Decimal(0))
    house.redis.flushall()
    house.reconfigure("cheap")
    send(house, to=("a@x.example", "b@x.example", "c@x.example"))
    assert spent(house) == Decimal("0.003")


def test_what_may_have_been_sent_stays_spent(house: House) -> None:
    house.provider("only", "0.001", answer=Answer.UNKNOWN)
    set_budget(house, "1")
    send(house)
    assert spent(house) == Decimal("0.001")


def test_prices_in_another_currency_are_converted(house: House) -> None:
    house.exchange |= {"EUR": Decimal("1.10"), "USD": Decimal(1), "GBP": Decimal("1.32")}
    house.provider("only", "0.01", currency="EUR")
    set_budget(house, "0.02", currency="GBP")  # 0.0264 USD: two emails of 0.011 USD
    jobs = send(house, 3)
    assert statuses(house, jobs) == ["deferred", "sent", "sent"]
    assert spent(house) == 2 * Decimal("0.00833333")


def test_others_emails_come_under_their_own_budgets_and_everybodys(house: House) -> None:
    other = new_id()
    with house.engine.begin() as connection:
        connection.execute(insert(models.User), {"id": other, "email": "o@x.example", "password_hash": "-"})
    house.provider("only", "0.001")
    set_budget(house, "0")
    assert statuses(house, send(house, user_id=other)) == ["sent"]
    assert statuses(house, send(house)) == ["deferred"]
    set_budget(house, "0.002", user_id=None)
    jobs = send(house, 2, user_id=other)
    assert statuses(house, jobs) == ["deferred", "sent"]
    reason = house.one(
        "SELECT status_reason FROM email_jobs WHERE user_id = :u AND status = 'deferred'", u=other
    )
    assert "USD" not in reason.status_reason, "what the operator may spend is not told"


def test_a_flushed_redis_lifts_no_budget(house: House) -> None:
    provider = house.provider("only", "0.001")
    set_budget(house, "0.005")
    send(house, 4)
    house.redis.flushall()
    send(house, 9)
    assert (len(provider.sent), spent(house)) == (5, Decimal("0.005"))


def test_many_workers_racing_for_a_budget_never_overrun_it(house: House) -> None:
    provider = house.provider("only", "0.001")
    set_budget(house, "0.05")
    house.accept(*(a_submission() for _ in range(90)))
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: house.drain(batch=10, window=5, patience=PATIENT), range(4)))
    assert (len(provider.sent), spent(house)) == (50, Decimal("0.05"))
    assert len({s.submission.id for s in provider.sent}) == 50


RACERS, EMAILS, FITTING = 8, 600, 250


def test_eight_processes_racing_for_a_budget_open_exactly_what_it_has_room_for(
    house: House, database_url: str
) -> None:
    house.provider("only", "0.001")
    set_budget(house, "0.25")
    house.accept(*(a_submission() for _ in range(EMAILS)))
    program = [sys.executable, "-m", "tests.integration.delivery.budget_racer", database_url]
    racers = [
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(RACERS)
    ]
    for racer in racers:  # all at once: whoever came first would take everything before the others are there
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    granted = [int(racer.communicate(timeout=60)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * RACERS
    assert (sum(granted), spent(house)) == (FITTING, Decimal("0.25"))
    assert house.one("SELECT count(*) AS n FROM delivery_attempts").n == FITTING


def test_a_new_budget_counts_what_was_spent_before_it(house: House) -> None:
    house.provider("only", "0.001")
    house.provider("lost", "0.0001", answer=Answer.UNKNOWN)
    send(house)  # on its way for all that is known
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE providers SET status = false WHERE name = 'lost'")
    send(house, 2)
    with house.units() as unit:
        unit.upkeep.add_up_stats()
        unit.commit()
    send(house, 3)
    run = house.run()
    house.accept(a_submission())
    with house.units() as unit:  # a try that is still open
        claim = unit.delivery.claim(a_submission().lane, run.id, 10, lambda _: None)
        unit.delivery.open(run.id, claim.token, [opening_of(house, claim.jobs[0].job_id)])
        unit.commit()
    set_budget(house, "1")
    assert spent(house) == Decimal("0.0061")


def opening_of(house: House, job_id: UUID) -> Opening:
    provider = house.one("SELECT id FROM providers WHERE name = 'only'").id
    return Opening(new_id(), job_id, provider, 0, 1, Decimal("0.001"), "USD", user_id=USER)


@pytest.mark.parametrize(
    ("period", "zone", "at", "begins", "ends"),
    [
        ("day", "UTC", "2026-03-01T23:59Z", "2026-03-01T00:00Z", "2026-03-02T00:00Z"),
        ("month", "UTC", "2026-02-28T23:59Z", "2026-02-01T00:00Z", "2026-03-01T00:00Z"),
        ("day", "Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),  # 23 hours
        ("day", "Europe/Berlin", "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),  # 25 hours
        ("month", "America/New_York", "2026-03-31T12:00Z", "2026-03-01T05:00Z", "2026-04-01T04:00Z"),
        ("day", "Asia/Kathmandu", "2026-03-01T18:14Z", "2026-02-28T18:15Z", "2026-03-01T18:15Z"),
        ("day", "Africa/Cairo", "2026-04-24T12:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z"),  # no midnight
    ],
)
def test_days_and_months_are_those_of_its_time_zone(
    house: House, period: str, zone: str, at: str, begins: str, ends: str
) -> None:
    house.set_time(datetime.fromisoformat(at))
    set_budget(house, "1", period=Period(period), time_zone=zone)
    with house.units() as unit:
        (budget,) = unit.budgets.spending().budgets
    assert (budget.begins, budget.ends) == (datetime.fromisoformat(begins), datetime.fromisoformat(ends))


def test_what_waits_for_a_budget_goes_when_its_next_day_begins(house: House) -> None:
    house.set_time(datetime.fromisoformat("2026-03-29T21:59Z"))  # one minute of a day of 23 hours is left
    only = house.provider("only", "0.001")
    set_budget(house, "0.001", time_zone="Europe/Berlin")
    send(house, 2)
    assert len(only.sent) == 1
    due = house.one("SELECT due_at FROM email_queue").due_at
    ends = datetime.fromisoformat("2026-03-29T22:00Z")
    assert ends - timedelta(seconds=2) < due <= ends
    house.set_time(ends)
    house.drain(patience=PATIENT)
    assert (len(only.sent), spent(house)) == (2, Decimal("0.001"))


def test_a_refund_of_yesterday_gives_today_nothing(house: House) -> None:
    house.provider("only", "0.001")
    budget = set_budget(house, "1")
    run = house.run()
    house.accept(a_submission(), a_submission())
    with house.units() as unit:
        claim = unit.delivery.claim(a_submission().lane, run.id, 10, lambda _: None)
        before = opening_of(house, claim.jobs[0].job_id)
        unit.delivery.open(run.id, claim.token, [before])
        unit.commit()
    house.pass_time(DAY)
    with house.units() as unit:
        unit.delivery.open(run.id, claim.token, [opening_of(house, claim.jobs[1].job_id)])
        unit.budgets.refund([before.attempt_id])
        unit.commit()
    assert spent(house) == Decimal("0.001")
    assert budget


def told(house: House) -> list[str]:
    return [r.type for r in house.all("SELECT type FROM webhook_messages ORDER BY id")]


def listen(house: House, user: UUID = USER, types: str = "{}") -> None:
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO webhook_endpoints (id, user_id, url, types, secret)"
            " VALUES (%s, %s, 'https://a.example/', %s, '-')",
            (str(new_id()), str(user), types),
        )


def test_its_owner_is_told_at_four_fifths_and_at_the_stop_once_in_a_period(house: House) -> None:
    listen(house, types="{budget.alert,budget.stopped}")
    house.provider("only", "0.001")
    budget = set_budget(house, "0.005")
    send(house, 3)
    assert told(house) == []
    send(house, 1)
    assert told(house) == ["budget.alert"]
    send(house, 3)
    send(house, 2)
    assert told(house) == ["budget.alert", "budget.stopped"]
    (said,) = house.all("SELECT payload FROM webhook_messages WHERE type = 'budget.stopped'")
    assert said.payload["data"] == {
        "budget_id": str(budget), "provider_id": None, "period": "day", "amount": "0.005", "currency": "USD",
        "spent": "0.005", "period_begins": said.payload["data"]["period_begins"],
        "period_ends": said.payload["data"]["period_ends"],
    }  # fmt: skip
    written = [
        r.action for r in house.all("SELECT action, target FROM audit_log WHERE target = :b", b=budget)
    ]
    assert sorted(written) == ["budget.alert", "budget.stopped"]
    house.pass_time(DAY)
    send(house, 6)
    assert told(house)[2:] == ["budget.alert", "budget.stopped"], "another day, another notice"


def test_of_a_shared_budget_operators_are_told(house: House) -> None:
    operator = new_id()
    with house.engine.begin() as connection:
        connection.execute(
            insert(models.User),
            {"id": operator, "email": "op@x.example", "password_hash": "-", "role": "operator"},
        )
    listen(house, operator, types="{budget.alert}")
    listen(house, types="{budget.alert}")
    house.provider("only", "0.001")
    set_budget(house, "0.001", user_id=None)
    send(house)
    owners = house.all(
        "SELECT e.user_id FROM webhook_messages m JOIN webhook_endpoints e ON e.id = m.endpoint_id"
    )
    assert [o.user_id for o in owners] == [operator]


def test_where_there_is_no_budget_nothing_is_asked_about_them(house: House) -> None:
    house.provider("only", "0.001")
    statements: list[str] = []
    event.listen(house.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    send(house, 5)
    asked = [s for s in statements if "budgets" in s and "EXISTS (SELECT FROM budgets)" not in s]
    assert [s for s in asked if "FOR UPDATE" in s or "UPDATE budgets" in s or "lock_budgets" in s] == []


@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0, 5, 20])), min_size=1, max_size=10),
    limit=st.integers(0, 6),
)
def test_in_no_day_more_is_spent_than_its_budget(
    databases: Any, steps: list[tuple[int, int]], limit: int
) -> None:
    """Emails with 1 to 3 recipients, hours apart."""
    with databases.clone() as url:
        house = House(url, NO_REDIS)
        try:
            house.set_time(datetime.fromisoformat("2026-03-28T20:00Z"))
            provider = house.provider("only", "0.001")
            set_budget(house, f"0.00{limit}", time_zone="Europe/Berlin")
            now = datetime.fromisoformat("2026-03-28T20:00Z")
            by_day: dict[Any, int] = {}
            for count, hours in steps:
                before = len(provider.sent)
                house.accept(a_submission(to=tuple(f"r{i}@x.example" for i in range(count))))
                house.drain(patience=PATIENT)
                begins = budget_begins(house)
                fresh = sum(len(s.submission.envelope.recipients) for s in provider.sent[before:])
                by_day[begins] = by_day.get(begins, 0) + fresh
                assert by_day[begins] <= limit
                now = now.fromtimestamp(now.timestamp() + hours * 3600, now.tzinfo)
                house.set_time(now)
        finally:
            house.close()


def budget_begins(house: House) -> datetime:
    with house.units() as unit:
        return unit.budgets.spending().budgets[0].begins


def test_who_gives_back_before_opening_others_and_who_only_opens_do_not_wait_for_each_other(
    house: House,
) -> None:
    for name in ("first", "second"):
        house.provider(name, "0.001", quota={"daily_quota": 100})
    first, second = (
        house.one("SELECT id FROM providers WHERE name = :name", name=name).id for name in ("first", "second")
    )
    set_budget(house, "5")
    ours, theirs = house.run(), house.run()

    def openings(claim: Claim, provider: UUID) -> list[Opening]:
        cost = Decimal("0.001")
        return [Opening(new_id(), j.job_id, provider, 0, 1, cost, "USD", user_id=USER) for j in claim.jobs]

    def claimed(run: LeasedRun) -> Claim:
        house.accept(*(a_submission() for _ in range(2)))
        with house.units() as unit:
            claim = unit.delivery.claim(Lane.TRANSACTIONAL, run.id, 2, house.clock.chance.shuffle)
            unit.commit()
        return claim

    mine, other = claimed(ours), claimed(theirs)
    refused = openings(mine, first)
    with house.units() as unit:
        unit.delivery.fence(ours.id)
        assert len(unit.delivery.open(ours.id, mine.token, refused).attempts) == 2
        unit.commit()

    def open_others() -> int:
        with house.units() as unit:
            unit.delivery.fence(theirs.id)
            opened = unit.delivery.open(theirs.id, other.token, openings(other, second))
            unit.commit()
        return len(opened.attempts)

    with ThreadPoolExecutor(1) as pool, house.units() as unit:
        unit.delivery.fence(ours.id)
        unit.delivery.settle(
            ours.id, mine.token, [Ending(o.attempt_id, Outcome.NOT_SENT) for o in refused], []
        )
        waiting = pool.submit(open_others)
        time.sleep(0.3)  # it has the quota of the second by now, where nothing holds it back
        assert len(unit.delivery.open(ours.id, mine.token, openings(mine, second)).attempts) == 2
        unit.commit()
        assert waiting.result() == 2
    assert spent(house) == Decimal("0.004")
