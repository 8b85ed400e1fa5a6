"""The process that calls the users' webhooks: `python -m wiring.webhooks`. Several share the work."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import structlog

from db.sealing import ENDPOINT, Sealer
from db.uow import open_engine
from domain.errors import ProviderError
from domain.ports import Clock
from domain.webhooks import Endpoint, Told
from providers.exchange import Origin, Request
from providers.reach import public_only
from providers.world import Timeouts, World
from wiring.bootstrap import (
    SystemClock,
    build_doorbell,
    build_sealer,
    new_id,
    publishing_app,
    unit_factory,
    with_threads,
)
from wiring.letters import letters
from wiring.logs import configure_logs
from wiring.settings import Settings
from workers.webhooks import Courier, Line

THREADS = 16
TIMEOUTS = Timeouts(connect=5.0, read=15.0, total=15.0)


class HttpLine:
    """workers.webhooks.Line over HTTP/1.1. Redirects are not followed."""

    def __init__(self, endpoint: Endpoint, world: World) -> None:
        parts = urlsplit(endpoint.url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._origin = Origin("the receiver", f"{parts.scheme}://{parts.netloc}", world)

    def post(self, headers: Mapping[str, str], body: bytes) -> Told:
        fields = {"Content-Type": "application/json", **headers}
        try:
            response = self._origin.perform(Request("POST", self._path, fields, body))
        except ProviderError as failure:
            return Told(None, failure.detail)
        error = None if 200 <= response.status < 300 else f"it answered {response.status}"
        asked = response.headers.get("retry-after", "").strip()
        wait = float(asked[:9]) if asked.isascii() and asked.isdigit() else None
        return Told(response.status, error, wait)

    def close(self) -> None:
        self._origin.close()


def connector(
    clock: Clock, timeouts: Timeouts = TIMEOUTS
) -> Callable[[Endpoint], AbstractContextManager[Line]]:
    """Opens the way to an endpoint: an operator's may be anywhere, a member's at a public address only."""
    anywhere = World(clock=clock, wall_time=lambda: datetime.now(UTC), timeouts=timeouts)
    public = replace(anywhere, may_reach=public_only)

    @contextmanager
    def connect(endpoint: Endpoint) -> Iterator[Line]:
        line = HttpLine(endpoint, anywhere if endpoint.trusted else public)
        try:
            yield line
        finally:
            line.close()

    return connect


def opener(sealer: Sealer) -> Callable[[Endpoint], Sequence[str]]:
    """Reads an endpoint's secrets, the present one first."""

    def secrets_of(endpoint: Endpoint) -> Sequence[str]:
        opened = sealer.open(endpoint.sealed, owner=endpoint.user_id, kind=ENDPOINT, row=endpoint.id)
        return [opened["secret"], *([opened["old"]] if "old" in opened else [])]

    return secrets_of


def main() -> None:
    settings = Settings.from_env(os.environ)
    configure_logs(settings.log_level)
    engine = open_engine(
        settings.database_url.reveal(),
        pool_size=THREADS + 2,
        application="mailmux-webhooks",
        deadline=settings.database_deadline_seconds,
    )
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    clock, units = SystemClock(), unit_factory(engine)
    with with_threads(THREADS, "mailmux-webhook") as pool:
        Courier(
            units,
            connector(clock),
            opener(build_sealer(settings)),
            pool,
            THREADS,
            clock,
            structlog.get_logger("mailmux.webhooks"),
            new_id,
            letters(settings, units, build_doorbell(settings, publishing_app(settings), clock)),
        ).run(asked.wait)
    engine.dispose()


if __name__ == "__main__":
    main()
