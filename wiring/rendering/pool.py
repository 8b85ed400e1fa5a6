"""The pool of renderer processes: domain.templates.Renderer for many threads."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from domain.templates import Flaw, Rendered, RenderingUnavailable, Source, TemplateFaulty
from wiring.rendering.frames import read_frame, write_frame

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 20.0
_MAIN = (
    "import sys; sys.path.insert(0, sys.argv[1]); from wiring.rendering.process import main; main({}, {}, {})"
)


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """Of one rendering. `memory`: bytes of address space of its process; `output`: characters of each part."""

    memory: int = 256 * 1024 * 1024
    cpu_seconds: float = 1.0
    seconds: float = 3.0
    output: int = 2_000_000


class _Gone(Exception):
    """The process ended under the rendering, or was ended."""


class _Process:
    """One renderer; started when it is first asked, and again after it is gone."""

    def __init__(self, limits: RenderLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: socket.socket | None = None

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Raises _Gone; RenderingUnavailable where none starts."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()  # ended between two renderings: no fault of the next one
        wire = self._wire or self._start()
        watch = threading.Timer(self._limits.seconds, self._kill)
        watch.start()
        try:
            write_frame(wire, asked)
            answer = read_frame(wire)
        except OSError:
            answer = None
        finally:
            watch.cancel()
        if answer is None or "fatal" in answer:
            self.stop()
            raise _Gone
        return answer

    def stop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._wire = self._process = None

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(_START_SECONDS)
        limits = self._limits
        program = _MAIN.format(limits.memory, limits.cpu_seconds, limits.output)
        with theirs:
            # Without the environment: it holds the service's secrets.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", program, str(_ROOT)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
            )
        self._wire = ours
        try:
            ready = read_frame(ours)
        except OSError:
            ready = None
        if ready is None:
            self.stop()
            raise RenderingUnavailable("no renderer starts")
        return ours


class RendererPool:
    """Starts processes as they are needed, at most `size`; `patience`: seconds to wait for a free one."""

    def __init__(self, size: int = 2, limits: RenderLimits = RenderLimits(), patience: float = 5.0) -> None:
        self._processes = [_Process(limits) for _ in range(size)]
        self._free: queue.LifoQueue[_Process] = queue.LifoQueue()
        self._patience, self._limits = patience, limits
        for process in self._processes:
            self._free.put(process)

    def render(self, source: Source, variables: Mapping[str, Any]) -> Rendered:
        return Rendered(**self._ask({"source": asdict(source), "variables": dict(variables)})["rendered"])

    def check(self, source: Source) -> Sequence[str]:
        names: list[str] = self._ask({"source": asdict(source)})["names"]
        return names

    def close(self) -> None:
        """End all processes. Nothing may be under way."""
        for process in self._processes:
            process.stop()

    def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            process = self._free.get(timeout=self._patience)
        except queue.Empty:
            raise RenderingUnavailable("all renderers are busy") from None
        try:
            answer = process.ask(asked)
        except _Gone:
            limits = self._limits
            raise TemplateFaulty(
                [
                    Flaw(
                        "template",
                        "template_too_costly",
                        f"rendering it takes more than {limits.cpu_seconds:g} s of processor time, "
                        f"{limits.seconds:g} s in all, or {limits.memory // 1024 // 1024} MB of memory",
                    )
                ]
            ) from None
        finally:
            self._free.put(process)
        if "flaws" in answer:
            raise TemplateFaulty([Flaw(*flaw) for flaw in answer["flaws"]])
        return answer
