"""A renderer process: takes frames from the socket that is its standard input, until that closes.

It may use so much memory and processor time, and open no file, socket or process: the limits are the kernel's.
A rendering that passes one ends the process, and the pool starts another.
"""

from __future__ import annotations

import resource
import signal
import socket
from typing import Any

from wiring.rendering.engine import Engine, Flawed
from wiring.rendering.frames import read_frame, write_frame

_WARM_UP = {
    "subject": "{{ a|upper }}",
    "text": "{% set t = 'x\\n' %}{% macro m(v) %}{{ v|e }}{% endmacro %}{{ m('%s'|format(t)) }}"
    "{% for b in a %}{{ loop.index }}{{ b }}{% endfor %}",
    "mjml": "<mjml><mj-body><mj-section><mj-column><mj-text>{{ a }}</mj-text></mj-column></mj-section>"
    "</mj-body></mjml>",
}


def main(most_memory: int, cpu_seconds: float, most_output: int) -> None:
    """Serve. `most_memory`: bytes of address space; `cpu_seconds` for one rendering."""
    wire = socket.socket(fileno=0)
    engine = Engine(most_output)
    _warm(engine)
    _confine(most_memory)
    write_frame(wire, {"ready": True})
    while (asked := read_frame(wire)) is not None:
        _grant(cpu_seconds)
        answer = _serve(engine, asked)
        write_frame(wire, answer)
        if "fatal" in answer:
            return


def _serve(engine: Engine, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        if "variables" in asked:
            return {"rendered": engine.render(asked["source"], asked["variables"])}
        return {"names": engine.check(asked["source"])}
    except Flawed as flawed:
        return {"flaws": flawed.flaws}
    except (MemoryError, RecursionError):
        return {"fatal": "memory"}


def _warm(engine: Engine) -> None:
    """Everything that is loaded at its first use is used, since nothing can be loaded later."""
    engine.render(_WARM_UP, {"a": "x"})
    engine.render({"subject": "a", "html": "<style>p{color:red}</style><p>{{ 1 }}</p>"}, {})
    for part, faulty in (
        ("subject", "{{ a.b.c }}"),
        ("text", "{{ 1 / 0 }}"),
        ("html", "{% if"),
        ("mjml", "<"),
        ("text", "{% include 'x' %}"),
        *(("text", f"{{{{ {value}|{name} }}}}") for value in ("'a b'", "[1]") for name in engine.filters()),
    ):
        try:
            engine.render({"subject": "a", part: faulty}, {})
        except Flawed:
            continue


def _confine(most_memory: int) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, most_memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 3),  # what is open now, and not one more
    ):
        resource.setrlimit(kind, (limit, limit))


def _grant(seconds: float) -> None:
    """Let the process use so much more processor time; past it the kernel ends it (SIGPROF).

    Not RLIMIT_CPU, which is set as a total: the kernel counts that total by clock ticks, and it runs away from what
    getrusage tells (1.3 s in 15 s of short renderings were seen), until innocent renderings are ended.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
