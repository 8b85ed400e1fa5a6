"""Flower: started with the rest, for who knows the password, and slowing nobody's start."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest
import requests

from bench.stack import Stack, data_folder, remove
from tests.e2e.client import Service
from tests.e2e.conftest import QUICK


@pytest.fixture
def watched() -> Iterator[Stack]:
    folder = data_folder()
    stack = Stack(folder, environ=QUICK, flower=True)
    try:
        stack.start()
        yield stack
        stack.stop()
    finally:
        stack.end()
        remove(folder)


def ask(url: str, auth: tuple[str, str] | None = None) -> requests.Response:
    end = time.monotonic() + 40
    while True:
        try:
            return requests.get(url, auth=auth, timeout=10)
        except requests.ConnectionError:
            assert time.monotonic() < end, "Flower did not come up"
            time.sleep(0.2)


def test_an_operator_sees_workers_and_tasks_by_names_that_say_what_they_do(watched: Stack):
    ready = watched.ready
    url, auth = ready["flower_url"], (ready["flower_user"], ready["flower_password"])
    assert url.startswith("http://127.0.0.1:")
    assert len(auth[1]) >= 20
    assert auth[1] in watched.output.read_text(), "shown once"
    assert (watched.data_dir / "flower-password").stat().st_mode & 0o077 == 0
    for process in watched.supervisor.children(recursive=True):
        assert not any(auth[1] in part for part in cmdline(process)), "no password in an argument"

    assert ask(f"{url}/").status_code == 401
    assert ask(f"{url}/api/workers", ("operator", "wrong")).status_code == 401
    end = time.monotonic() + 40
    while len(workers := ask(f"{url}/api/workers?refresh=1", auth).json()) < 2:
        assert time.monotonic() < end, workers
        time.sleep(0.5)
    assert {name.partition("@")[0] for name in workers} == {"transactional", "all-lanes", "slow"}

    service = Service(
        ready["api_url"], ready["api_key"], ready["sandbox_url"], ready["data_dir"], ready["redis_url"]
    )
    service.ended(service.send())
    service.http.close()
    names: set[str] = set()
    while not {"mailmux.deliver_due_emails", "mailmux.sweep"} <= names:
        assert time.monotonic() < end, names
        names |= {task["name"] for task in ask(f"{url}/api/tasks", auth).json().values()}
        time.sleep(0.5)
    assert "example" not in ask(f"{url}/api/tasks", auth).text, "no task bears an address"


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
