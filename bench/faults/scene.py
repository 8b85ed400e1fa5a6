"""Where a fault happens: the running service, its client, and what the harness may look at."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psutil
import psycopg2
import requests

from bench.faults.books import Attempt, Books, Received
from bench.faults.load import Client, until
from bench.stack import Stack

WORKERS = ("transactional", "all-lanes")
WINDOW = 25  # emails of one process that may be on the wire at once (MAILMUX_WINDOW)
SMTP, CHEAP = "sandbox-smtp", "sandbox-sendgrid"


class Scene:
    """`doubts` is the bound of what may end unknown by what was done so far."""

    def __init__(self, stack: Stack, client: Client, chance: Random) -> None:
        self.stack, self.client, self.chance = stack, client, chance
        self.doubts = 0
        ready = stack.ready
        self.api_url, self.key = ready["api_url"], ready["api_key"]
        self.redis_url, self.database_url = ready["redis_url"], ready["database_url"].replace("+psycopg2", "")
        self._sandbox_url, self._sandbox = ready["sandbox_url"], Path(ready["data_dir"]) / "sandbox"

    # -- processes ---------------------------------------------------------------------------------------------

    def family(self, name: str) -> list[psutil.Process]:
        """A program of the service with its children, as they are now."""
        program = self.stack.program(name)
        return [program, *program.children(recursive=True)]

    def kill(self, *names: str) -> None:
        """SIGKILL programs with all their children, at one moment; the supervisor starts them again."""
        before = {name: self.stack.program(name) for name in names}
        for process in [p for name in names for p in self.family(name)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.doubts += WINDOW * sum(name.startswith(WORKERS) for name in names)
        self.back(before)

    def back(self, before: dict[str, psutil.Process], seconds: float = 60) -> None:
        """Wait until other processes run these programs."""
        for name, process in before.items():
            if not until(lambda n=name, p=process: self.stack.restarted(p, n), seconds):  # type: ignore[misc]
                raise RuntimeError(f"{name} was not started again within {seconds:g} s")

    @contextlib.contextmanager
    def stopped(self, processes: list[psutil.Process]) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    # -- the sandbox and the providers -------------------------------------------------------------------------

    def fail(self, provider: str, mode: str, **more: Any) -> None:
        self._control("POST", f"/control/accounts/{provider}/fault", {"mode": mode, **more})

    def heal(self, provider: str) -> None:
        self._control("DELETE", f"/control/accounts/{provider}/fault")

    def account(self, provider: str) -> dict[str, Any]:
        """What the sandbox says of one of its accounts: address, certificate, credentials."""
        accounts = json.loads((self._sandbox / "accounts.json").read_text())
        entries = accounts["accounts"] if isinstance(accounts, dict) else accounts
        return next(dict(entry) for entry in entries if entry["name"] == provider)

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        return requests.request(
            method,
            self.api_url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=30,
        )

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        token = (self._sandbox / "control-token").read_text().strip()
        answer = requests.request(
            method,
            self._sandbox_url + path,
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
        if not answer.ok:
            raise RuntimeError(f"the sandbox refused {path}: {answer.status_code} {answer.text[:200]}")

    # -- the books ---------------------------------------------------------------------------------------------

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with contextlib.closing(psycopg2.connect(self.database_url, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return list(cursor.fetchall())

    @contextlib.contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Nobody else writes to a table: whoever is about to waits, and can be killed right there."""
        with contextlib.closing(psycopg2.connect(self.database_url)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
            yield
            connection.rollback()

    def received(self) -> list[Received]:
        """The sandbox's book; its last line may still be in the writing."""
        lines = (self._sandbox / "received.jsonl").read_bytes().split(b"\n")[:-1]
        found = (json.loads(line) for line in lines)
        return [Received(r["email_id"], r["attempt_id"]) for r in found if r["email_id"] and r["attempt_id"]]

    def books(self) -> Books:
        return Books(
            accepted=dict(self.client.accepted),
            received=self.received(),
            statuses={str(i): s for i, s in self.query("SELECT id, status FROM email_jobs")},
            attempts=[
                Attempt(str(i), str(job), outcome)
                for i, job, outcome in self.query("SELECT id, job_id, outcome FROM delivery_attempts")
            ],
        )

    def backlog(self) -> int:
        """Emails that still move: those held for evidence are at rest."""
        return int(self.query("SELECT count(*) FROM email_queue WHERE run IS NOT NULL OR NOT held")[0][0])

    def recovered(self, seconds: float = 90) -> float:
        """Hand over one email, and return the seconds until a provider has it. Raises RuntimeError after `seconds`."""
        began = time.monotonic()
        number = f"p{self.chance.getrandbits(48)}"
        email_id = self.client.send(number)
        if not until(lambda: self._arrived(email_id), seconds):
            raise RuntimeError(f"no email came through within {seconds:g} s after the fault: {email_id}")
        return time.monotonic() - began

    def _arrived(self, email_id: str) -> bool:
        try:
            found = self.query("SELECT status FROM email_jobs WHERE id = %s", email_id)
        except psycopg2.OperationalError:
            return False
        return bool(found) and found[0][0] in {"sent", "unknown"}
