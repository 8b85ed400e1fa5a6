"""What is halted is not sent, and what harms stops by itself."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import pytest
import structlog

from db.repositories.campaigns import Plan
from domain.events import BounceClass, EventType
from domain.message import Lane
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_events import apply, event, tell
from workers.campaigns import watch
from workers.loading import HALTED

LOG = structlog.get_logger("test")


def campaign(house: House, cap: str | None = None, min_sent: int = 2, per_minute: int | None = None) -> UUID:
    made = new_id()
    with house.units() as unit:
        plan = Plan("c", per_minute, Decimal(cap) if cap else None, 0.5, 0.5, min_sent)
        unit.campaigns.write(made, USER, plan)
        unit.commit()
    return made


def accept(house: House, campaign_id: UUID | None, count: int = 2) -> list[UUID]:
    jobs = house.accept(*(a_submission() for _ in range(count)))
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE email_jobs SET campaign_id = %s WHERE id = ANY(%s)", (campaign_id, jobs)
        )
    return jobs


def plan_for_now(house: House, jobs: list[UUID]) -> None:
    """As emails are whose `send_at` has just come."""
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE email_jobs SET status = 'scheduled', send_at = mm_now()")
        connection.exec_driver_sql("UPDATE email_queue SET placed = false")


def turn(house: House, campaign_id: UUID, status: str) -> None:
    with house.units() as unit:
        unit.campaigns.set_status(campaign_id, status, None, new_id())
        unit.commit()


def halt(house: House, kind: str, value: str = "", user: UUID | None = USER) -> None:
    with house.units() as unit:
        unit.campaigns.halt(new_id(), user, kind, value, "")
        unit.commit()


def statuses(house: House, jobs: list[UUID]) -> list[str]:
    return [house.job(job).status for job in jobs]


def test_nothing_of_a_paused_campaign_is_sent_and_the_rest_goes_on(house: House) -> None:
    house.provider("one")
    spring = campaign(house)
    mine, others = accept(house, spring), accept(house, None)
    turn(house, spring, "paused")
    house.drain()
    assert statuses(house, mine) == ["queued", "queued"]
    assert statuses(house, others) == ["sent", "sent"]
    assert house.ledger(mine[0]) == []
    turn(house, spring, "active")
    with house.units() as unit:
        assert unit.campaigns.wake_campaign(spring, UUID(int=0), 100) == sorted(mine)
        unit.commit()
    house.drain()
    assert statuses(house, mine) == ["sent", "sent"]


def test_planned_for_one_time_a_throttled_campaign_goes_at_its_pace_from_then_on(house: House) -> None:
    house.provider("one")
    spring, autumn = campaign(house, per_minute=6), campaign(house)
    mine, others, free = accept(house, spring, 3), accept(house, None), accept(house, autumn)
    plan_for_now(house, [*mine, *free])
    for sent in (1, 2, 3):
        house.drain()
        assert statuses(house, mine).count("sent") == sent
        assert statuses(house, others + free) == ["sent"] * 4
        house.pass_time(10.1)


def test_what_was_halted_goes_at_the_campaigns_pace_after_what_has_a_place(house: House) -> None:
    house.provider("one")
    spring = campaign(house, per_minute=6)
    mine = accept(house, spring, 3)
    halt(house, "type", "transactional")
    house.drain()
    with house.units() as unit:
        [found] = unit.campaigns.halts(USER)
        assert unit.campaigns.lift(found["id"], USER)
        assert unit.campaigns.wake(None, UUID(int=0), 100) == sorted(mine)
        unit.commit()
    for sent in (1, 2, 3):
        house.drain()
        assert statuses(house, mine).count("sent") == sent
        with house.units() as unit:
            assert unit.campaigns.wake(None, UUID(int=0), 100) == [], (
                "an email that waits for its place was hurried"
            )
            unit.commit()
        house.pass_time(10.1)


def test_workers_that_place_emails_of_the_same_campaigns_give_each_place_once(house: House) -> None:
    campaigns = [campaign(house, per_minute=600) for _ in range(3)]
    jobs = [job for _ in range(10) for one in campaigns for job in accept(house, one, 4)]
    plan_for_now(house, jobs)
    run = house.run()

    def place(_: int) -> None:
        for _ in range(5):
            with house.units() as unit:
                claim = unit.delivery.claim(Lane.TRANSACTIONAL, run.id, 6, random.Random(1).shuffle)
                unit.delivery.place(run.id, claim.token, [j.job_id for j in claim.jobs])
                unit.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(place, range(4)))
    for one in campaigns:
        rows = house.all(
            "SELECT q.due_at FROM email_queue q JOIN email_jobs j ON j.id = q.job_id WHERE j.campaign_id = :id "
            "AND q.placed ORDER BY 1",
            id=one,
        )
        assert len(rows) == 40
        gaps = [(b.due_at - a.due_at).total_seconds() for a, b in pairwise(rows)]
        assert min(gaps) > 0.09


def test_a_halt_that_nobody_woke_after_is_looked_at_again_by_itself(house: House) -> None:
    house.provider("one")
    spring = campaign(house)
    jobs = accept(house, spring)
    turn(house, spring, "paused")
    house.drain()
    turn(house, spring, "active")
    house.drain()
    assert statuses(house, jobs) == ["queued", "queued"]
    house.pass_time(HALTED + 1)
    house.drain()
    assert statuses(house, jobs) == ["sent", "sent"]


@pytest.mark.parametrize(
    ("kind", "value", "user", "stops"),
    [
        ("user", "", USER, True),
        ("type", "transactional", USER, True),
        ("type", "transactional", None, True),
        ("type", "marketing", None, False),
        ("lane", "transactional", None, True),
        ("lane", "bulk", None, False),
    ],
)
def test_a_halt_stops_what_it_names(
    house: House, kind: str, value: str, user: UUID | None, stops: bool
) -> None:
    house.provider("one")
    jobs = accept(house, None)
    halt(house, kind, value, user)
    house.drain()
    assert statuses(house, jobs) == (["queued"] * 2 if stops else ["sent"] * 2)


def test_a_campaign_that_bounces_pauses_by_itself(house: House) -> None:
    house.provider("one")
    spring = campaign(house)
    sent = accept(house, spring)
    house.drain()
    waiting = accept(house, spring)
    watch(house.units, new_id, LOG)
    assert house.one("SELECT status FROM campaigns").status == "active"
    for job in sent:
        tell(house, "one", event(EventType.BOUNCED, house.ledger(job)[0].id, bounce=BounceClass.HARD))
    apply(house)
    watch(house.units, new_id, LOG)
    row = house.one("SELECT status, status_reason FROM campaigns")
    assert (row.status, row.status_reason) == ("paused", "hard bounces: 100.00% of 2 emails")
    house.drain()
    assert statuses(house, waiting) == ["queued", "queued"]


def test_a_campaign_stops_at_its_spend_cap(house: House) -> None:
    house.provider("one", cost="0.5")
    spring = campaign(house, cap="1", min_sent=1000)
    accept(house, spring)
    house.drain()
    accept(house, spring)
    watch(house.units, new_id, LOG)
    row = house.one("SELECT status, status_reason FROM campaigns")
    assert (row.status, row.status_reason) == ("paused", "the spend cap of 1 is reached")


def test_limits_hold_where_nothing_of_the_campaign_waits(house: House) -> None:
    house.provider("one", cost="0.5")
    spending, bouncing = campaign(house, cap="1", min_sent=1000), campaign(house)
    accept(house, spending)
    sent = accept(house, bouncing)
    house.drain()
    assert house.all("SELECT 1 FROM email_queue") == []
    watch(house.units, new_id, LOG)
    house.pass_time(3600)
    for job in sent:
        tell(house, "one", event(EventType.BOUNCED, house.ledger(job)[0].id, bounce=BounceClass.HARD))
    apply(house)
    watch(house.units, new_id, LOG)
    reasons = {
        row.status_reason for row in house.all("SELECT status_reason FROM campaigns WHERE status = 'paused'")
    }
    assert reasons == {"the spend cap of 1 is reached", "hard bounces: 100.00% of 2 emails"}


def test_what_a_worker_held_while_its_campaign_was_cancelled_is_taken_back_later(house: House) -> None:
    house.provider("one")
    spring = campaign(house)
    jobs = accept(house, spring)
    turn(house, spring, "cancelled")
    house.drain()
    watch(house.units, new_id, LOG)
    assert statuses(house, jobs) == ["cancelled", "cancelled"]
    assert house.all("SELECT 1 FROM email_queue") == []


def test_what_comes_back_long_after_its_campaign_was_cancelled_is_taken_back_once_a_worker_saw_it(
    house: House,
) -> None:
    house.provider("one")
    spring = campaign(house)
    turn(house, spring, "cancelled")
    house.pass_time(3600)
    jobs = accept(house, spring)  # as a doubt that is settled late
    watch(house.units, new_id, LOG)
    assert statuses(house, jobs) == ["queued", "queued"], "the emails of old campaigns are not gone through"
    house.drain()
    assert house.ledger(jobs[0]) == []
    watch(house.units, new_id, LOG)
    assert statuses(house, jobs) == ["cancelled", "cancelled"]


def test_a_look_ends_when_its_time_is_over_and_the_next_one_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that looks may be the one that an OTP waits for."""
    monkeypatch.setattr("workers.campaigns._ROWS", 2)
    house.provider("one")
    spring = campaign(house)
    jobs = [job for _ in range(3) for job in accept(house, spring)]
    turn(house, spring, "cancelled")
    house.pass_time(50)
    for left in (4, 2, 0):
        began = [False]

        def is_over(began: list[bool] = began) -> bool:
            over, began[0] = began[0], True
            return over

        watch(house.units, new_id, LOG, is_over=is_over)
        assert statuses(house, jobs).count("queued") == left
        house.pass_time(50)  # a campaign is looked at for a minute from its last change on


def test_what_happened_since_the_last_looks_is_looked_at_however_seldom_that_is(house: House) -> None:
    house.provider("one", cost="0.5")
    accept(house, campaign(house, cap="1", min_sent=1000))
    house.drain()
    house.pass_time(300)
    watch(house.units, new_id, LOG, every=300)
    assert house.one("SELECT status FROM campaigns").status == "paused"


def add_up(house: House) -> None:
    with house.units() as unit:
        while not unit.upkeep.add_up_stats():
            unit.commit()
        unit.commit()


def test_the_counts_are_those_of_the_emails_whoever_changed_them_and_whenever_they_were_added_up(
    house: House,
) -> None:
    house.provider("one")
    spring, autumn = campaign(house), campaign(house)
    jobs = accept(house, spring, 6) + accept(house, autumn, 2) + accept(house, None, 2)
    changes = [
        "UPDATE email_jobs SET subject = 'x'",
        "UPDATE email_jobs SET status = 'deferred' WHERE id = %(one)s",
        "UPDATE email_jobs SET status = 'sent', sent_at = mm_now() WHERE id = ANY(%(some)s)",
        "UPDATE email_jobs SET status = 'delivered' WHERE status = 'sent'",
        "UPDATE email_jobs SET campaign_id = NULL WHERE id = %(one)s",
        "DELETE FROM email_jobs WHERE id = %(last)s",
    ]
    for added in (False, True):
        for change in changes:
            with house.engine.begin() as connection:
                values = {"one": jobs[0], "some": jobs[1:4], "last": jobs[4]}
                connection.exec_driver_sql(change, values)
            if added:
                add_up(house)
            for one in (spring, autumn):
                sql = "SELECT status, count(*) AS n FROM email_jobs WHERE campaign_id = :id GROUP BY 1"
                with house.units() as unit:
                    found = unit.campaigns.progress(one)
                assert (found["statuses"] or {}) == {r.status: r.n for r in house.all(sql, id=one)}
    with house.units() as unit:
        found = unit.campaigns.progress(spring)
    assert (found["lately"], found["span"] < 30) == (3, True), (
        "as they were sent, not as they became delivered"
    )
    house.pass_time(601)
    accept(house, spring, 1)
    add_up(house)
    assert not house.all("SELECT 1 FROM campaign_counts WHERE slot > 'epoch'"), (
        "the pace of the past is let go"
    )
    assert not house.all("SELECT 1 FROM campaign_changes")


def test_what_was_spent_and_bounced_is_told_before_and_after_it_was_added_up(house: House) -> None:
    house.provider("one", cost="0.5")
    spring = campaign(house)
    sent = accept(house, spring, 3)
    house.drain()
    tell(house, "one", event(EventType.BOUNCED, house.ledger(sent[0])[0].id, bounce=BounceClass.HARD))
    apply(house)
    for _ in range(2):
        with house.units() as unit:
            found = unit.campaigns.progress(spring)
        assert (found["spent"], found["hard_bounces"]) == (Decimal("1.5"), 1)
        add_up(house)


def test_a_campaign_that_is_deleted_while_it_is_added_up_leaves_no_counts(house: House) -> None:
    house.provider("one")
    spring = campaign(house)
    accept(house, spring)
    house.drain()
    with ThreadPoolExecutor(1) as pool:
        with house.units() as adding:
            adding.upkeep.add_up_stats()

            def delete() -> int | None:
                with house.units() as unit:
                    waiting = unit.campaigns.delete(USER, spring, new_id())
                    unit.commit()
                return waiting

            deleting = pool.submit(delete)
            with pytest.raises(TimeoutError):
                deleting.result(1)  # it waits for what is being added
            adding.commit()
        assert deleting.result(10) == 0
    left = house.all("SELECT * FROM campaign_counts") + house.all("SELECT * FROM campaign_changes")
    assert left == []
