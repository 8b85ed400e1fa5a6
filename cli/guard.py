"""`mailmux guard`: a worker's process, and one beside it that ends it when it stands still altogether."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import click

from cli.silent import Silent
from wiring.embedded.processes import Program, clear_leftover, kill, reap, spawn
from wiring.settings import Settings
from wiring.silence import Silence, proof_file

_LOOK_SECONDS: Final = 0.5
_FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("worker")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def guard(worker: str, command: tuple[str, ...]) -> None:
    """Run the COMMAND of WORKER (its name before the @), and kill it when it lives without taking tasks.

    A worker sees by itself that it stands still while one of its processes is well; this sees it where none is. It ends
    with the command's exit code, or with 70 where it killed it: whoever started it, such as a container's restart
    policy, starts it again. Signals to stop are passed on. A second one of the same name and data directory ends with
    75, and leaves the first alone.
    """
    settings = Settings.from_env(os.environ)
    folder = settings.data_dir / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with own(folder / f"{worker}.guard") as mine:
        if not mine:
            click.echo(
                f"Another guard keeps {worker} already, in {folder}: give this one another name", err=True
            )
            sys.exit(os.EX_TEMPFAIL)
        sys.exit(_guard(settings, folder, worker, command))


@contextmanager
def own(file: Path) -> Iterator[bool]:
    """Whether nobody else has this file; then it is ours until the end, however that comes."""
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _guard(settings: Settings, folder: Path, worker: str, command: tuple[str, ...]) -> int:
    proof = proof_file(settings.data_dir, worker)
    proof.unlink(missing_ok=True)
    silent = Silent(Silence(proof), settings.delivery.silence_seconds, settings.redis_url)
    return keep(Program(worker, command, stuck=silent), folder / f"{worker}.guarded")


def keep(program: Program, pid_file: Path) -> int:
    """Run the program until it ends or is stuck; returns its exit code."""
    clear_leftover(pid_file)
    asked: list[int] = []
    child, began = spawn(program, pid_file, sys.stdout.fileno()), time.monotonic()

    def pass_on(signum: int, _frame: FrameType | None) -> None:
        if signum != signal.SIGHUP:  # which Celery answers by starting anew
            asked.append(signum)
        if child.poll() is None:
            child.send_signal(signum)

    for signum in _FORWARDED:
        signal.signal(signum, pass_on)
    while not _has_ended(child.wait):
        if not asked and program.stuck(time.monotonic() - began):
            click.echo(f"{program.name} lives, but does not work any more: killed", err=True)
            kill(child, program, pid_file)
            return os.EX_SOFTWARE
    code = reap(child, program, pid_file, 0)
    return code if code >= 0 else 128 - code  # as a shell tells of a signal


def _has_ended(wait: Callable[[float], int]) -> bool:
    try:
        wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True
