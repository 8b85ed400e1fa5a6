"""Whether a worker works: it may live, renew its lease and still take no task, over a connection that died in silence.

Every task that a worker ends touches `DATA_DIR/run/NAME.alive`. Its hearts see to it that there is always one, in the
worker's own queue (`celeryconfig.worker_direct`), so a file that rests tells of a worker that does not consume.
Whoever finds that ends it, and who started it starts it again: the supervisor, or the container's restart policy.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

import redis
import structlog
from celery import Celery
from celery.signals import celeryd_after_setup, task_postrun, worker_ready
from celery.utils.nodenames import worker_direct
from kombu import Queue

from wiring.settings import Settings
from wiring.silence import Silence, proof_file
from workers.queue import LIFE_TASK

_UNDONE: Final = 2  # proofs that may wait in a worker's queue

log = structlog.get_logger(__name__)

_hostname: list[str] = []  # NAME@host of the worker that this process belongs to: told before the fork
_proof: list[Path] = []  # its file, likewise


class Pulse:
    """Called at every beat of a heart: asks this process's worker for a sign of life, and ends it when none comes."""

    def __init__(self, settings: Settings, app: Celery) -> None:
        self._hostname, self._heard = _hostname[0] if _hostname else None, True
        if self._hostname is None:
            return
        self._master = os.getppid()
        self._asker = ThreadPoolExecutor(1, "mailmux-pulse")
        self._asking: Future[None] | None = None
        self._app, self._limit = app, settings.delivery.silence_seconds
        self._silence = Silence(proof_file(settings.data_dir, _short(self._hostname)))
        self._client = redis.Redis.from_url(
            settings.redis_url.reveal(), socket_timeout=1, socket_connect_timeout=1
        )

    def __call__(self) -> None:
        if self._hostname is None:
            return
        if self._asking is None or self._asking.done():
            self._asking = self._asker.submit(self._ask, worker_direct(self._hostname))
        else:
            self._silence.excuse()  # it is Redis that takes its time
        if self._silence.seconds() > self._limit:
            log.error("worker_silent", worker=self._hostname, seconds=self._limit)
            if os.getppid() == self._master:  # and not whoever adopts orphans
                os.kill(self._master, signal.SIGKILL)
            os._exit(os.EX_SOFTWARE)

    def _ask(self, queue: Queue) -> None:
        """Off the heart's thread, which has a lease to renew."""
        try:
            if cast("int", self._client.llen(queue.name)) < _UNDONE:
                self._app.send_task(LIFE_TASK, queue=queue, retry=False, ignore_result=True)
        # Any broker's fault: while Redis is away nobody can be asked to consume.
        except Exception as error:  # noqa: BLE001
            self._silence.excuse()
            if self._heard:
                log.warning("pulse_without_redis", error=type(error).__name__)
            self._heard = False
        else:
            self._heard = True


def _short(hostname: str) -> str:
    return hostname.partition("@")[0]


def _note_name(sender: str, **_: Any) -> None:
    file = proof_file(Settings.from_env(os.environ).data_dir, _short(sender))
    file.parent.mkdir(parents=True, exist_ok=True)
    _hostname[:], _proof[:] = [sender], [file]


def _touch(**_: Any) -> None:
    for file in _proof:
        file.touch()


celeryd_after_setup.connect(_note_name)
worker_ready.connect(_touch)
task_postrun.connect(_touch)
