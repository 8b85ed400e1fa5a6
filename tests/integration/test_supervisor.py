"""The supervisor with small shell programs, and real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cli.silent import Silent
from cli.supervisor import AlreadyRunning, RotatingLog, StopAsked, Supervisor
from wiring.embedded.processes import Program, ServiceFailed, birth, clear_leftover, spawn
from wiring.secret import Secret
from wiring.silence import Silence

# Waits in steps, since a shell handles a signal only between two commands.
LOYAL = (
    'trap "echo {name} >> {folder}/ended; exit 0" TERM; touch {folder}/{name}; while :; do sleep 0.02; done'
)
STUBBORN = 'trap "" TERM; touch {folder}/{name}; while :; do sleep 0.02; done'


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with (tmp_path / "console").open("w") as file:
        yield Console(file=file, width=200)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Program]:
    """A program that is ready when it has made the file of its name."""

    def program(name: str, script: str = LOYAL, stop_seconds: float = 10) -> Program:
        return Program(
            name=name,
            argv=["/bin/sh", "-c", script.format(name=name, folder=f"'{tmp_path}'")],
            ready=(tmp_path / name).exists,
            ready_seconds=10,
            stop_seconds=stop_seconds,
        )

    return program


def interrupt(signum: int = signal.SIGINT) -> None:
    """Send this process a signal soon, from another thread."""
    threading.Timer(0.1, os.kill, (os.getpid(), signum)).start()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_what_was_started_last_is_stopped_first(
    tmp_path: Path, console: Console, make: Callable[..., Program], signum: int
):
    with Supervisor(tmp_path, console) as supervisor:
        for name in ("first", "second", "third"):
            supervisor.launch(make(name))
            supervisor.wait()
        interrupt(signum)
        supervisor.watch()
    assert (tmp_path / "ended").read_text().split() == ["third", "second", "first"]
    assert not supervisor.hurried
    assert not list((tmp_path / "run").glob("*.pid"))


def test_a_crashed_program_is_started_again_and_all_is_told(
    tmp_path: Path, console: Console, make: Callable[..., Program]
):
    counted = make("again", "echo x >> {folder}/starts; echo hello; touch {folder}/{name}; sleep 0.5; exit 3")
    with Supervisor(tmp_path, console) as supervisor:
        supervisor.launch(counted, make("other"))
        supervisor.wait()
        other = supervisor.pids["other"]
        threading.Timer(2.4, os.kill, (os.getpid(), signal.SIGINT)).start()
        supervisor.watch()
        assert supervisor.pids["other"] == other
    assert (tmp_path / "starts").read_text().split() == ["x", "x"]
    said = Path(console.file.name).read_text()
    assert "again ended with code 3; it is started again in 1 s" in said
    assert "again         │ hello" in said
    assert (tmp_path / "logs" / "again.log").read_text() == "hello\nhello\n"


def test_a_program_that_was_steady_is_back_in_a_second_however_often_it_was_killed(
    tmp_path: Path, console: Console, make: Callable[..., Program]
):
    steady = make("steady", "echo x >> {folder}/starts; touch {folder}/{name}; sleep 0.4; exit 3")
    with Supervisor(tmp_path, console, steady_seconds=0.2) as supervisor:
        supervisor.launch(steady)
        supervisor.wait()
        threading.Thread(target=interrupt_after_starts, args=(tmp_path / "starts", 3)).start()
        supervisor.watch()
    said = Path(console.file.name).read_text()
    assert said.count("it is started again in 1 s") >= 2
    assert "again in 2 s" not in said


def interrupt_after_starts(file: Path, count: int) -> None:
    end = time.monotonic() + 20
    while len(file.read_text().split()) < count and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_stubborn_program_is_killed_when_its_time_is_over(
    tmp_path: Path, console: Console, make: Callable[..., Program]
):
    with Supervisor(tmp_path, console) as supervisor:
        supervisor.launch(make("stubborn", STUBBORN, stop_seconds=0.3))
        supervisor.wait()
        pid = supervisor.pids["stubborn"]
    assert birth(pid) is None
    assert "stubborn did not stop in 0 s: killed" in Path(console.file.name).read_text()


def test_a_second_interrupt_waits_for_nobody(tmp_path: Path, console: Console, make: Callable[..., Program]):
    with Supervisor(tmp_path, console) as supervisor:
        supervisor.launch(make("stubborn", STUBBORN, stop_seconds=60))
        supervisor.wait()
        pid = supervisor.pids["stubborn"]
        interrupt()
        supervisor.watch()
        began = time.monotonic()
        interrupt()
    assert time.monotonic() - began < 5
    assert supervisor.hurried
    assert birth(pid) is None


def test_a_program_that_ends_at_once_fails_the_start_with_its_last_words(
    tmp_path: Path, console: Console, make: Callable[..., Program]
):
    with Supervisor(tmp_path, console) as supervisor:
        supervisor.launch(make("good"), make("bad", "echo 'no such file' >&2; exit 7"))
        with pytest.raises(ServiceFailed, match=r"bad ended with code 7(.|\n)*no such file"):
            supervisor.wait()
        good = supervisor.pids["good"]
    assert birth(good) is None


def test_an_interrupt_ends_the_waiting(tmp_path: Path, console: Console, make: Callable[..., Program]):
    with Supervisor(tmp_path, console) as supervisor:
        supervisor.launch(make("never", "sleep 60"))
        interrupt()
        with pytest.raises(StopAsked):
            supervisor.wait()


def test_one_folder_has_one_supervisor(tmp_path: Path, console: Console):
    with (
        Supervisor(tmp_path, console),
        pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"),
        Supervisor(tmp_path, console),
    ):
        pytest.fail("two supervisors work on one folder")
    with Supervisor(tmp_path, console):
        pass


def test_what_a_killed_supervisor_left_is_stopped_at_the_next_start(
    tmp_path: Path, console: Console, make: Callable[..., Program]
):
    (tmp_path / "run").mkdir()
    left = spawn(make("left"), tmp_path / "run" / "left.pid", subprocess.DEVNULL)
    while not (tmp_path / "left").exists():
        time.sleep(0.01)
    threading.Thread(target=left.wait).start()  # as init does with orphans
    with Supervisor(tmp_path, console):
        assert birth(left.pid) is None
    assert (tmp_path / "ended").read_text().split() == ["left"], "it was asked before it was killed"
    assert "stopped left, which a killed start had left running" in Path(console.file.name).read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the members of a process group cheaply")
def test_workers_that_outlived_their_killed_master_are_found(tmp_path: Path):
    script = "import os, time; os.fork(); time.sleep(60)"
    master = spawn(
        Program(name="master", argv=[sys.executable, "-c", script]), tmp_path / "pid", subprocess.DEVNULL
    )

    def members() -> list[str]:
        found = subprocess.run(["pgrep", "-g", str(master.pid)], capture_output=True, text=True, check=False)
        return found.stdout.split()

    while len(members()) < 2:
        time.sleep(0.01)
    master.kill()
    master.wait()
    assert clear_leftover(tmp_path / "pid")
    while members():
        time.sleep(0.01)


def test_a_process_that_got_a_known_pid_later_is_left_alone(tmp_path: Path, make: Callable[..., Program]):
    stranger = subprocess.Popen(["/bin/sh", "-c", "sleep 60"], start_new_session=True)
    note = {"pid": stranger.pid, "born": "at another time", "program": "python", "stop": int(signal.SIGTERM)}
    (tmp_path / "pid").write_text(json.dumps(note))
    assert not clear_leftover(tmp_path / "pid")
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"pid": "x"}'])
def test_a_broken_pid_file_is_no_obstacle(tmp_path: Path, content: str):
    (tmp_path / "pid").write_text(content)
    assert not clear_leftover(tmp_path / "pid")
    assert not (tmp_path / "pid").exists()


def test_a_log_is_rotated_by_its_size_and_the_oldest_go(tmp_path: Path):
    log = RotatingLog(tmp_path / "x.log", limit=10)
    for number in range(10):
        log.write(b"line %d....\n" % number)
    log.close()
    kept = {file.name: file.read_text().split()[1] for file in tmp_path.iterdir()}
    assert kept == {"x.log": "9....", "x.log.1": "8....", "x.log.2": "7....", "x.log.3": "6...."}


def test_a_worker_is_not_blamed_for_the_silence_of_its_predecessor(tmp_path: Path, redis_url: str):
    """One that stood still for long and was killed by somebody else: the next has all the time to start."""
    now = [0.0]
    silence = Silence(tmp_path / "worker.alive", lambda: now[0])
    now[0] = 500.0
    assert not Silent(silence, 100, Secret(redis_url))(20.0)
    assert Silent(silence, 100, Secret(redis_url))(111.0)
