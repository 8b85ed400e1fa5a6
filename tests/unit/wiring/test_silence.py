"""How a worker's silence is counted: by the monotonic clock, and with excuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.silent import Silent
from wiring.secret import Secret
from wiring.settings import SettingsError, StartSettings
from wiring.silence import Silence


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_silence_is_counted_from_the_last_touch_whatever_the_wall_clock_says(tmp_path: Path) -> None:
    file, clock = tmp_path / "worker.alive", Clock()
    silence = Silence(file, clock)
    clock.now += 50
    assert silence.seconds() == 50, "a worker that has never ended a task"
    file.touch()
    os.utime(file, (1, 1))  # as with a clock that is years behind
    assert silence.seconds() == 0
    clock.now += 7
    assert silence.seconds() == 7
    os.utime(file, (2, 2))
    assert silence.seconds() == 0
    clock.now += 30
    silence.excuse()
    assert silence.seconds() == 0


def test_without_redis_nobody_is_stuck(tmp_path: Path) -> None:
    clock = Clock()
    silence = Silence(tmp_path / "worker.alive", clock)
    stuck = Silent(silence, 100, Secret("redis://127.0.0.1:1"))
    clock.now += 500
    assert not stuck(500)
    assert silence.seconds() == 0


def test_a_silence_that_a_task_may_well_take_is_refused() -> None:
    with pytest.raises(SettingsError, match="MAILMUX_SILENCE_SECONDS"):
        StartSettings.from_env({"MAILMUX_SILENCE_SECONDS": "50"})
    assert StartSettings.from_env({"MAILMUX_SILENCE_SECONDS": "51"}).delivery.silence_seconds == 51
