"""`mailmux guard`: what a container runs a worker under. It ends what stands still, and else keeps out of the way."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

SCRIPT = """
import subprocess, sys, time
from pathlib import Path
proof, child = Path(sys.argv[1]), subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path(sys.argv[2]).write_text(str(child.pid))
while True:
    proof.touch()
    time.sleep(0.1)
"""


@pytest.fixture
def environ(redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": redis_url,
        "MAILMUX_ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
        "MAILMUX_DATA_DIR": str(tmp_path),
        "MAILMUX_SILENCE_SECONDS": "6",
        "MAILMUX_DRAIN_SECONDS": "2",
        "MAILMUX_PROVIDER_READ_SECONDS": "2",
        "MAILMUX_PROVIDER_TOTAL_SECONDS": "3",
    }


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, *command: str, **more: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", "from cli.main import main; main()", "guard", name, *command]
        process = subprocess.Popen(
            argv, env={**environ, **more}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            for member in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
                    member.kill()
            process.kill()
        process.communicate(timeout=10)


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_worker_of_which_every_process_stands_still_is_ended_and_its_guard_with_it(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    child = tmp_path / "child"
    guard = start("w", sys.executable, "-c", SCRIPT, str(tmp_path / "run" / "w.alive"), str(child))
    until(child.exists)
    family = psutil.Process(guard.pid).children(recursive=True)
    assert len(family) == 2
    time.sleep(1)
    assert guard.poll() is None, "one that works is left alone"
    for process in family:
        process.send_signal(signal.SIGSTOP)
    assert guard.wait(60) == os.EX_SOFTWARE
    assert "does not work any more" in (guard.stdout.read() if guard.stdout else "")
    until(lambda: all(map(is_gone, family)), 5)


def test_a_signal_is_passed_on_and_the_exit_code_is_the_commands(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    child = tmp_path / "child"
    guard = start("w", sys.executable, "-c", SCRIPT, str(tmp_path / "run" / "w.alive"), str(child))
    until(child.exists)
    guard.send_signal(signal.SIGTERM)
    assert guard.wait(20) == 128 + signal.SIGTERM
    assert start("w", sys.executable, "-c", "raise SystemExit(3)").wait(20) == 3


def test_while_redis_is_away_no_worker_is_blamed(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    asleep = ("w", sys.executable, "-c", "import time; time.sleep(600)")
    away = start(*asleep, REDIS_URL="redis://127.0.0.1:1")
    blamed = start("v", *asleep[1:])
    assert blamed.wait(60) == os.EX_SOFTWARE
    time.sleep(3)
    assert away.poll() is None


def test_a_second_guard_of_one_name_ends_and_leaves_the_first_alone(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    child = tmp_path / "child"
    worker = ("w", sys.executable, "-c", SCRIPT, str(tmp_path / "run" / "w.alive"), str(child))
    first = start(*worker)
    until(child.exists)
    family = psutil.Process(first.pid).children(recursive=True)
    second = start(*worker)
    assert second.wait(20) == os.EX_TEMPFAIL
    assert "Another guard keeps w already" in (second.stdout.read() if second.stdout else "")
    assert first.poll() is None
    assert not any(map(is_gone, family))
    first.kill()  # what it held is free at once, and its worker is cleared away by the next
    first.wait(10)
    third = start(*worker)
    until(lambda: all(map(is_gone, family)), 20)
    assert third.poll() is None
