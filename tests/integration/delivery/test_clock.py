"""A database clock that is an hour off from the machine's: everything happens once, and nothing before its time."""

from __future__ import annotations

import pytest

from domain.message import Lane
from domain.upkeep import Duty, Rota
from tests.builders import a_submission
from tests.integration.delivery.conftest import House
from workers.upkeep import overdue, perform

HOUR = 3600.0
OFFSETS = pytest.mark.parametrize("offset", [-HOUR, HOUR], ids=["behind", "ahead"])


@pytest.fixture
def offset_house(house: House, offset: float) -> House:
    house.pass_time(offset)
    return house


@OFFSETS
def test_an_email_leaves_at_its_time_by_that_clock_and_once(offset_house: House):
    house = offset_house
    provider = house.provider("only")
    now, later = house.accept()[0], house.accept(due_in=600)[0]
    house.drain()
    assert [s.submission.id for s in provider.sent] == [now]
    house.pass_time(598)
    house.sweep()
    assert house.drain() == pytest.approx(2, abs=1), "it says when the next one is due"
    assert len(provider.sent) == 1
    house.pass_time(3)
    house.sweep()
    house.drain()
    house.drain()
    assert [s.submission.id for s in provider.sent] == [now, later]
    assert house.timeline(later) == ["sent"]


@OFFSETS
def test_what_a_dead_worker_left_is_settled_once_when_its_lease_has_passed_and_not_before(
    offset_house: House,
):
    house = offset_house
    house.provider("only")
    (job,) = house.accept()
    with house.units() as unit:
        unit.delivery.claim(Lane.TRANSACTIONAL, house.run(lease=15).id, 10, lambda _: None)
        unit.commit()
    assert house.sweep().runs == 0, "it may live"
    house.pass_time(14)
    assert house.sweep().runs == 0
    house.pass_time(2)
    assert [house.sweep().runs, house.sweep().runs] == [1, 0]
    house.drain()
    assert house.timeline(job) == ["sent"]


@OFFSETS
def test_no_duty_is_done_twice_or_early(offset_house: House):
    house = offset_house
    rota = Rota({duty: HOUR for duty in Duty if duty is not Duty.SWEEP})
    for duty in rota.every:
        assert [perform(duty, rota, house.units), perform(duty, rota, house.units)] == [True, False]
    house.pass_time(HOUR - 2)
    assert not any(perform(duty, rota, house.units) for duty in rota.every)
    house.pass_time(2)
    assert all(perform(duty, rota, house.units) for duty in rota.every)
    assert overdue(rota, house.units) == []


@OFFSETS
def test_an_email_is_expired_at_its_time_and_not_before(offset_house: House):
    house = offset_house
    provider = house.provider("only")
    expires = house.one("SELECT mm_now() + interval '600 seconds' AS at").at
    (job,) = house.accept(a_submission(expires_at=expires), due_in=598)
    house.pass_time(598)
    house.drain()
    assert (len(provider.sent), house.timeline(job)) == (1, ["sent"])
    (late,) = house.accept(a_submission(expires_at=expires), due_in=3)
    house.pass_time(3)
    house.drain()
    assert (len(provider.sent), house.timeline(late)) == (1, ["expired"])
