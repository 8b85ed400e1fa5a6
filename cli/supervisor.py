"""Runs a tree of programs: starts them in order, watches them, and stops them in the reverse order.

Every program has a session of its own, so that a Ctrl-C in the terminal reaches only the supervisor, which then
stops the others in order: a worker that still sends must find its database.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from rich.console import Console
from rich.text import Text

from wiring.embedded.processes import Program, ServiceFailed, clear_leftover, kill, reap, spawn, tail

_POLL_SECONDS: Final = 0.05
_SHORTEST_RESTART: Final = 1.0  # seconds before a crashed program is started again; doubles …
_LONGEST_RESTART: Final = 30.0  # … up to this
_STEADY_SECONDS: Final = 10.0  # a program that ran for so long was no crash at its start: the shortest again
_LOG_BYTES: Final = 10_000_000
_LOGS_KEPT: Final = 3  # beside the one that is written to
_COLOURS: Final = (
    "cyan",
    "magenta",
    "yellow",
    "green",
    "blue",
    "bright_red",
    "bright_cyan",
    "bright_magenta",
)


def runs_on(folder: Path) -> bool:
    """Whether a supervisor works on this data directory now; one that was killed leaves its files, but no lock."""
    try:
        lock = os.open(folder / "run" / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


class AlreadyRunning(RuntimeError):
    """Another supervisor works on the same data directory."""


class StopAsked(Exception):
    """The user asked to stop while something was being started."""


class RotatingLog:
    """A file that is renamed to `NAME.1` when it has `limit` bytes; the oldest are deleted."""

    def __init__(self, file: Path, limit: int = _LOG_BYTES) -> None:
        self._file, self._limit = file, limit
        self._stream = file.open("ab")

    def write(self, line: bytes) -> None:
        if self._stream.tell() >= self._limit:
            self._stream.close()
            for number in range(_LOGS_KEPT - 1, 0, -1):
                older = self._file.with_name(f"{self._file.name}.{number}")
                if older.exists():
                    older.replace(self._file.with_name(f"{self._file.name}.{number + 1}"))
            self._file.replace(self._file.with_name(f"{self._file.name}.1"))
            self._stream = self._file.open("ab")
        self._stream.write(line)
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


class _Child:
    """A program that shall run, and the process that runs it now."""

    def __init__(
        self, program: Program, folder: Path, colour: str, console: Console, steady_seconds: float
    ) -> None:
        self.program, self.colour, self._console = program, colour, console
        self._steady_seconds = steady_seconds
        self.pid_file = folder / "run" / f"{program.name}.pid"
        self.log_file = folder / "logs" / f"{program.name}.log"
        self._wait, self._again, self._reader = _SHORTEST_RESTART, 0.0, threading.Thread()
        self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.began = time.monotonic()
        process = spawn(self.program, self.pid_file, subprocess.PIPE)
        self._reader = threading.Thread(target=self._pump, args=(process,), daemon=True)
        self._reader.start()
        return process

    def _pump(self, process: subprocess.Popen[bytes]) -> None:
        """Pass on what the process prints, until it and all that it started have closed their end."""
        assert process.stdout is not None
        log = RotatingLog(self.log_file)
        with process.stdout:
            for line in process.stdout:
                log.write(line)
                if self.program.echo:
                    text = line.decode(errors="replace").rstrip()
                    name = Text(f"{self.program.name:<14}│ ", style=self.colour)
                    self._console.print(name + Text(text), soft_wrap=True)
        log.close()

    def revive(self, say: Callable[[str], None]) -> None:
        """Start the program again when it has ended, each time a little later."""
        now = time.monotonic()
        if self._again:
            if now >= self._again:
                self._again = 0.0
                self.process = self._spawn()
            return
        if self.process.poll() is None:
            if self.program.stuck(now - self.began):
                say(f"{self.program.name} lives, but does not work any more: killed ({self.log_file})")
                kill(self.process, self.program, self.pid_file)
            return
        if now - self.began > self._steady_seconds:
            self._wait = _SHORTEST_RESTART
        code = reap(self.process, self.program, self.pid_file, 0)
        say(
            f"{self.program.name} ended with code {code}; it is started again in {self._wait:.0f} s ({self.log_file})"
        )
        self._again, self._wait = now + self._wait, min(self._wait * 2, _LONGEST_RESTART)

    def finish_output(self) -> None:
        self._reader.join(1)


class Supervisor:
    """`with Supervisor(folder, console) as s: s.launch(a, b); s.wait(); s.launch(c); s.wait(); s.watch()`.

    Programs that are launched together are stopped together, the last first. The folder bears `run/` (pid files
    and the lock) and `logs/`. Raises AlreadyRunning where another supervisor holds the folder. Use it from the
    main thread. A program that ends is started again after a second; when it ends before it ran for
    `steady_seconds`, after twice as long each time.
    """

    def __init__(self, folder: Path, console: Console, *, steady_seconds: float = _STEADY_SECONDS) -> None:
        self._folder, self._console, self._steady_seconds = folder, console, steady_seconds
        self._tiers: list[list[_Child]] = []
        self._asked = 0
        self._lock = -1
        self._handlers: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop: by Ctrl-C or SIGTERM."""
        return self._asked > 0

    @property
    def pids(self) -> Mapping[str, int]:
        return {child.program.name: child.process.pid for tier in self._tiers for child in tier}

    def __enter__(self) -> Self:
        for name in ("run", "logs"):
            (self._folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[signum] = signal.signal(signum, self._ask)
        for pid_file in sorted((self._folder / "run").glob("*.pid")):
            if clear_leftover(pid_file):
                self.say(f"stopped {pid_file.stem}, which a killed start had left running")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        os.close(self._lock)

    def launch(self, *programs: Program) -> None:
        """Start the programs side by side."""
        tier: list[_Child] = []
        self._tiers.append(tier)
        for program in programs:
            colour = _COLOURS[sum(map(len, self._tiers)) % len(_COLOURS)]
            tier.append(_Child(program, self._folder, colour, self._console, self._steady_seconds))

    def wait(self) -> None:
        """Return when all that was launched is ready.

        Raises ServiceFailed when one ends or dawdles, StopAsked when the user does not want to wait.
        """
        waiting = [child for tier in self._tiers for child in tier]
        while waiting:
            waiting = [child for child in waiting if not self._is_ready(child)]
            self.check()
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise StopAsked when the user wants to stop."""
        if self.asked:
            raise StopAsked

    def watch(self) -> None:
        """Keep all running until the user asks to stop."""
        while not self.asked:
            for tier in self._tiers:
                for child in tier:
                    child.revive(self.say)
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop all in reverse order; at once when the user asks a second time."""
        while self._tiers:
            tier = self._tiers.pop()
            for child in tier:
                if child.process.poll() is None:
                    child.process.send_signal(child.program.stop_signal)
            began = time.monotonic()
            while any(
                child.process.poll() is None and time.monotonic() - began < child.program.stop_seconds
                for child in tier
            ):
                if self.hurried:
                    break
                time.sleep(_POLL_SECONDS)
            for child in tier:
                if child.process.poll() is None and not self.hurried:
                    self.say(
                        f"{child.program.name} did not stop in {child.program.stop_seconds:.0f} s: killed"
                    )
                kill(child.process, child.program, child.pid_file)
                child.finish_output()

    @property
    def hurried(self) -> bool:
        """Whether the user asked twice."""
        return self._asked > 1

    def say(self, text: str) -> None:
        self._console.print(Text("mailmux       │ ", style="bold") + Text(text), soft_wrap=True)

    def _is_ready(self, child: _Child) -> bool:
        program = child.program
        if child.process.poll() is not None:
            child.finish_output()
            raise ServiceFailed(
                f"{program.name} ended with code {child.process.returncode}. {tail(child.log_file)}"
            )
        if program.ready():
            return True
        if time.monotonic() - child.began > program.ready_seconds:
            raise ServiceFailed(
                f"{program.name} was not ready in {program.ready_seconds:.0f} s. {tail(child.log_file)}"
            )
        return False

    def _ask(self, _signum: int, _frame: FrameType | None) -> None:
        self._asked += 1

    def _take_lock(self) -> None:
        file = self._folder / "run" / "lock"
        self._lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 20).decode().strip()
            os.close(self._lock)
            raise AlreadyRunning(
                f"Mailmux already runs on {self._folder} (process {holder or 'unknown'}). Stop it with Ctrl-C there, "
                "or choose another folder with --data-dir."
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
