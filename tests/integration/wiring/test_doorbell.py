"""The doorbell on a real Redis: what a ring leaves there."""

from __future__ import annotations

import base64
import time

import pytest
import redis

from domain.message import Lane
from wiring.bootstrap import SystemClock, build_doorbell, publishing_app
from wiring.settings import Settings


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings.from_env(
        {
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "REDIS_URL": redis_url,
            "MAILMUX_ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
        }
    )


def test_rings_that_nobody_hears_do_not_fill_redis_and_carry_no_email(settings: Settings, redis_url: str):
    bell = build_doorbell(settings, publishing_app(settings), SystemClock())
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(60):
            bell.ring(Lane.BULK)
            time.sleep(0.015)
        assert 1 <= client.llen("bulk") <= 8
        (message,) = client.lrange("bulk", 0, 0)
        assert len(message) < 1000
        assert client.llen("transactional") == 0
