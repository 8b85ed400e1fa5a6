"""Counting CPU, counting at the receivers, and the processes that a measurement starts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from wiring.embedded.processes import free_port

SMTP_SINK = "/usr/sbin/smtp-sink"
_LINES = 200
_END_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one system. `cpu` in microseconds per email, by process; `seconds` from the first to the last.

    `p50_ms`, `p99_ms`: until a request was answered; `way_p50_ms`, `way_p99_ms`: from the commit that accepted an email
    until it was recorded as taken by the provider, by the database's clock, where the system records both.
    """

    emails: int
    seconds: float
    cpu: Mapping[str, float]
    p50_ms: float | None = None
    p99_ms: float | None = None
    way_p50_ms: float | None = None
    way_p99_ms: float | None = None

    @property
    def rate(self) -> float:
        return self.emails / self.seconds

    @property
    def cpu_per_email(self) -> float:
        return sum(self.cpu.values())


class Processes:
    """Processes of a measurement, by name; ended together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Path:
        """Start a program; returns the file with its output."""
        output = self._folder / f"{name}.out"
        with output.open("wb") as file:
            self._started[name] = subprocess.Popen(
                list(argv), stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **(environ or {})},
                start_new_session=True,
            )  # fmt: skip
        return output

    def pid(self, name: str) -> int:
        return self._started[name].pid

    def end(self) -> None:
        for process in self._started.values():
            family = []
            with contextlib.suppress(psutil.NoSuchProcess):
                family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self._started.clear()


class Held:
    """A program that has loaded and prepared itself, and waits: neither the time nor the CPU of its start counts.

    It reads its input as one line of JSON, prints `ready`, waits for a line, works, and prints a line of JSON.
    """

    def __init__(self, argv: Sequence[str], given: Any, environ: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(environ or {})}
        )
        self._write(json.dumps(given))
        if self._read() != "ready":
            with self._process:
                self._process.kill()
            raise RuntimeError(f"{argv[-2:]} did not get ready")
        self._before = spent(psutil.Process(self._process.pid))
        self._others = _ended_children()

    def go(self) -> Any:
        """Let it work; returns what it says when it is done. Raises RuntimeError where it says nothing."""
        self._write("go")
        said = self._read()
        if not said:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()} and said nothing")
        return json.loads(said)

    def cpu(self) -> float:
        """Wait for its end; the CPU seconds since it was ready, its children's included. Run nothing beside it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_END_SECONDS)
        return _ended_children() - self._others - self._before

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is not None:
            self._process.kill()
        with self._process:
            pass  # closes its pipes and waits

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()


class Receiver:
    """A provider that takes everything and counts: Postfix's smtp-sink where it is installed, else our own."""

    def __init__(self, processes: Processes, name: str, kind: str, latency_ms: float = 0.0) -> None:
        self.port = free_port(0, "127.0.0.1")
        if kind == "smtp" and Path(SMTP_SINK).exists():
            self.program = "smtp-sink"
            user = ["-u", "nobody"] if os.geteuid() == 0 else []
            argv = [SMTP_SINK, *user, "-c", f"127.0.0.1:{self.port}", "1000"]
        else:
            self.program = "receiver"
            argv = [
                sys.executable,
                "-m",
                "bench.throughput.programs.receiver",
                kind,
                str(self.port),
                str(latency_ms),
            ]
        self._output = processes.start(name, argv)
        self.pid = processes.pid(name)
        self._due = 0

    @property
    def count(self) -> int:
        """Emails taken so far."""
        with self._output.open("rb") as file:
            file.seek(max(0, self._output.stat().st_size - _LINES))
            found = re.findall(rb"mesg=(\d+)\s", file.read())
        return int(found[-1]) if found else 0

    @contextlib.contextmanager
    def takes(self, emails: int, seconds: float) -> Iterator[None]:
        """At the end, wait until it has taken exactly `emails` more.

        Raises TimeoutError for too few, RuntimeError for one more than was ever handed over.
        """
        self._exactly()
        self._due += emails
        yield
        end = time.monotonic() + seconds
        while (found := self.count) < self._due:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"the receiver took {found} emails, and not {self._due}, within {seconds:g} s"
                )
            time.sleep(0.005)  # a poll; finer than what is measured
        self._exactly()

    def _exactly(self) -> None:
        if (found := self.count) != self._due:
            raise RuntimeError(f"the receiver took {found} emails, where {self._due} were sent")


class Cpu:
    """CPU seconds of groups of processes: each is a program with all its children, dead or alive."""

    def __init__(self, programs: Mapping[str, int]) -> None:
        self._programs = {name: psutil.Process(pid) for name, pid in programs.items()}
        self._before = self._now()

    def per_email(self, emails: int) -> dict[str, float]:
        """Microseconds per email since this was made."""
        now = self._now()
        return {name: (now[name] - before) / emails * 1e6 for name, before in self._before.items()}

    def _now(self) -> dict[str, float]:
        return {name: sum(map(spent, self._family(p))) for name, p in self._programs.items()}

    @staticmethod
    def _family(process: psutil.Process) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [process, *process.children(recursive=True)]
        return []


def spent(process: psutil.Process) -> float:
    """CPU seconds of a process and its ended children; 0 where it is gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _ended_children() -> float:
    times = os.times()
    return times.children_user + times.children_system
