"""A worker that lives without consuming is noticed and started again, from inside and from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from bench.stack import Stack, data_folder, remove
from tests.e2e.client import Service
from tests.e2e.conftest import QUICK

PATIENT = {"MAILMUX_DRAIN_SECONDS": "2", "MAILMUX_SILENCE_SECONDS": "6"}


@pytest.fixture(scope="module")
def own() -> Iterator[Stack]:
    folder = data_folder()
    stack = Stack(folder, environ={**QUICK, **PATIENT})
    try:
        stack.start()
        yield stack
        stack.stop()
    finally:
        stack.end()
        remove(folder)


def alive(stack: Stack, worker: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "alive", worker],
        env={"MAILMUX_DATA_DIR": str(stack.data_dir), "PATH": "/usr/bin:/bin", **QUICK, **PATIENT},
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def until_restarted(stack: Stack, before: psutil.Process, name: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not stack.restarted(before, name):
        assert time.monotonic() < end, stack.said()
        time.sleep(0.1)


def still_sends(stack: Stack) -> None:
    ready = stack.ready
    service = Service(
        ready["api_url"], ready["api_key"], ready["sandbox_url"], ready["data_dir"], ready["redis_url"]
    )
    assert service.ended(service.send())["status"] == "sent"
    service.http.close()


def test_a_worker_that_rests_is_well(own: Stack):
    before = {name: own.program(name).pid for name in ("transactional", "all-lanes")}
    time.sleep(8)
    assert {name: own.program(name).pid for name in before} == before, own.said()
    found = alive(own, "all-lanes")
    assert (found.returncode, "ended a task" in found.stdout) == (0, True), found.stderr


def test_a_worker_whose_consumer_stands_still_is_ended_by_its_own_heart(own: Stack):
    """The process that consumes is stopped; the one that works, and its lease, live on."""
    master = own.program("all-lanes")
    master.send_signal(signal.SIGSTOP)
    until_restarted(own, master, "all-lanes", 20)
    assert "worker_silent" in own.said()
    still_sends(own)


def test_a_worker_that_stands_still_altogether_is_ended_by_the_supervisor(own: Stack):
    master = own.program("transactional")
    family = [master, *master.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    time.sleep(9)
    assert alive(own, "transactional").returncode == 1
    until_restarted(own, master, "transactional", 25)
    assert "transactional lives, but does not work any more" in own.said()
    assert not any(p.is_running() and p.status() != "zombie" for p in family)
    still_sends(own)


def test_while_redis_is_away_no_worker_is_blamed(own: Stack):
    before = {name: own.program(name).pid for name in ("transactional", "all-lanes")}
    redis = own.program("valkey")
    redis.send_signal(signal.SIGSTOP)
    time.sleep(14)
    said = alive(own, "all-lanes").stdout
    redis.send_signal(signal.SIGCONT)
    assert "Redis does not answer" in said
    time.sleep(5)
    assert {name: own.program(name).pid for name in before} == before, own.said()
    still_sends(own)
