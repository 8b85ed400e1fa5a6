"""Which worker takes what: nothing that may hang, or takes long, is taken by the one that an OTP must not wait for."""

from __future__ import annotations

from domain.message import Lane
from domain.upkeep import Duty
from wiring import commands
from workers import tasks
from workers.queue import SLOW_QUEUE, UPKEEP_QUEUE, duty_queue

QUICK = {
    Duty.SWEEP,
    Duty.OPEN_QUOTA_WINDOWS,
    Duty.MEASURE_PROVIDERS,
    Duty.FORGET_IDEMPOTENCY_KEYS,
    Duty.WATCH_CAMPAIGNS,
}


def test_the_transactional_worker_takes_no_duty_that_asks_others_or_takes_long():
    _, queues = commands.TRANSACTIONAL
    assert {duty for duty in Duty if duty_queue(duty) in queues} == QUICK


def test_what_has_a_function_of_its_own_is_slow_unless_it_only_asks_the_database():
    assert set(tasks._ALONE) - {Duty.WATCH_CAMPAIGNS} == {d for d in Duty if duty_queue(d) == SLOW_QUEUE} - {
        Duty.PURGE
    }


def test_each_queue_has_a_worker_and_what_is_slow_has_one_that_no_campaign_keeps():
    workers = (commands.TRANSACTIONAL, commands.ALL_LANES, commands.SLOW)
    taken = {queue for _, queues in workers for queue in queues}
    assert taken == {*(lane.value for lane in Lane), *map(duty_queue, Duty), UPKEEP_QUEUE}
    assert [name for name, queues in workers if SLOW_QUEUE in queues] == ["slow"]
    assert set(commands.SLOW[1]) == {SLOW_QUEUE}
    for name, queues in workers:
        assert ",".join(queues) in commands.worker(name, queues)
