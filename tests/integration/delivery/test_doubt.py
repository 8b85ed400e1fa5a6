"""An email that an earlier try may have brought never ends as not sent, however its way ends."""

from __future__ import annotations

import pytest

from db.repositories.emails import NotCancellable
from db.repositories.selection import EmailQuery
from domain.message import Lane, OnUnknown
from providers.memory import Answer, Config, MemoryProvider
from tests.builders import USER, a_submission, new_id


@pytest.fixture
def in_doubt(house):
    """An email that waits for another round after one try whose end nobody knows."""
    house.provider("one")
    house.adapters["one"] = MemoryProvider(
        "one", Config(answer=Answer.UNAVAILABLE), script=[Answer.TAKEN_BUT_UNKNOWN]
    )
    (job,) = house.accept(a_submission(on_unknown=OnUnknown.RESEND))
    house.drain()
    house.pass_time(61)
    house.drain()
    assert [a.outcome for a in house.ledger(job)] == ["unknown", "not_sent"]
    assert (house.job(job).status, house.queued(job).held) == ("deferred", False)
    return job


def die_over(house, times):
    for _ in range(times):
        run = house.run()
        with house.units() as unit:
            unit.delivery.claim(Lane.TRANSACTIONAL, run.id, 1, house.clock.chance.shuffle)
            unit.commit()
        house.kill(run)
        house.sweep()


def test_it_is_not_cancelled(house, in_doubt):
    with house.units() as unit, pytest.raises(NotCancellable, match="deferred"):
        unit.emails.cancel(USER, in_doubt, new_id())
    assert house.queued(in_doubt) is not None


def test_it_is_not_cancelled_among_many(house, in_doubt):
    (clean,) = house.accept()
    with house.units() as unit:
        assert unit.emails.count_waiting(USER, EmailQuery()) == 1
        assert unit.emails.cancel_many(USER, EmailQuery(), 10, new_id) == [clean]
        unit.commit()
    assert house.job(in_doubt).status == "deferred"


def test_it_is_unknown_where_workers_keep_dying_over_it(house, in_doubt):
    house.pass_time(30)
    die_over(house, 5)
    house.drain()
    assert house.job(in_doubt).status == "unknown"
    assert "workers died" in house.job(in_doubt).status_reason
    assert house.queued(in_doubt) is None
