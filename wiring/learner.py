"""The learner's process: `python -m wiring.learner`. Of several, one learns and the others wait for its lease."""

from __future__ import annotations

import os
import signal
import threading

import redis
import structlog

from db.news import RedisNewsroom
from db.uow import open_engine
from routing.snapshot import Snapshot
from wiring.bootstrap import SystemClock, new_id, unit_factory
from wiring.logs import configure_logs
from wiring.settings import Settings
from workers.fleet import known
from workers.learner import LearningProcess


def main() -> None:
    settings = Settings.from_env(os.environ)
    configure_logs(settings.log_level)
    engine = open_engine(
        settings.database_url.reveal(),
        pool_size=2,
        application="mailmux-learner",
        deadline=settings.database_deadline_seconds,
    )
    units, clock = unit_factory(engine), SystemClock()
    client = redis.Redis.from_url(settings.redis_url.reveal(), socket_timeout=2, socket_connect_timeout=2)

    def fleet() -> Snapshot:
        with units() as unit:
            return Snapshot(
                tuple(known(row, settings.exchange_rates) for row in unit.routes.providers()),
                tuple(unit.routes.rules()),
            )

    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    log = structlog.get_logger("mailmux.learner")
    LearningProcess(units, RedisNewsroom(client, clock), fleet, clock, log, new_id()).run(asked.wait)
    client.close()
    engine.dispose()


if __name__ == "__main__":
    main()
