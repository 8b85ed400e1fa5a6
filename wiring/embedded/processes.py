"""Child processes that cannot outlive their parent unseen.

On Linux the kernel signals a child when its parent dies. Elsewhere, and for a child that does not obey, a pid
file tells the next start what is left over. A pid alone proves nothing, since the system uses pids again: the
file holds the process's start time too, and only a process that bears both is ever signalled.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Final

_PR_SET_PDEATHSIG: Final = 1
_POLL_SECONDS: Final = 0.02
_KILL_SECONDS: Final = 5.0
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServiceFailed(RuntimeError):
    """A service that could not be started; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Program:
    """How one child is started, found ready and stopped."""

    name: str
    argv: Sequence[str | Path]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    uid: int | None = None  # whom to run as, where we are root
    ready: Callable[[], bool] = field(default=lambda: True)
    ready_seconds: float = 60.0
    # Whether it lives without doing its work, when it has lived for so many seconds.
    stuck: Callable[[float], bool] = field(default=lambda _: False)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 25.0
    kill_signal: signal.Signals = signal.SIGKILL  # when it has not obeyed by then
    orphan_signal: signal.Signals = signal.SIGKILL  # what it gets when its parent has died (Linux)
    echo: bool = True  # whether a supervisor shows its output, beside keeping it


def spawn(program: Program, pid_file: Path, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own and note it in the pid file.

    Call it from a thread that lives as long as the child may: the kernel counts the death of the thread.
    """
    child = subprocess.Popen(
        [str(part) for part in program.argv],
        env=program.env,
        cwd=program.cwd,
        user=program.uid,
        group=program.uid,
        extra_groups=None if program.uid is None else [],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # Runs after the change of user, which would clear it.
        preexec_fn=partial(_die_with, os.getpid(), int(program.orphan_signal)) if _libc else None,
    )
    note = {
        "pid": child.pid,
        "born": birth(child.pid),
        "program": str(program.argv[0]),
        "stop": int(program.stop_signal),
    }
    write_private(pid_file, json.dumps(note))
    return child


def _die_with(parent: int, death_signal: int) -> None:
    assert _libc is not None
    _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


def stop(child: subprocess.Popen[bytes], program: Program, pid_file: Path) -> int:
    """Stop the child and whatever it started; returns its exit code. Kills after `stop_seconds`."""
    if child.poll() is None:
        child.send_signal(program.stop_signal)
    return reap(child, program, pid_file, program.stop_seconds)


def kill(child: subprocess.Popen[bytes], program: Program, pid_file: Path) -> int:
    """Stop the child at once; returns its exit code."""
    return reap(child, program, pid_file, 0.0)


def reap(child: subprocess.Popen[bytes], program: Program, pid_file: Path, seconds: float) -> int:
    """Wait for a child that was told to stop, kill it when the time is over, and clear what it leaves."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(program.kill_signal)
        try:
            child.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
    code = child.wait()
    _signal_group(child.pid, signal.SIGKILL)
    pid_file.unlink(missing_ok=True)
    return code


def clear_leftover(pid_file: Path, seconds: float = 10.0) -> bool:
    """Stop what an earlier, killed supervisor left running. Returns whether there was something."""
    try:
        noted = json.loads(pid_file.read_text())
        pid, born, program = int(noted["pid"]), noted["born"], str(noted["program"])
        stop_signal = signal.Signals(noted["stop"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pid_file.unlink(missing_ok=True)
        return False
    found = born is not None and birth(pid) == born
    if found:
        _signal_quietly(pid, stop_signal)
        deadline = time.monotonic() + seconds
        while birth(pid) == born and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if birth(pid) == born:
            _signal_group(pid, signal.SIGKILL)
        while birth(pid) == born:
            time.sleep(_POLL_SECONDS)
    for member in _members(pid, program):
        _signal_quietly(member, signal.SIGKILL)
        found = True
    pid_file.unlink(missing_ok=True)
    return found


def _members(pgid: int, program: str) -> list[int]:
    """The processes of a dead leader's group that run the leader's program: workers without their master (Linux)."""
    if birth(pgid) is not None or _libc is None:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            group = entry.joinpath("stat").read_text().rpartition(")")[2].split()[2]
            argv = entry.joinpath("cmdline").read_text(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(group) == pgid and argv[0] == program:
            found.append(int(entry.name))
    return found


def birth(pid: int) -> str | None:
    """What tells this process from any other that had or will have its pid; None: it has ended."""
    if _libc is not None:
        try:
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if state in "ZX" else f"{boot} {fields[18]}"  # field 22 of proc_pid_stat(5): starttime
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else " ".join(started.split())


def _signal_quietly(pid: int, signum: int) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return


def _signal_group(pgid: int, signum: int) -> None:
    """Signal a group whose leader was ours. Its id is not given to anyone else while a member lives."""
    try:
        os.killpg(pgid, signum)
    except (ProcessLookupError, PermissionError):  # gone; macOS refuses a group that has only zombies
        return


def wait_ready(child: subprocess.Popen[bytes], program: Program, log: Path) -> None:
    """Return when the program is ready. Raises ServiceFailed with the end of its log when it ends or dawdles."""
    deadline = time.monotonic() + program.ready_seconds
    while not program.ready():
        if child.poll() is not None:
            raise ServiceFailed(f"{program.name} ended with code {child.returncode}. {tail(log)}")
        if time.monotonic() > deadline:
            raise ServiceFailed(f"{program.name} was not ready in {program.ready_seconds:.0f} s. {tail(log)}")
        time.sleep(_POLL_SECONDS)


def tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(errors="replace") if log.is_file() else ""
    return f"The end of {log}:\n" + "\n".join(text.splitlines()[-lines:])


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """The preferred port where it is free, else one that is."""
    for port in (preferred, 0) if preferred else (0,):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # else the last run's TIME_WAIT counts
            try:
                probe.bind((host, port))
            except OSError:
                if port:
                    continue
                raise
            return int(probe.getsockname()[1])
    raise AssertionError("port 0 is always tried")


def claim_port(port: int) -> socket.socket | None:
    """Have a port to oneself for as long as the socket is open and this process lives; None: another start has it.

    Servers of several processes share their port by SO_REUSEPORT. A second service that is started at the same moment
    finds the port free, too, and would share it: half of the requests would go to each. A name in Linux's abstract
    namespace is given to one only. Other systems have none, so that there every claim is granted.
    """
    claim = socket.socket(socket.AF_UNIX)
    if sys.platform == "linux":
        try:
            claim.bind(f"\0mailmux listens on {port}")
        except OSError:
            claim.close()
            return None
    return claim


def kept_port(file: Path) -> int:
    """The port noted in the file if it is still free, else another, which is noted."""
    noted = file.read_text().strip() if file.is_file() else ""
    port = free_port(int(noted) if noted.isdecimal() else 0)
    write_private(file, str(port))
    return port


def write_private(file: Path, text: str) -> None:
    """Write a file that only we can read, at once or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
