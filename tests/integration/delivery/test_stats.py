"""Statistics: each attempt counts once, in the quarter hour in which it was made, however late it is told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

from sqlalchemy import insert, update

from db import models
from domain.attempt import Outcome
from domain.events import BounceClass, EventType
from domain.upkeep import Duty, Retention, Rota
from providers.memory import Answer
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_events import apply, event, sent, tell
from workers.stats import add_up
from workers.upkeep import perform

DAY = datetime(2031, 5, 3, 12, 10, tzinfo=UTC)


def added(house: House) -> None:
    add_up(house.units, house.clock)


def stats(house: House, dimension: str = "all", **where: Any) -> list[Any]:
    """The rows that are no zero, oldest first."""
    asked = "".join(f" AND {name} = :{name}" for name in where)
    return house.all(
        "SELECT * FROM email_stats WHERE grain = 15 AND dimension = :dimension"
        f"{asked} ORDER BY slot, value, provider_id",
        dimension=dimension,
        **where,
    )


def counts(row: Any) -> dict[str, int]:
    shown = (
        "accepted", "not_sent", "unknown", "delivered", "hard_bounced", "soft_bounced", "complained", "opened",
        "clicked",
    )  # fmt: skip
    return {name: getattr(row, name) for name in shown if getattr(row, name)}


def test_an_email_counts_by_everything_that_it_is(house: House) -> None:
    house.set_time(DAY)
    campaign = new_id()
    with house.engine.begin() as connection:
        connection.execute(insert(models.Campaign), {"id": campaign, "user_id": USER, "name": "spring"})
    house.provider("one", cost="0.0004")
    (job,) = house.accept(
        a_submission(
            to=("ada@Gmail.com", "bob@else.example"), sender="a@News.Example", email_type="transactional"
        )
    )
    with house.engine.begin() as connection:
        connection.execute(
            update(models.EmailJob).where(models.EmailJob.id == job).values(campaign_id=campaign)
        )
    house.drain()
    added(house)
    (row,) = stats(house)
    block, day = house.all("SELECT * FROM email_stats WHERE dimension = 'all' AND grain > 15 ORDER BY grain")
    for longer, grain, begins in ((block, 120, DAY), (day, 1440, DAY.replace(hour=0))):
        assert (longer.grain, longer.slot) == (grain, begins.replace(minute=0))
        assert (counts(longer), longer.spend) == (counts(row), row.spend)
    assert (row.slot, row.user_id, row.currency) == (DAY.replace(minute=0), USER, "USD")
    assert (counts(row), row.recipients, row.spend) == ({"accepted": 1}, 2, Decimal("0.0008"))
    assert sum(getattr(row, f"latency_{step}") or 0 for step in range(32)) == 1
    found = {
        d: stats(house, d)[0].value for d in ("email_type", "sender_domain", "mailbox_group", "campaign")
    }
    assert found == {
        "email_type": "transactional",
        "sender_domain": "news.example",
        "mailbox_group": "google",
        "campaign": str(campaign),
    }


def test_what_comes_days_later_counts_where_the_email_was_sent(house: House) -> None:
    house.set_time(DAY)
    _, attempt = sent(house)
    added(house)
    house.set_time(DAY + timedelta(days=3))
    tell(house, "one", event(EventType.DELIVERED, attempt), event(EventType.OPENED, attempt))
    apply(house)
    added(house)
    tell(house, "one", event(EventType.OPENED, attempt), event(EventType.COMPLAINED, attempt))
    apply(house)
    added(house)
    (row,) = stats(house)
    assert (row.slot, counts(row)) == (
        DAY.replace(minute=0),
        {"accepted": 1, "delivered": 1, "opened": 1, "complained": 1},
    )


def test_a_bounce_that_turns_out_hard_is_no_longer_soft(house: House) -> None:
    _, attempt = sent(house)
    for bounce, shown in ((BounceClass.SOFT, "soft_bounced"), (BounceClass.HARD, "hard_bounced")):
        tell(house, "one", event(EventType.BOUNCED, attempt, bounce=bounce))
        apply(house)
        added(house)
        assert counts(stats(house)[0]) == {"accepted": 1, shown: 1}


def test_a_doubt_that_is_settled_is_a_doubt_no_longer(house: House) -> None:
    (_, one), (_, two) = sent(house, Answer.UNKNOWN), sent(house, Answer.UNKNOWN)
    added(house)
    assert (counts(stats(house)[0]), stats(house)[0].spend) == ({"unknown": 2}, Decimal("0.0008"))
    tell(house, "one", event(EventType.DELIVERED, one), event(EventType.REJECTED, two))
    apply(house)
    added(house)
    assert (counts(stats(house)[0]), stats(house)[0].spend) == (
        {"accepted": 1, "delivered": 1, "not_sent": 1},
        Decimal("0.0004"),
    )


def test_a_worker_that_died_leaves_a_doubt_that_counts(house: House) -> None:
    house.provider("one")
    (job,) = house.accept()
    house.drain()
    with house.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM stats_due")
        connection.exec_driver_sql("UPDATE delivery_attempts SET outcome = NULL, settled_at = NULL")
        connection.exec_driver_sql("UPDATE email_jobs SET status = 'queued'")
        connection.exec_driver_sql(
            "INSERT INTO email_queue (job_id, user_id, lane, due_at) SELECT id, user_id, lane, mm_now() FROM email_jobs"
        )
    house.kill_all()
    house.sweep()
    added(house)
    assert counts(stats(house)[0]) == {"unknown": 1}
    assert house.ledger(job)[0].outcome == Outcome.UNKNOWN.value


def test_adding_up_that_breaks_off_loses_and_doubles_nothing(house: House) -> None:
    house.provider("one")
    house.accept(*(a_submission() for _ in range(3)))
    house.drain()
    with house.units() as unit:
        assert unit.upkeep.lead(Duty.ADD_UP_STATS)
        unit.upkeep.add_up_stats()  # and dies
        added(house)
        assert stats(house) == [], "another adds nothing meanwhile"
    for _ in range(2):
        added(house)
        assert counts(stats(house)[0]) == {"accepted": 3}


def test_more_than_a_transaction_takes_is_added_all_the_same(house: House) -> None:
    house.provider("one")
    house.accept(*(a_submission() for _ in range(3)))
    house.drain()
    with house.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM stats_due")
        connection.exec_driver_sql(
            "INSERT INTO stats_due (measure, change, attempts) "
            "SELECT 'accepted', 1, ARRAY[a.id] FROM delivery_attempts a, generate_series(1, 500)"
        )
    added(house)
    assert counts(stats(house)[0]) == {"accepted": 1500}


def test_statistics_go_after_their_time(house: House) -> None:
    house.set_time(DAY)
    sent(house)
    added(house)
    rota = Rota({Duty.PURGE: 1.0}, Retention(stats=2))
    for days, left in ((1, 12), (3, 0)):
        house.set_time(DAY + timedelta(days=days))
        perform(Duty.PURGE, rota, house.units)
        assert house.one("SELECT count(*) AS rows FROM email_stats").rows == left


def test_what_was_sent_before_there_were_statistics_is_in_them(house: House) -> None:
    """The migration leaves to be added what it finds, as if it had just been settled and told."""
    _, bounced = sent(house)
    _, read = sent(house)
    tell(house, "one", event(EventType.BOUNCED, bounced, bounce=BounceClass.SOFT))
    tell(house, "one", event(EventType.BOUNCED, bounced, bounce=BounceClass.HARD))
    tell(
        house,
        "one",
        event(EventType.OPENED, read),
        event(EventType.OPENED, read),
        event(EventType.COMPLAINED, read),
    )
    apply(house)
    added(house)
    expected = counts(stats(house)[0])
    migration = import_module("db.migrations.versions.0040_stats")
    with house.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE stats_due, email_stats")
        for setting in ("enable_seqscan", "enable_hashjoin"):
            connection.exec_driver_sql(f"SET LOCAL {setting} = on")
        connection.exec_driver_sql(migration._SETTLED_BEFORE)
        connection.exec_driver_sql(migration._TOLD_BEFORE)
    added(house)
    assert counts(stats(house)[0]) == expected == {
        "accepted": 2, "delivered": 1, "hard_bounced": 1, "opened": 1, "complained": 1,
    }  # fmt: skip
