"""Starting, stopping and being killed, as the person at the terminal sees it."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
import requests

from bench.stack import Stack, data_folder, remove
from tests.e2e.client import Service


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A stack that the test starts and stops itself. Its folder's name has a space."""
    folder = data_folder()
    stack = Stack(folder.with_name("my data"))
    try:
        yield stack
    finally:
        stack.end()
        remove(folder)


def test_data_and_the_key_outlive_a_stop_and_a_kill(own_stack: Stack):
    first = own_stack.start()
    assert first["api_key"].startswith("mx_live_")
    service = Service(
        first["api_url"], first["api_key"], first["sandbox_url"], first["data_dir"], first["redis_url"]
    )
    email = service.send()
    assert service.ended(email)["status"] == "sent"
    own_stack.stop()
    assert first["api_key"] in own_stack.output.read_text()
    own_stack.output.write_text("")

    second = own_stack.start()
    assert second["email"] is None, "there is one first user"
    assert first["api_key"] not in own_stack.output.read_text()
    service.api_url = second["api_url"]
    assert service.email(email)["status"] == "sent"

    family = own_stack.kill()
    if sys.platform == "linux":
        _, alive = psutil.wait_procs(family, timeout=15)
        assert not alive, "the kernel tells children of their parent's death"
    third = own_stack.start()
    service.api_url = third["api_url"]
    assert service.ended(service.send())["status"] == "sent"
    stop_at_once(own_stack)


def stop_at_once(stack: Stack) -> None:
    """Interrupt twice, while an orderly stop would have to wait."""
    supervisor, family = stack.supervisor, stack.supervisor.children(recursive=True)
    stack.program("all-lanes").suspend()
    supervisor.send_signal(signal.SIGINT)
    time.sleep(0.5)
    supervisor.send_signal(signal.SIGINT)
    supervisor.wait(10)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_a_second_start_on_the_same_data_is_refused_with_the_reason(stack: Stack):
    second = stack.run("--api-port", "0")
    assert second.wait(30) == 1
    assert "already runs on" in stack.said()
    assert requests.get(f"{stack.ready['api_url']}/readyz", timeout=10).status_code == 200


def test_a_crashed_program_is_started_again(stack: Stack, service: Service):
    sandbox, beat = stack.program("sandbox"), stack.program("beat")
    beat.kill()
    end = time.monotonic() + 20
    while not stack.restarted(beat, "beat"):
        assert time.monotonic() < end, stack.said()
        time.sleep(0.05)
    assert "beat ended with code -9; it is started again in 1 s" in stack.said()
    assert stack.program("sandbox").pid == sandbox.pid


def test_a_taken_port_gives_the_next_one_and_says_so(own_stack: Stack):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = own_stack.run("--api-port", str(port), "--no-sandbox")
        end = time.monotonic() + 30
        while "is taken: the API listens on" not in own_stack.said():
            assert process.poll() is None, own_stack.said()
            assert time.monotonic() < end, own_stack.said()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "stopping before all was ready" in own_stack.said()


def test_an_unreachable_database_is_one_clear_line(own_stack: Stack):
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    own_stack._environ["DATABASE_URL"] = f"postgresql://mailmux:wrong@127.0.0.1:{port}/mailmux"
    process = own_stack.run("--api-port", "0", "--no-sandbox")
    assert process.wait(60) == 1
    said = own_stack.said()
    assert "mailmux: The database cannot be reached (DATABASE_URL)" in said
    assert "Traceback" not in said
    assert "wrong" not in said


def test_wrong_settings_are_told_all_at_once(own_stack: Stack):
    own_stack._environ.update(REDIS_URL="nonsense", MAILMUX_WINDOW="0")
    process = own_stack.run("--api-port", "0")
    assert process.wait(30) == 1
    assert "REDIS_URL" in own_stack.said()
    assert "MAILMUX_WINDOW" in own_stack.said()
    assert not own_stack.data_dir.exists()
