"""The composition root: builds what the API and the workers are given, from the settings alone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import redis
import structlog
import uuid_utils.compat as uuid_utils
from celery import Celery
from sqlalchemy import Engine

from db.live import RedisLiveState
from db.news import RedisNewsroom
from db.repositories.routes import ProviderRow
from db.sealing import Sealer
from db.tally import Tally
from db.uow import SqlUnitOfWork, open_engine
from domain.errors import ProviderUnavailable
from domain.message import Lane
from domain.ports import Provider, WebhookReceiver
from domain.sender_domains import Resolver
from domain.upkeep import Duty, Retention, Rota
from providers import registry
from providers.dns import DNS
from providers.exchange import Origin, Request
from providers.reach import public_only
from providers.world import Timeouts, World
from routing.news import Healed
from routing.policy import Patience
from routing.snapshot import Snapshot
from wiring.clocks import report_clock
from wiring.settings import Settings
from wiring.stores import StoreWatch, build_store
from workers.counting import CountingSender
from workers.dispatcher import Dispatcher, Knobs
from workers.files import FileReader
from workers.fleet import Configured, ConfiguredFleet
from workers.mailbox_hosts import HostFinder
from workers.planning import Board
from workers.queue import (
    DRAIN_TASK,
    EVENTS_TASK,
    UPKEEP_QUEUE,
    DeliveryBells,
    Doorbell,
    Inbox,
    duty_queue,
    duty_task,
)
from workers.run import Heart
from workers.upkeep import overdue

_UNHEARD_RINGS = 8  # in a lane's queue, after which no more are added
_UNDONE_DUTIES = 2 * len(Duty)  # in a queue for upkeep, likewise
_FRESH = 0.2  # seconds that what was read of the providers is used
_LIVE_TIMEOUT = 0.05  # seconds that a decision waits for Redis


class SystemClock:
    """domain.ports.Clock of the real world."""

    def __init__(self) -> None:
        self.chance = random.Random()

    monotonic = staticmethod(time.monotonic)  # asked for several times for each email

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): unique, and in the order of time."""
    return uuid_utils.uuid7()


def unit_factory(
    engine: Engine, exchange: Mapping[str, Decimal] | None = None
) -> Callable[[], SqlUnitOfWork]:
    """`exchange`: the rates by which money is counted, where it is."""
    return lambda: SqlUnitOfWork(engine, exchange or {})


def build_sealer(settings: Settings) -> Sealer:
    return Sealer(settings.encryption_keys, settings.encryption_keys.current)


def build_rota(settings: Settings) -> Rota:
    knobs = settings.upkeep

    def kept(days: float) -> float | None:
        return days or None

    return Rota(
        {
            Duty.OPEN_QUOTA_WINDOWS: knobs.quota_seconds,
            Duty.MEASURE_PROVIDERS: knobs.measure_seconds,
            Duty.FORGET_IDEMPOTENCY_KEYS: knobs.forget_keys_seconds,
            Duty.PURGE: knobs.purge_seconds,
            Duty.REPEAT_CALLS: knobs.repeat_seconds,
            Duty.LOOK_UP: knobs.look_up_seconds,
            Duty.READ_REPORTS: knobs.reports_seconds,
            Duty.COLLECT_FILES: knobs.collect_files_seconds,
            Duty.WATCH_CAMPAIGNS: knobs.campaigns_seconds,
            Duty.CHECK_DOMAINS: knobs.domains_seconds,
            Duty.ADD_UP_STATS: knobs.stats_seconds,
            Duty.ERASE: knobs.erase_seconds,
        },
        Retention(
            bodies=kept(knobs.keep_bodies_days),
            files=kept(knobs.keep_files_days),
            attempts=kept(knobs.keep_attempts_days),
            timeline=kept(knobs.keep_timeline_days),
            events=kept(knobs.keep_events_days),
            performance=kept(knobs.keep_performance_days),
            stats=kept(knobs.keep_stats_days),
            emails=kept(knobs.keep_emails_days),
            audit=kept(knobs.keep_audit_days),
        ),
    )


def with_threads(count: int, name: str) -> ThreadPoolExecutor:
    """A pool whose threads run from the start. One that cannot be started later, for want of memory, would fail a
    window that is in the ledger already.
    """
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    together = threading.Barrier(count)
    for started in [pool.submit(together.wait) for _ in range(count)]:
        started.result()
    return pool


class Foundry:
    """Makes adapters. A member's accounts must be at public addresses; an operator's may be anywhere."""

    def __init__(self, settings: Settings, clock: SystemClock) -> None:
        limits = settings.provider
        timeouts = Timeouts(limits.connect_seconds, limits.read_seconds, limits.total_seconds)
        self._trusted = World(clock=clock, wall_time=lambda: datetime.now(UTC), timeouts=timeouts)
        self._public = replace(self._trusted, may_reach=public_only)
        self.plain_http = settings.plain_http_hosts

    def build(
        self,
        kind: str,
        name: str,
        config: Mapping[str, Any],
        credentials: Mapping[str, str],
        *,
        trusted: bool,
    ) -> Provider:
        """The adapter of an account. Raises where its kind, settings or credentials cannot be used."""
        checked, secrets = registry.validate(kind, config, credentials, self.plain_http)
        return registry.build(kind, name, checked, secrets, self._trusted if trusted else self._public)

    def receiver(
        self,
        kind: str,
        name: str,
        config: Mapping[str, Any],
        secrets: Sequence[Mapping[str, Any]],
        *,
        trusted: bool,
    ) -> WebhookReceiver | None:
        """The webhook of an account. Raises where its kind, settings or secrets cannot be used."""
        checked = registry.settings(kind, config, self.plain_http)
        return registry.receiver(kind, name, checked, secrets, self._trusted if trusted else self._public)

    def confirm(self, provider: str, url: str) -> None:
        """GET an address of a provider's, at a public host. Raises ProviderError."""
        parts = urlsplit(url)
        origin = Origin(provider, f"{parts.scheme}://{parts.netloc}", self._public)
        try:
            path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
            answer = origin.perform(Request("GET", path))
        finally:
            origin.close()
        if not 200 <= answer.status < 300:
            raise ProviderUnavailable(provider, f"the address to be confirmed answered {answer.status}")


def build_doorbell(settings: Settings, app: Celery, clock: SystemClock) -> DeliveryBells:
    """The bell that drains are rung with. `app` may be configured for publishing only.

    Rings that nobody has heard yet are as good as a new one; without this bound they would fill Redis while
    the workers are away.
    """
    waiting = _waiting(settings)

    def ring(lane: Lane) -> None:
        if waiting(lane.value) < _UNHEARD_RINGS:
            app.send_task(DRAIN_TASK, args=(lane.value,), queue=lane.value, retry=False, ignore_result=True)

    def ring_events(_: Inbox) -> None:
        if waiting(UPKEEP_QUEUE) < _UNDONE_DUTIES:
            app.send_task(EVENTS_TASK, queue=UPKEEP_QUEUE, retry=False, ignore_result=True)

    return DeliveryBells(ring, ring_events, clock)


def duty_publisher(settings: Settings, app: Celery) -> Callable[[Duty], None]:
    """What asks the workers for a duty. As above: what waits already is as good, whatever anybody's clock says."""
    waiting = _waiting(settings)

    def publish(duty: Duty) -> None:
        queue = duty_queue(duty)
        if waiting(queue) < _UNDONE_DUTIES:
            app.send_task(duty_task(duty), queue=queue, retry=False, ignore_result=True)

    return publish


def _waiting(settings: Settings) -> Callable[[str], int]:
    client = redis.Redis.from_url(settings.redis_url.reveal(), socket_timeout=1, socket_connect_timeout=1)
    return lambda queue: cast("int", client.llen(queue))


def publishing_app(settings: Settings) -> Celery:
    """A Celery app that only rings: short timeouts, since it runs beside requests."""
    app = Celery("mailmux")
    app.conf.update(
        broker_url=settings.redis_url.reveal(),
        task_serializer="json",
        task_ignore_result=True,
        broker_connection_retry=False,
        broker_transport_options={"socket_timeout": 1, "socket_connect_timeout": 1, "max_retries": 0},
    )
    return app


def build_board(
    settings: Settings, units: Callable[[], SqlUnitOfWork], foundry: Foundry, clock: SystemClock
) -> tuple[Callable[[], Snapshot], Callable[[UUID], None]]:
    """What shows the providers as the workers see them now, and what says that one is well. Opens no connection yet."""
    client = redis.Redis.from_url(
        settings.redis_url.reveal(), socket_timeout=_LIVE_TIMEOUT, socket_connect_timeout=_LIVE_TIMEOUT
    )
    sealer, live, newsroom = (
        build_sealer(settings),
        RedisLiveState(client, clock),
        RedisNewsroom(client, clock),
    )

    def read() -> Configured:
        with units() as unit:
            return _configured(unit)

    def build(row: ProviderRow) -> Provider:
        credentials = sealer.open(row.sealed, owner=row.owner, kind=row.kind, row=row.id)
        return foundry.build(row.kind, row.name, row.config, credentials, trusted=row.trusted)

    def heal(provider: UUID) -> None:
        live.forget(provider)
        newsroom.send([Healed(provider)])

    fleet = ConfiguredFleet(read, build, clock, _FRESH, settings.exchange_rates)
    return lambda: Board(fleet.snapshot(), live, newsroom.view()).snapshot(), heal


def _configured(unit: SqlUnitOfWork) -> Configured:
    routes = unit.routes
    return routes.providers(), routes.rules(), routes.homes(), unit.budgets.spending()


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker process works with (workers.tasks.WorkerDeps)."""

    units: Callable[[], SqlUnitOfWork]
    queue: DeliveryBells
    heart: Heart
    dispatcher: Dispatcher
    patience: Patience
    rota: Rota
    count: Tally
    resolver: Resolver
    close: Callable[[], None]

    @property
    def house(self) -> Callable[[], SqlUnitOfWork]:
        return self.units


def build_worker(
    settings: Settings,
    app: Celery,
    stopping: Callable[[], bool],
    pulse: Callable[[], None] = lambda: None,
) -> Worker:
    """Build a worker process's dependencies. Call it after the fork: sockets and threads do not survive one.

    `stopping()` tells that the worker is asked to end; `pulse()` is called at every beat of its heart.
    """
    knobs, clock = settings.delivery, SystemClock()
    log = structlog.get_logger("mailmux.worker")
    engine = open_engine(
        settings.database_url.reveal(),
        pool_size=4,
        application="mailmux-worker",
        deadline=settings.database_deadline_seconds,
    )
    units = unit_factory(engine, settings.exchange_rates)
    sealer, foundry = build_sealer(settings), Foundry(settings, clock)
    patience = Patience(knobs.unknown_ttl_seconds, knobs.resend_after_seconds, knobs.give_up_after_seconds)
    client = redis.Redis.from_url(
        settings.redis_url.reveal(), socket_timeout=_LIVE_TIMEOUT, socket_connect_timeout=_LIVE_TIMEOUT
    )

    def read() -> Configured:
        with units() as unit:
            unit.quotas.roll()
            found = _configured(unit)
            unit.commit()
        return found

    def build(row: ProviderRow) -> Provider:
        credentials = sealer.open(row.sealed, owner=row.owner, kind=row.kind, row=row.id)
        return foundry.build(row.kind, row.name, row.config, credentials, trusted=row.trusted)

    fleet = ConfiguredFleet(read, build, clock, _FRESH, settings.exchange_rates)
    queue = build_doorbell(settings, app, clock)
    slow_client = redis.Redis.from_url(
        settings.redis_url.reveal(), socket_timeout=1, socket_connect_timeout=1
    )
    rota, duties = build_rota(settings), Doorbell(duty_publisher(settings, app), clock)

    store = build_store(settings)
    watch = StoreWatch(store, slow_client)

    def look_round() -> None:
        pulse()
        with suppress(redis.RedisError):
            watch.report()
        for duty in overdue(rota, units):
            duties.ring(duty)
        with units() as unit, suppress(redis.RedisError):  # told of elsewhere, when it is away
            report_clock(unit.connection, slow_client)

    pool = with_threads(knobs.in_flight, "mailmux-send")
    crew = with_threads(2, "mailmux-flight")
    tally = Tally(slow_client)
    sender = CountingSender(fleet.adapter, pool, clock, log)
    sender.count = tally
    heart = Heart(
        units, queue, clock, new_id, log,
        lease=knobs.lease_seconds, beat=knobs.heartbeat_seconds, patience=patience,
        look_round=look_round,
    )  # fmt: skip
    newsroom = RedisNewsroom(slow_client, clock)
    resolver = DNS(settings.dns_servers)
    finder = HostFinder(units, resolver, log)
    if settings.mx_lookups:
        finder.start()
    dispatcher = Dispatcher(
        units=units,
        fleet=fleet,
        live=RedisLiveState(client, clock),
        clock=clock,
        ids=new_id,
        sender=sender,
        crew=crew,
        log=log,
        knobs=Knobs(
            batch=knobs.batch,
            window=knobs.window,
            bulk_window=knobs.bulk_window,
            claim_cap=knobs.claim_cap,
            drain_seconds=knobs.drain_seconds,
            patience=patience,
        ),
        stopping=stopping,
        newsroom=newsroom,
        files=FileReader(store),
        ring_events=queue.ring_events,
    )

    def close() -> None:
        heart.stop()
        finder.stop()
        crew.shutdown(wait=True)
        pool.shutdown(wait=True)
        newsroom.close()
        fleet.close()
        tally.close()
        client.close()
        slow_client.close()
        engine.dispose()

    return Worker(units, queue, heart, dispatcher, patience, rota, tally, resolver, close)
