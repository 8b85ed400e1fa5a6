"""What the embedded servers have in common: a home, a child process, and an orderly end."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from wiring.embedded.processes import Program, spawn, stop, wait_ready


class EmbeddedServer(ABC):
    """A server in `home`. `with Server(home) as server: server.url`, or `prepare()` for a supervisor.

    What it has taken survives a crash, unless `durable` is False.
    """

    log_name: ClassVar[str]

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._home = home.absolute()
        self._durable = durable
        self._child: subprocess.Popen[bytes] | None = None
        self._program: Program | None = None
        self._port = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it answers. Bears the password."""

    @abstractmethod
    def prepare(self) -> Program:
        """Make what it needs, clear leftovers, and say how to run it. Raises ServiceFailed."""

    def start(self) -> str:
        """Run it and return `url` when it answers. Raises ServiceFailed."""
        program = self.prepare()
        log = self._home / self.log_name
        with log.open("wb") as output:
            self._child = spawn(program, self._pid_file, output)
        try:
            wait_ready(self._child, program, log)
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop it in order; a second call does nothing."""
        if self._child is not None and self._program is not None:
            stop(self._child, self._program, self._pid_file)
            self._child = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _pid_file(self) -> Path:
        return self._home / "pid"
