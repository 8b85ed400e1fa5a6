"""The learner's process: `python -m wiring.learner`. Of several, one learns and the others wait for its lease."""

from __future__ import annotations

import os
import signal
import threading

import redis
import structlog

from db.news import RedisNewsroom
from db.repositories.routes import ProviderRow
from db.uow import open_engine
from domain.capabilities import Capabilities
from routing.snapshot import ProviderSnapshot, Snapshot
from wiring.bootstrap import SystemClock, new_id, unit_factory
from wiring.logs import configure_logs
from wiring.settings import Settings
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
            return Snapshot(tuple(_known(row) for row in unit.routes.providers()), tuple(unit.routes.rules()))

    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    log = structlog.get_logger("mailmux.learner")
    LearningProcess(units, RedisNewsroom(client, clock), fleet, clock, log, new_id()).run(asked.wait)
    client.close()
    engine.dispose()


def _known(row: ProviderRow) -> ProviderSnapshot:
    """A provider as far as the learner cares: adapters are the workers' matter."""
    return ProviderSnapshot(
        id=row.id,
        name=row.name,
        capabilities=Capabilities(),
        base_cost=row.base_cost,
        currency=row.currency,
        owner=row.owner,
        active=row.active,
        quota=row.quota,
        rate_per_second=row.rate_per_second,
    )


if __name__ == "__main__":
    main()
