"""What counts: programs from when they are ready, and receivers exactly."""

from __future__ import annotations

import smtplib
import sys
import time
from pathlib import Path

import pytest

from bench.throughput import measure
from bench.throughput.measure import Held, Processes, Receiver

_SLOW_TO_START = """
import sys, time
given = sys.stdin.readline()
burnt = time.process_time() + 0.5
while time.process_time() < burnt: pass
print("ready", flush=True)
sys.stdin.readline()
print(given, flush=True)
{end}
"""


def program(end: str = "") -> list[str]:
    return [sys.executable, "-c", _SLOW_TO_START.format(end=end)]


def test_neither_time_nor_cpu_of_a_programs_start_counts() -> None:
    with Held(program(), {"a": 1}) as held:
        began = time.perf_counter()
        assert held.go() == {"a": 1}
        assert time.perf_counter() - began < 0.4
        assert held.cpu() < 0.3


def test_what_a_program_does_after_its_start_counts() -> None:
    end = "burnt = time.process_time() + 0.5\nwhile time.process_time() < burnt: pass"
    with Held(program(end), None) as held:
        held.go()
        assert held.cpu() > 0.4


def test_a_program_that_waits_for_more_input_is_ended_by_its_end() -> None:
    with Held(program("sys.stdin.read()"), None) as held:
        held.go()
        assert held.cpu() < 0.3


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "print('hello')"])
def test_a_program_that_does_not_get_ready_is_told_of(source: str) -> None:
    with pytest.raises(RuntimeError, match="did not get ready"):
        Held([sys.executable, "-c", f"input()\n{source}"], None)


def test_a_program_that_dies_at_work_is_told_of() -> None:
    source = "input(); print('ready', flush=True); input(); raise SystemExit(3)"
    with (
        pytest.raises(RuntimeError, match="ended with 3 and said nothing"),
        Held([sys.executable, "-c", source], 0) as held,
    ):
        held.go()


def counted(found: list[int]) -> Receiver:
    """A receiver that says it took these numbers, one after the other."""

    class Told(Receiver):
        def __init__(self) -> None:
            self._due = 0

        @property
        def count(self) -> int:
            return found.pop(0) if len(found) > 1 else found[0]

    return Told()


def test_a_receiver_takes_what_was_sent() -> None:
    with counted([0, 0, 1, 2, 2]).takes(2, 5):
        pass


def test_too_few_is_told_of() -> None:
    with pytest.raises(TimeoutError, match="took 1 emails, and not 2"), counted([0, 1]).takes(2, 0):
        pass


def test_one_too_many_is_told_of_at_once_or_before_the_next_run() -> None:
    with pytest.raises(RuntimeError, match="took 3 emails, where 2 were sent"), counted([0, 3]).takes(2, 5):
        pass
    late = counted([0, 2, 2, 3])
    with late.takes(2, 5):
        pass
    with pytest.raises(RuntimeError, match="took 3 emails, where 2 were sent"), late.takes(1, 5):
        pass


@pytest.mark.parametrize("sink", [measure.SMTP_SINK, "/nowhere"], ids=["smtp-sink", "our own"])
def test_a_receiver_counts_the_emails_of_kept_connections(
    sink: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sink != "/nowhere" and not Path(sink).exists():
        pytest.skip("Postfix's smtp-sink is not installed")
    monkeypatch.setattr(measure, "SMTP_SINK", sink)
    processes = Processes(tmp_path)
    try:
        receiver = Receiver(processes, "smtp", "smtp")
        with receiver.takes(6, 10):
            for _ in range(2):
                with connected(receiver.port) as smtp:
                    for n in range(3):
                        smtp.sendmail("a@example.com", f"u{n}@example.com", b"Subject: x\r\n\r\n.hello\r\n")
        assert receiver.count == 6
    finally:
        processes.end()


def connected(port: int) -> smtplib.SMTP:
    end = time.monotonic() + 10
    while True:
        try:
            return smtplib.SMTP("127.0.0.1", port, timeout=10)
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.05)
