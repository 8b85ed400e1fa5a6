"""The API's entry for a WSGI server: `wiring.wsgi:app`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import redis
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from api.app import create_app
from api.deps import Check, Dependencies, Limits
from api.gathering import Gathering
from api.links import Signer
from api.posts import Posts
from db.throttle import RedisThrottle
from db.uow import open_engine
from domain.files import BlobStore
from domain.intake import HouseRules
from providers.dns import DNS
from wiring.bootstrap import (
    Foundry,
    SystemClock,
    build_board,
    build_doorbell,
    build_sealer,
    new_id,
    publishing_app,
    unit_factory,
)
from wiring.collector import spare_the_collector
from wiring.logs import configure_logs
from wiring.migrate import migrations_folder
from wiring.rendering.pool import RendererPool
from wiring.settings import Settings
from wiring.stores import StoreWatch, build_fetch, build_store
from wiring.watching import build_watch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

_KEY_TIMEOUT = 0.1  # seconds that a request waits for its key to be counted
_REDIS_TIMEOUT = 1.0  # seconds that a readiness check waits


def build_api(settings: Settings) -> Dependencies:
    """What the API is given. Opens no connection yet."""
    clock = SystemClock()
    # Each request thread holds at most one connection at a time.
    engine = open_engine(
        settings.database_url.reveal(),
        pool_size=settings.api_threads,
        application="mailmux-api",
        deadline=settings.database_deadline_seconds,
    )
    foundry, store = Foundry(settings, clock), build_store(settings)
    units, queue = (
        unit_factory(engine, settings.exchange_rates),
        build_doorbell(settings, publishing_app(settings), clock),
    )
    client = redis.Redis.from_url(
        settings.redis_url.reveal(), socket_timeout=_KEY_TIMEOUT, socket_connect_timeout=_KEY_TIMEOUT
    )
    board, heal = build_board(settings, units, foundry, clock)
    return Dependencies(
        units=units,
        gathering=Gathering(units, queue, new_id, HouseRules(settings.public_url, settings.own_domains_only)),
        ids=new_id,
        sealer=build_sealer(settings),
        clock=clock,
        build_provider=foundry.build,
        posts=Posts(units, queue),
        build_receiver=foundry.receiver,
        confirm=foundry.confirm,
        renderer=RendererPool(settings.renderers),
        store=store,
        fetch=build_fetch(settings, clock),
        resolver=DNS(settings.dns_servers),
        links=Signer(settings.encryption_keys, settings.encryption_keys.current),
        ready=_readiness(engine, settings.redis_url.reveal(), store),
        watch=build_watch(settings, units, clock),
        limits=Limits(
            max_body_bytes=settings.max_body_bytes,
            max_attachments_bytes=settings.attachments.max_bytes,
            plain_http=settings.plain_http_hosts,
            session_seconds=settings.session_hours * 3600,
            trusted_proxies=settings.trusted_proxies,
            idempotency_ttl=timedelta(hours=settings.idempotency_ttl_hours),
        ),
        public_url=settings.public_url,
        exchange=settings.exchange_rates,
        board=board,
        heal=heal,
        throttle=RedisThrottle(client, clock).take,
    )


def _readiness(engine: Engine, redis_url: str, store: BlobStore) -> Callable[[], list[Check]]:
    newest = ScriptDirectory(str(migrations_folder())).get_current_head()
    client = redis.Redis.from_url(
        redis_url, socket_timeout=_REDIS_TIMEOUT, socket_connect_timeout=_REDIS_TIMEOUT
    )

    watch = StoreWatch(store, client)

    def database() -> list[Check]:
        try:
            with engine.connect() as connection:
                connection.execute(text("SET LOCAL statement_timeout = '2s'"))
                found = MigrationContext.configure(connection).get_current_revision()
        except SQLAlchemyError as error:
            return [Check("postgres", ok=False, detail=type(error).__name__)]
        detail = "" if found == newest else f"the schema is at {found}, this version needs {newest}"
        return [Check("postgres", ok=True), Check("migrations", ok=found == newest, detail=detail)]

    def broker() -> Check:
        try:
            client.ping()
        except (redis.RedisError, OSError) as error:
            return Check("redis", ok=False, required=False, detail=type(error).__name__)
        return Check("redis", ok=True, required=False)

    return lambda: [*database(), broker(), watch.check()]


class LazyApp:
    """Builds the application for the first request: importing this module needs no settings."""

    def __init__(self) -> None:
        self._app: WSGIApplication | None = None
        self._building = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        with self._building:
            if self._app is None:
                self._app = self._build()
        return self._app(environ, start_response)

    @staticmethod
    def _build() -> WSGIApplication:
        settings = Settings.from_env(os.environ)
        configure_logs(settings.log_level)
        built = create_app(build_api(settings))
        spare_the_collector()
        return built


app = LazyApp()
