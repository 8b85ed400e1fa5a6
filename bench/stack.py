"""The whole service as `mailmux up` runs it, on free ports and a data directory of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

_START_SECONDS = 180
_STOP_SECONDS = 60


class Stack:
    """Started by `start()`, stopped by `stop()`, which insists on an exit code of 0 and an empty table of processes.

    `options` are those of `mailmux up`; `environ` is added to its environment. Flower is left out unless `flower`.
    """

    def __init__(
        self, data_dir: Path, *options: str, environ: dict[str, str] | None = None, flower: bool = False
    ) -> None:
        self.data_dir = data_dir
        self.output = data_dir.with_name(f"{data_dir.name}.out")
        self._ready_file = data_dir.with_name(f"{data_dir.name}.json")
        watched = ("--flower-port", "0") if flower else ("--no-flower",)
        self._options, self._environ = (*watched, *options), environ or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}

    def start(self) -> dict[str, Any]:
        """Return what the service says of itself when it is ready (cli.welcome.Ready)."""
        self._ready_file.unlink(missing_ok=True)
        self._process = self.run(
            "--api-port", "0", "--sandbox-port", "0", "--json-ready", str(self._ready_file), *self._options
        )
        end = time.monotonic() + _START_SECONDS
        while not self._ready_file.exists():
            assert self._process.poll() is None, f"it ended instead of starting:\n{self.said()}"
            assert time.monotonic() < end, f"it was not ready in {_START_SECONDS} s:\n{self.said()}"
            time.sleep(0.05)
        first, self.ready = self.ready, json.loads(self._ready_file.read_text())
        # The key is told once; a stack that is started again keeps it.
        self.ready["api_key"] = self.ready["api_key"] or first.get("api_key")
        return self.ready

    def run(self, *options: str) -> subprocess.Popen[bytes]:
        """`mailmux up` on this data directory, started and left alone."""
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-c", "from cli.main import main; main()", "up", "--data-dir", str(self.data_dir),
                 *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={k: v for k, v in os.environ.items() if not k.startswith("MAILMUX_")} | self._environ,
            )  # fmt: skip

    def program(self, name: str) -> psutil.Process:
        """The process that runs a program of the stack now: postgres, valkey, sandbox, api, transactional, …"""
        return psutil.Process(json.loads((self.data_dir / "run" / f"{name}.pid").read_text())["pid"])

    def restarted(self, before: psutil.Process, name: str) -> bool:
        """Whether another process runs the program now. Between the two there is none, or a note of the dead one."""
        try:
            return self.program(name).pid != before.pid
        except (FileNotFoundError, psutil.NoSuchProcess):
            return False

    @property
    def supervisor(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def stop(self, signum: signal.Signals = signal.SIGINT) -> None:
        """Stop it as Ctrl-C does."""
        assert self._process is not None
        family = self.supervisor.children(recursive=True)
        self._process.send_signal(signum)
        code = self._process.wait(_STOP_SECONDS)
        assert code == 0, f"it ended with {code}:\n{self.said()}"
        left = [process for process in family if process.is_running() and process.status() != "zombie"]
        assert not left, f"left behind: {left}"

    def kill(self) -> list[psutil.Process]:
        """Kill the supervisor without a word; returns its children of that moment."""
        assert self._process is not None
        family = self.supervisor.children(recursive=True)
        self._process.kill()
        self._process.wait()
        return family

    def end(self) -> None:
        """Leave nothing behind, whatever a test has done."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def said(self) -> str:
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-60:])


def data_folder() -> Path:
    """A new folder that other users may pass through, since PostgreSQL gives up root's rights."""
    folder = Path(tempfile.mkdtemp(prefix="mailmux-e2e-"))
    folder.chmod(0o711)
    return folder / "data"


def remove(folder: Path) -> None:
    shutil.rmtree(folder.parent, ignore_errors=True)
