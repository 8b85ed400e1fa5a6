"""The doorbell: leading and trailing edge, off the caller's thread, and never in the way."""

from __future__ import annotations

import threading
import time

from domain.message import Lane
from tests.builders import chance
from workers.queue import Doorbell


class Clock:
    chance = chance()

    def monotonic(self):
        return time.monotonic()

    def sleep(self, seconds):
        time.sleep(seconds)


class Broker:
    def __init__(self, delay=0.0, fails=0):
        self.rung, self.delay, self.fails = [], delay, fails
        self.heard = threading.Condition()

    def __call__(self, lane):
        time.sleep(self.delay)
        with self.heard:
            if self.fails > 0:
                self.fails -= 1
                self.heard.notify_all()
                raise ConnectionError("no broker")
            self.rung.append(lane)
            self.heard.notify_all()

    def wait(self, until, seconds=5):
        with self.heard:
            assert self.heard.wait_for(until, seconds)


def test_the_first_ring_goes_out_at_once():
    broker = Broker()
    Doorbell(broker, Clock()).ring(Lane.BULK)
    broker.wait(lambda: broker.rung == [Lane.BULK])


def test_a_burst_becomes_few_rings_and_the_last_is_never_lost():
    broker = Broker(delay=0.02)
    bell = Doorbell(broker, Clock())
    for _ in range(500):
        bell.ring(Lane.TRANSACTIONAL)
    broker.wait(lambda: len(broker.rung) >= 1)
    before = len(broker.rung)
    bell.ring(Lane.TRANSACTIONAL)
    broker.wait(lambda: len(broker.rung) > before)
    assert len(broker.rung) < 20


def test_each_lane_is_rung():
    broker = Broker()
    bell = Doorbell(broker, Clock())
    bell.ring(Lane.BULK)
    bell.ring(Lane.TRANSACTIONAL)
    broker.wait(lambda: set(broker.rung) == set(Lane))


def test_a_broker_that_is_away_neither_slows_nor_breaks_the_caller():
    broker = Broker(delay=0.2, fails=3)
    bell = Doorbell(broker, Clock())
    began = time.monotonic()
    for _ in range(100):
        bell.ring(Lane.BULK)
    assert time.monotonic() - began < 0.15
    broker.wait(lambda: broker.fails < 3)
    while broker.fails:
        bell.ring(Lane.BULK)
        time.sleep(0.05)
    bell.ring(Lane.BULK)
    broker.wait(lambda: broker.rung != [])
