"""Tells whoever started a worker that it takes tasks: `celery … worker --include wiring.ready`.

The worker NAME@host leaves `DATA_DIR/run/NAME.ready` once it is connected to Redis and its first process is built.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from wiring.settings import Settings


def ready_file(data_dir: Path, name: str) -> Path:
    return data_dir / "run" / f"{name}.ready"


def _tell(sender: Any, **_: Any) -> None:
    name = str(sender.hostname).partition("@")[0]
    file = ready_file(Settings.from_env(os.environ).data_dir, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


worker_ready.connect(_tell)
