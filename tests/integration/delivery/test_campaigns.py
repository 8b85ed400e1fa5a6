"""What is halted is not sent, and what harms stops by itself."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
import structlog

from db.repositories.campaigns import Plan
from domain.events import BounceClass, EventType
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_events import apply, event, tell
from workers.campaigns import watch
from workers.delivery import HALTED

LOG = structlog.get_logger("test")


def campaign(house: House, cap: str | None = None, min_sent: int = 2) -> UUID:
    made = new_id()
    with house.units() as unit:
        unit.campaigns.write(made, USER, Plan("c", None, Decimal(cap) if cap else None, 0.5, 0.5, min_sent))
        unit.commit()
    return made


def accept(house: House, campaign_id: UUID | None, count: int = 2) -> list[UUID]:
    jobs = house.accept(*(a_submission() for _ in range(count)))
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE email_jobs SET campaign_id = %s WHERE id = ANY(%s)", (campaign_id, jobs)
        )
    return jobs


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
        assert unit.campaigns.wake_campaign(spring, None, 0, UUID(int=0), 100) == sorted(mine)
        unit.commit()
    house.drain()
    assert statuses(house, mine) == ["sent", "sent"]


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


def test_what_a_worker_held_while_its_campaign_was_cancelled_is_taken_back_later(house: House) -> None:
    house.provider("one")
    spring = campaign(house)
    jobs = accept(house, spring)
    turn(house, spring, "cancelled")
    house.drain()
    watch(house.units, new_id, LOG)
    assert statuses(house, jobs) == ["cancelled", "cancelled"]
    assert house.all("SELECT 1 FROM email_queue") == []
