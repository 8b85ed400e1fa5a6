"""The pool of renderer processes: domain.templates.Renderer for many threads."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

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
        """Raises _Gone; RenderingUnavailable where none starts, or time was up before the template had used its share
        of processor time: then the machine is busy, and the template may be innocent.
        """
        if self._process is not None and self._process.poll() is not None:
            self.stop()  # ended between two renderings: no fault of the next one
        wire = self._wire or self._start()
        late = threading.Event()
        watch = threading.Timer(self._limits.seconds, self._kill, [late])
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
            if late.is_set():
                raise RenderingUnavailable("the machine is too busy to render")
            raise _Gone
        return answer

    def stop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._wire = self._process = None

    def _kill(self, late: threading.Event) -> None:
        late.set()
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


@dataclass(eq=False, slots=True)
class _Waiting:
    whose: UUID | None


class RendererPool:
    """Starts processes as they are needed, at most `size`; `patience`: seconds to wait for a free one.

    A process that becomes free goes to the user who has fewest then, and to who came first among those: a batch
    of thousands keeps nobody waiting for longer than one rendering.
    """

    def __init__(self, size: int = 2, limits: RenderLimits = RenderLimits(), patience: float = 5.0) -> None:
        self._processes = [_Process(limits) for _ in range(size)]
        self._free = list(self._processes)
        self._busy: Counter[UUID | None] = Counter()
        self._waiting: list[_Waiting] = []
        self._turn = threading.Condition()
        self._patience, self._limits = patience, limits

    def render(self, source: Source, variables: Mapping[str, Any], whose: UUID | None = None) -> Rendered:
        asked = {"source": asdict(source), "variables": dict(variables)}
        return Rendered(**self._ask(asked, whose)["rendered"])

    def check(self, source: Source, whose: UUID | None = None) -> Sequence[str]:
        names: list[str] = self._ask({"source": asdict(source)}, whose)["names"]
        return names

    def close(self) -> None:
        """End all processes. Nothing may be under way."""
        for process in self._processes:
            process.stop()

    def _take(self, whose: UUID | None) -> _Process:
        own = _Waiting(whose)
        with self._turn:
            self._waiting.append(own)
            try:
                if not self._turn.wait_for(
                    lambda: self._free and self._next() is own, timeout=self._patience
                ):
                    raise RenderingUnavailable("all renderers are busy")
            finally:
                self._waiting.remove(own)
                self._turn.notify_all()  # another one is next
            self._busy[whose] += 1
            return self._free.pop()

    def _next(self) -> _Waiting:
        return min(self._waiting, key=lambda waiting: self._busy[waiting.whose])

    def _give_back(self, process: _Process, whose: UUID | None) -> None:
        with self._turn:
            self._free.append(process)
            self._busy[whose] -= 1
            if not self._busy[whose]:
                del self._busy[whose]
            self._turn.notify_all()

    def _ask(self, asked: Mapping[str, Any], whose: UUID | None) -> dict[str, Any]:
        process = self._take(whose)
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
                        f"or {limits.memory // 1024 // 1024} MB of memory",
                    )
                ]
            ) from None
        finally:
            self._give_back(process, whose)
        if "flaws" in answer:
            raise TemplateFaulty([Flaw(*flaw) for flaw in answer["flaws"]])
        return answer
