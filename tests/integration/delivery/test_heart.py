"""A worker process's life: its lease is renewed, its end leaves nothing behind, and it sweeps for the others."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
import structlog

from domain.message import Lane
from domain.upkeep import Duty
from tests.builders import new_id
from workers.dispatcher import Dispatcher
from workers.run import Heart
from workers.tasks import drain_in_run
from workers.upkeep import Swept


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def heart(house):
    beating = Heart(
        house.units, house.bell, house.clock, new_id, structlog.get_logger("test"),
        lease=2.0, beat=0.2, patience=house.patience,
    )  # fmt: skip
    beating.start()
    yield beating
    if beating._thread.is_alive():
        beating.stop()


def runs(house):
    return [r.id for r in house.all("SELECT id FROM worker_runs")]


def test_a_lease_is_renewed_as_long_as_the_heart_beats(house, heart):
    run = heart.run()
    time.sleep(2.5)
    assert run.alive()
    assert heart.run() is run
    assert runs(house) == [run.id]


def test_a_worker_that_has_nothing_to_do_is_seen_to_be_there(house, heart):
    until(lambda: len(runs(house)) == 1)
    assert [heart.run().id] == runs(house)


def test_an_orderly_end_takes_the_run_away_at_once(house, heart):
    run = heart.run()
    heart.stop()
    assert not run.alive()
    assert runs(house) == []


def test_a_run_that_was_buried_is_dead_here_too_and_a_new_one_follows(house, heart):
    run = heart.run()
    house.kill(run)
    until(lambda: not run.alive())
    assert heart.run().id != run.id


def test_it_frees_what_others_left_and_rings(house, heart):
    house.accept()
    dead = house.run()
    with house.units() as unit:
        unit.delivery.claim(Lane.TRANSACTIONAL, dead.id, 10, house.clock.chance.shuffle)
        unit.commit()
    house.kill(dead)
    until(lambda: house.bell.rung)
    assert house.all("SELECT 1 FROM email_queue WHERE run IS NOT NULL") == []


def test_it_rings_a_lane_when_its_next_email_falls_due(house, heart):
    house.accept(due_in=0.5)
    began = time.monotonic()
    until(lambda: house.bell.rung)
    assert 0.4 < time.monotonic() - began < 1.5


def test_it_wakes_a_lane_at_the_asked_time(house, heart):
    heart.wake(Lane.BULK, 0.05)
    until(lambda: Lane.BULK in house.bell.rung, 1)


def test_sweeping_is_led_by_one_at_a_time(house):
    """As with many hearts, or with two beats. Who finds it done already rings nobody and waits for nobody."""
    house.accept()
    dead = house.run()
    house.kill(dead)
    with house.units() as leading:
        assert leading.upkeep.lead(Duty.SWEEP)
        with ThreadPoolExecutor(4) as hearts:
            swept = list(hearts.map(lambda _: house.sweep(), range(4)))
        assert swept == [Swept()] * 4
        assert (house.bell.rung, runs(house)) == ([], [dead.id])
        leading.commit()
    assert house.sweep().runs == 1
    assert house.bell.rung == [Lane.TRANSACTIONAL]


@dataclass
class Deps:
    heart: Heart
    dispatcher: Dispatcher
    queue: Any = None
    units: Any = None
    house: Any = None
    patience: Any = None
    count: Any = None
    resolver: Any = None
    rota: Any = None


def test_a_drain_that_breaks_off_abandons_its_run_so_that_its_claims_are_freed(house, heart):
    class Gone:
        def snapshot(self):
            raise RuntimeError("broken")

    (job,) = house.accept()
    run = heart.run()
    with pytest.raises(RuntimeError):
        drain_in_run(Lane.TRANSACTIONAL, Deps(heart, replace(house.dispatcher, fleet=Gone())))
    assert not run.alive()
    until(lambda: house.queued(job).run is None)
    house.provider("one")
    drain_in_run(Lane.TRANSACTIONAL, Deps(heart, house.dispatcher))
    assert house.job(job).status == "sent"


def test_a_drain_asks_to_be_woken_for_what_is_due_soon(house, heart):
    house.accept(due_in=0.3)
    drain_in_run(Lane.TRANSACTIONAL, Deps(heart, house.dispatcher))
    until(lambda: house.bell.rung, 2)
