"""The entry of Celery's workers and beat: `celery -A wiring.worker worker`."""

from __future__ import annotations

import mmap
import os
from typing import Any

import structlog
from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown, worker_shutting_down

from wiring.alive import Pulse
from wiring.bootstrap import Worker, build_worker
from wiring.collector import spare_the_collector
from wiring.logs import configure_logs
from wiring.settings import Settings
from workers.tasks import register_tasks

log = structlog.get_logger(__name__)

app = Celery("mailmux")
# One shared byte, made before the fork: the parent sets it, its children see it. A multiprocessing.Event has a lock,
# and a child that is killed while it holds that would hang the parent and every later child.
_stopping = mmap.mmap(-1, 1)
app.config_from_object("celeryconfig")


class _Process:
    """This process's dependencies, built after the fork and taken down with the process."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def __call__(self) -> Worker:
        if self._worker is None:
            settings = Settings.from_env(os.environ)
            self._worker = build_worker(settings, app, _is_stopping, Pulse(settings, app))
            self._worker.heart.start()
        return self._worker

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


process = _Process()
register_tasks(app, process)


def _set_up_logs(**_: Any) -> None:
    configure_logs(Settings.from_env(os.environ).log_level)


def _ask_to_stop(**_: Any) -> None:
    _stopping[0] = 1


def _is_stopping() -> bool:
    return _stopping[0] != 0


def _start(**_: Any) -> None:
    process()
    spare_the_collector()


def _stop(**_: Any) -> None:
    process.close()


setup_logging.connect(_set_up_logs)
worker_shutting_down.connect(_ask_to_stop)
worker_process_init.connect(_start)
worker_process_shutdown.connect(_stop)
