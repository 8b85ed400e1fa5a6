"""What /metrics is told: the database, Redis and the shared counters, looked at when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import redis
import structlog

from api.metrics import Sight, Watch
from db.live import RedisLiveState
from db.news import RedisNewsroom
from db.repositories.census import Census, take_census
from db.tally import Tally
from db.uow import SqlUnitOfWork
from domain.errors import StorageUnavailable
from domain.message import Lane
from routing.breaker import Admission
from wiring.bootstrap import SystemClock
from wiring.settings import Settings
from workers.queue import SLOW_QUEUE, UPKEEP_QUEUE

_TIMEOUT = 1.0  # seconds for Redis

log = structlog.get_logger(__name__)


def build_watch(settings: Settings, units: Callable[[], SqlUnitOfWork], clock: SystemClock) -> Watch:
    client = redis.Redis.from_url(
        settings.redis_url.reveal(), socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
    )
    tally, live, newsroom = Tally(client), RedisLiveState(client, clock), RedisNewsroom(client, clock)

    def look() -> Sight:
        census = _census(units)
        try:
            counts, messages = tally.read(), _messages(client)
        except redis.RedisError as error:
            log.warning("metrics_without_redis", error=type(error).__name__)
            return Sight(census)
        return Sight(census, _breakers(live, census), _standings(newsroom), messages, counts)

    def observe(method: str, route: str, status: str, seconds: float) -> None:
        tally.observe("request", method, route, status, seconds=seconds)

    token = settings.metrics_token.reveal() if settings.metrics_token is not None else None
    return Watch(look, observe, token)


def _census(units: Callable[[], SqlUnitOfWork]) -> Census | None:
    try:
        with units() as unit:
            return take_census(unit.connection)
    except StorageUnavailable as error:
        log.warning("metrics_without_database", error=type(error).__name__)
        return None


def _messages(client: redis.Redis) -> Mapping[str, int]:
    queues = (*(lane.value for lane in Lane), UPKEEP_QUEUE, SLOW_QUEUE)
    return {name: cast("int", client.llen(name)) for name in queues}


def _breakers(live: RedisLiveState, census: Census | None) -> Mapping[UUID, tuple[int, bool]]:
    """By this machine's clock: what it says is for people to look at, and decides nothing."""
    now = datetime.now(UTC)
    states = {Admission.OPEN_DOOR: 0, Admission.PROBE: 1, Admission.SHUT: 2}
    known = live.breakers([p.id for p in census.providers] if census is not None else [])
    return {key: (states[b.admission(now)], b.throttled(now)) for key, b in known.items()}


def _standings(newsroom: RedisNewsroom) -> Mapping[UUID, tuple[float, bool, int]]:
    return {
        key: (standing.share, standing.feed_down, len(standing.alarmed))
        for key, standing in newsroom.view().standings.items()
    }
