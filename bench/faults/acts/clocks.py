"""Clocks that are wrong: those of workers and beats, an hour off each way and jumping; and the database's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.faults import wrong_clock
from bench.faults.fault import Fault
from bench.faults.scene import WORKERS, Scene, in_doubt
from wiring import commands

_HOUR = 3600
_LONG = 15.0  # seconds: several of a beat's rounds, and the clocks jump in the middle
_STOP = 30.0
_SHIFT = """
    CREATE OR REPLACE FUNCTION mm_now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$SELECT statement_timestamp() + interval '{seconds} seconds'$$
"""


def wrong_clocks(scene: Scene) -> None:
    """Two more workers and beats, whose clocks are an hour off each way and later jump to the other side."""
    with contextlib.ExitStack() as going:
        for off, name in ((_HOUR, "ahead"), (-_HOUR, "behind")):
            for command in (commands.worker(name, commands.ALL_LANES[1]), commands.beat()):
                going.enter_context(_running(scene, command, off))
        time.sleep(_LONG)  # the fault's own length


@contextlib.contextmanager
def _running(scene: Scene, command: list[str], off: int) -> Iterator[None]:
    model = scene.stack.program("all-lanes")
    environ = {
        **model.environ(),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(wrong_clock.__file__).parent),
        "WRONG_CLOCK": f"{off} {_LONG / 2}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", *command], env=environ, cwd=model.cwd(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"{command[-1]} with a wrong clock ended with {process.returncode}")
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        _, left = psutil.wait_procs(family, timeout=_STOP)
        for one in left:
            one.kill()
        process.wait(_STOP)


def database_ahead(scene: Scene) -> None:
    """The clock that decides jumps an hour ahead: every lease has passed, and what was on its way is in doubt."""
    scene.doubts += in_doubt(*WORKERS)
    [(shift,)] = scene.ledger.query("SELECT extract(epoch FROM mm_now() - statement_timestamp())")
    scene.ledger.execute(_SHIFT.format(seconds=round(float(shift)) + _HOUR))
    scene.relieve()
    time.sleep(_LONG)  # a sweep, and what follows it


FAULTS = (
    Fault("wrong-clocks", "more workers and beats, whose clocks are an hour off and jump", wrong_clocks, 30),
    Fault("clock-ahead", "the database's clock jumps an hour ahead", database_ahead, 22),
)
