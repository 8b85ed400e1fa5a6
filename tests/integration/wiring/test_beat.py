"""Beat on a real Redis: it rings by a clock that nobody can set, and never fills the queue."""

from __future__ import annotations

import base64
import json
import os
import time
from collections import Counter

import pytest
import redis
from celery import Celery

from domain.upkeep import Duty
from wiring.beat import DutyScheduler
from wiring.bootstrap import build_worker, publishing_app
from wiring.settings import Settings
from workers.upkeep import perform


@pytest.fixture
def app(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Celery:
    environ = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": redis_url,
        "MAILMUX_ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    app = publishing_app(Settings.from_env(environ))
    app.conf.beat_schedule = {
        "sweep": {"task": "mailmux.sweep", "schedule": 0.2},
        "purge": {"task": "mailmux.purge", "schedule": 60.0},
    }
    return app


def rung(redis_url: str) -> Counter[str]:
    with redis.Redis.from_url(redis_url) as client:
        messages = [m for queue in ("upkeep", "slow") for m in client.lrange(queue, 0, -1)]
        return Counter(json.loads(m)["headers"]["task"] for m in messages)


def test_each_duty_is_rung_for_at_the_start_and_then_in_its_turn(app: Celery, redis_url: str):
    beat = DutyScheduler(app)
    wait = beat.tick()
    assert 0 <= wait <= 0.2  # 0: connecting took longer than that
    assert rung(redis_url) == {"mailmux.sweep": 1, "mailmux.purge": 1}
    time.sleep(wait)
    beat.tick()
    assert rung(redis_url) == {"mailmux.sweep": 2, "mailmux.purge": 1}


def test_what_takes_long_is_rung_for_where_the_transactional_worker_does_not_hear_it(
    app: Celery, redis_url: str
):
    DutyScheduler(app).tick()
    with redis.Redis.from_url(redis_url) as client:
        rings = {
            q: [json.loads(m)["headers"]["task"] for m in client.lrange(q, 0, -1)] for q in ("upkeep", "slow")
        }
    assert rings == {"upkeep": ["mailmux.sweep"], "slow": ["mailmux.purge"]}


def test_rings_carry_no_expiry_that_a_workers_clock_could_judge(app: Celery, redis_url: str):
    DutyScheduler(app).tick()
    with redis.Redis.from_url(redis_url) as client:
        messages = [m for queue in ("upkeep", "slow") for m in client.lrange(queue, 0, -1)]
    headers = [json.loads(m)["headers"] for m in messages]
    assert [(h["expires"], h["eta"]) for h in headers] == [(None, None)] * 2


def test_while_nobody_works_the_queue_stays_short(app: Celery, redis_url: str):
    app.conf.beat_schedule = {"sweep": {"task": "mailmux.sweep", "schedule": 0.0}}
    beats = DutyScheduler(app), DutyScheduler(app)
    for _ in range(50):
        for beat in beats:
            beat.tick()
    assert 1 <= rung(redis_url)["mailmux.sweep"] <= 2 * len(Duty) + 1


def test_a_redis_that_is_away_does_not_end_it(app: Celery, redis_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert DutyScheduler(app).tick() >= 0


def test_without_beat_a_workers_heart_rings_for_what_is_overdue(
    app: Celery, redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MAILMUX_HEARTBEAT_SECONDS", "0.2")
    worker = build_worker(Settings.from_env(os.environ), app, lambda: False)
    periodic = [duty for duty in Duty if duty is not Duty.SWEEP]
    worker.heart.start()
    try:
        end = time.monotonic() + 10
        while not {f"mailmux.{duty.value}" for duty in periodic} <= set(rung(redis_url)):
            assert time.monotonic() < end, rung(redis_url)
            time.sleep(0.05)
        for duty in periodic:
            assert perform(duty, worker.rota, worker.units)
        time.sleep(0.5)
        with redis.Redis.from_url(redis_url) as client:
            client.delete("upkeep", "slow")
            time.sleep(1)
            assert rung(redis_url) == {}, "what was done is not rung for"
            assert client.hlen("mailmux:clocks") == 1
    finally:
        worker.close()


def test_the_schedule_of_the_service_names_every_duty(app: Celery):
    import celeryconfig

    assert {Duty(name) for name in celeryconfig.beat_schedule} == set(Duty)
    assert celeryconfig.beat_scheduler == f"{DutyScheduler.__module__}:{DutyScheduler.__name__}"
    assert all("options" not in entry for entry in celeryconfig.beat_schedule.values())
