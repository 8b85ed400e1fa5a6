"""The programs that make up the service, and the order in which they start."""

from __future__ import annotations

import base64
import http.client
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import wiring
from cli.silent import Silent
from cli.supervisor import Supervisor
from cli.welcome import Ready
from wiring import commands
from wiring.embedded.postgres import EmbeddedPostgres
from wiring.embedded.processes import Program, ServiceFailed, claim_port, free_port, write_private
from wiring.embedded.valkey import EmbeddedValkey
from wiring.ready import ready_file
from wiring.redis_check import check_redis
from wiring.secret import Secret
from wiring.settings import LEFT_BY_UP, Settings, StartSettings
from wiring.silence import Silence, proof_file

_ROOT: Final = Path(wiring.__file__).parent.parent
_PORTS_TRIED: Final = 50
FLOWER_USER: Final = "operator"
FLOWER_FILE: Final = "flower-password"  # in the data directory


class Stack:
    """Databases → schema and first data → sandbox → API, workers and beat."""

    def __init__(
        self, folder: Path, settings: StartSettings, environ: Mapping[str, str], supervisor: Supervisor
    ) -> None:
        self._folder, self._given, self._supervisor = folder, settings, supervisor
        self._claims: dict[int, socket.socket] = {}  # on the ports that our programs listen on
        self._redis_url, self._flower_password = Secret(""), ""
        self._environ = {**environ, "PYTHONUNBUFFERED": "1", "MAILMUX_DATA_DIR": str(folder)}

    def start(
        self,
        sandbox_port: int | None,
        workers: int,
        flower_port: int | None = None,
        *,
        learns: bool = True,
    ) -> Ready:
        """Start everything. Raises ServiceFailed, or StopAsked when the user does not want to wait."""
        began = time.monotonic()
        given, supervisor = self._given, self._supervisor
        port = self._choose_port(given.api_host, given.api_port, "the API")
        new_password = self._choose_flower_password()
        postgres = None if given.database_url else EmbeddedPostgres(self._folder / "postgres")
        valkey = None if given.redis_url else EmbeddedValkey(self._folder / "valkey")
        first = [service.prepare() for service in (postgres, valkey) if service is not None]
        if sandbox_port is not None:
            first.append(self._sandbox(sandbox_port))
            self._environ.setdefault("MAILMUX_MX_LOOKUPS", "false")  # nothing leaves the machine
            if given.public_url is None:  # links in emails lead to whoever looks into the sandbox's inbox
                self._environ["MAILMUX_PUBLIC_URL"] = _url(given.api_host, port)
        self._tell_of_moved_data()
        supervisor.launch(*first)
        provision = import_module("wiring.provision")  # takes a second, in which the servers start
        supervisor.wait()
        self._leave("database_url", given.database_url or Secret(postgres.url if postgres else ""))
        self._leave("redis_url", given.redis_url or Secret(valkey.url if valkey else ""))
        self._leave_keys()
        sandbox_url = self._endpoint.read_text().strip() if sandbox_port is not None else given.sandbox_url
        if sandbox_url:
            self._leave("sandbox_url", Secret(sandbox_url))
        settings = Settings.from_env(self._environ)
        self._redis_url = settings.redis_url
        check_redis(settings.redis_url)
        accounts = None if sandbox_port is None else self._endpoint.with_name("accounts.json")
        provision.prepare(settings, accounts, _url(given.api_host, port))
        supervisor.check()
        supervisor.launch(self._api(port), *self._workers(workers), self._beat())
        supervisor.launch(self._webhooks(), *self._learners(learns))
        supervisor.wait()
        flower_url = None
        if flower_port is not None:
            flower_port = self._choose_port("127.0.0.1", flower_port, "Flower")
            supervisor.launch(self._flower(flower_port))
            flower_url = _url("127.0.0.1", flower_port)
        user = provision.first_user(settings)  # last, so that a start that fails does not swallow its key
        return Ready(
            api_url=_url(given.api_host, port),
            data_dir=str(self._folder),
            pids={"mailmux": os.getpid(), **supervisor.pids},
            seconds=time.monotonic() - began,
            database_url=settings.database_url.reveal(),
            redis_url=settings.redis_url.reveal(),
            sandbox_url=sandbox_url,
            flower_url=flower_url,
            flower_user=FLOWER_USER if flower_url else None,
            flower_password=self._flower_password if flower_url and new_password else None,
            email=user.email if user else None,
            password=user.password if user else None,
            api_key=user.key if user else None,
        )

    def _tell_of_moved_data(self) -> None:
        place = self._folder / "postgres"
        if place.is_symlink():
            self._supervisor.say(
                f"PostgreSQL's data are in {place.resolve()}: its user cannot enter {self._folder}"
            )

    def withdraw(self) -> None:
        """Take back what tells other commands where the services are."""
        for field in ("database_url", "redis_url", "sandbox_url"):
            (self._folder / LEFT_BY_UP[field]).unlink(missing_ok=True)

    def _leave(self, field: str, value: Secret) -> None:
        """Hand a value to the children, and to `mailmux keys` and its like, by a file that only we can read."""
        file = self._folder / LEFT_BY_UP[field]
        write_private(file, value.reveal() + "\n")
        self._point_to(field, file)

    def _leave_keys(self) -> None:
        if self._given.encryption_keys is not None:
            return
        file = self._folder / LEFT_BY_UP["encryption_keys"]
        if not file.exists():
            write_private(file, f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}\n")
        self._point_to("encryption_keys", file)

    def _choose_flower_password(self) -> bool:
        """Kept in a file that only we can read. Returns whether it is new."""
        file = self._folder / FLOWER_FILE
        is_new = not file.exists()
        if is_new:
            write_private(file, secrets.token_urlsafe(18) + "\n")
        self._flower_password = file.read_text().strip()
        return is_new

    def _point_to(self, field: str, file: Path) -> None:
        name = {
            "database_url": "DATABASE_URL",
            "redis_url": "REDIS_URL",
            "sandbox_url": "MAILMUX_SANDBOX_URL",
            "encryption_keys": "MAILMUX_ENCRYPTION_KEYS",
        }[field]
        self._environ.pop(name, None)
        self._environ[f"{name}_FILE"] = str(file)

    @property
    def _endpoint(self) -> Path:
        return self._folder / "sandbox" / "endpoint"

    def _sandbox(self, port: int) -> Program:
        self._endpoint.unlink(missing_ok=True)
        port = self._choose_port("127.0.0.1", port, "the sandbox")
        argv = [
            sys.executable,
            "-m",
            "sandbox",
            "--data-dir",
            str(self._folder / "sandbox"),
            "--port",
            str(port),
        ]
        return self._program("sandbox", argv, ready=self._endpoint.is_file)

    def _api(self, port: int) -> Program:
        given = self._given
        argv = _here(commands.api(given.api_host, port, given.api_threads, given.api_workers))
        address = _url(given.api_host, port)
        return self._program(
            "api",
            argv,
            ready=lambda: _answers(f"{address}/readyz"),
            orphan_signal=signal.SIGTERM,  # killed, it would leave its own children behind
        )

    def _workers(self, count: int) -> list[Program]:
        name, queues = commands.ALL_LANES
        names = [name, *(f"{name}-{number}" for number in range(2, count + 1))]
        return [
            self._worker(*commands.TRANSACTIONAL),
            *(self._worker(name, queues) for name in names),
            self._worker(*commands.SLOW),
        ]

    def _worker(self, name: str, queues: Sequence[str]) -> Program:
        ready = ready_file(self._folder, name)
        ready.unlink(missing_ok=True)
        argv = _here(commands.worker(name, queues))
        # It may be in the middle of a drain, and then waits for its provider.
        grace = self._given.delivery.drain_seconds + self._given.provider.total_seconds
        proof = proof_file(self._folder, name)
        proof.unlink(missing_ok=True)
        silent = Silent(Silence(proof), self._given.delivery.silence_seconds, self._redis_url)
        return self._program(name, argv, ready=ready.is_file, stop_seconds=grace, stuck=silent)

    def _beat(self) -> Program:
        return self._program("beat", _here(commands.beat()))

    def _webhooks(self) -> Program:
        return self._program("webhooks", _here(commands.webhooks()[2:]), stop_seconds=20.0)

    def _learners(self, wanted: bool) -> list[Program]:
        return [self._program("learner", _here(commands.learner()[2:]))] if wanted else []

    def _flower(self, port: int) -> Program:
        """Started when all else is ready, since importing it keeps a core busy for seconds."""
        program = self._program("flower", _here(commands.flower("127.0.0.1", port)))
        return replace(
            program, env={**self._environ, "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{self._flower_password}"}
        )

    def _program(
        self,
        name: str,
        argv: Sequence[str | Path],
        ready: Callable[[], bool] = lambda: True,
        stop_seconds: float = 15.0,
        orphan_signal: signal.Signals = signal.SIGKILL,
        stuck: Callable[[float], bool] = lambda _: False,
    ) -> Program:
        return Program(
            name=name,
            argv=argv,
            env=self._environ,
            cwd=_ROOT,
            ready=ready,
            stop_seconds=stop_seconds,
            orphan_signal=orphan_signal,
            stuck=stuck,
        )

    def _choose_port(self, host: str, wanted: int, whom: str) -> int:
        """The wanted port, or the next one that is free. 0: any."""
        for port in range(wanted, min(wanted + _PORTS_TRIED, 65536)) if wanted else (0,) * _PORTS_TRIED:
            try:
                found = free_port(port, host)
            except OSError as error:
                raise ServiceFailed(f"{whom} cannot listen on {host}: {error.strerror}") from error
            if port not in (0, found) or found in self._claims:
                continue
            if (claim := claim_port(found)) is not None:
                self._claims[found] = claim
                if port not in (0, wanted):
                    self._supervisor.say(f"port {wanted} is taken: {whom} listens on {port}")
                return found
        raise ServiceFailed(f"no port from {wanted} on is free for {whom}")


def _here(command: Sequence[str]) -> list[str]:
    """The command with this environment's Python, wherever PATH leads."""
    # As root (in a container, say) Celery warns at length. Its reason is pickle, and we take JSON only.
    quiet = "ignore:You're running the worker with superuser privileges"
    return [sys.executable, "-W", quiet, "-m", *command]


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
