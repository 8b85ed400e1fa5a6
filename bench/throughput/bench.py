"""The machine room of a measurement: our service, the receivers and the peers, all running at once, used in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import requests

from bench.stack import Stack
from bench.throughput.environments import celery_python, django_python, node_modules
from bench.throughput.measure import Cpu, Held, Measured, Processes, Receiver
from wiring.embedded.processes import free_port

EMAIL: Mapping[str, Any] = {
    "from": "Shop <shop@news.example>",
    "subject": "The spring sale begins tomorrow",
    "text": "Hello, this is a line of text for you to read.\n" * 15,
    "html": "<p>Hello, this is a <b>line</b> of text.</p>\n" * 28,
}
LATENCY_MS = 50.0
_PEER_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS peer;
CREATE TABLE IF NOT EXISTS peer.emails (
    id uuid PRIMARY KEY, sender text NOT NULL, recipient text NOT NULL, subject text NOT NULL, body text, html text,
    status text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), sent_at timestamptz
)
"""
_PERCENTILES = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) FROM ({}) AS w
"""
_OUR_WAY = """
SELECT extract(epoch FROM sent_at - created_at) * 1000 AS ms FROM email_jobs WHERE sent_at IS NOT NULL
ORDER BY id DESC LIMIT %s
"""
_PEERS_WAY = """
SELECT extract(epoch FROM sent_at - created_at) * 1000 AS ms FROM peer.emails WHERE sent_at IS NOT NULL
ORDER BY created_at DESC LIMIT %s
"""
_WAIT = 180.0
_BULK = "bench-bulk"  # the lane of marketing without its links, which the peers' emails do not have either
_PROGRAMS = Path(__file__).parent / "programs"
_OURS = ("postgres", "valkey", "api", "transactional", "all-lanes", "all-lanes-2", "slow", "beat", "learner")


class Bench:
    """Everything that is measured. Start it once; each method is one run, with its CPU and its time."""

    def __init__(self, folder: Path, window: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        self._processes = Processes(folder)
        environ = {"MAILMUX_API_WORKERS": "2", "MAILMUX_API_THREADS": "32", "MAILMUX_LOG_LEVEL": "WARNING"}
        environ["MAILMUX_BULK_WINDOW"] = str(window)
        self._stack = Stack(folder / "data", "--no-sandbox", "--workers", "2", environ=environ)

    def start(self) -> None:
        ready = self._stack.start()
        self._ready = ready
        self._database = ready["database_url"].replace("+psycopg2", "")
        self.smtp = Receiver(self._processes, "smtp", "smtp")
        self.http = Receiver(self._processes, "http", "http", LATENCY_MS)
        self._headers = {"Authorization": f"Bearer {ready['api_key']}", "Content-Type": "application/json"}
        self._provider("smtp", {"host": "127.0.0.1", "port": self.smtp.port, "tls": "none",
                                "messages_per_connection": 10_000}, {})  # fmt: skip
        self._provider("sendgrid", {"base_url": f"http://127.0.0.1:{self.http.port}"}, {"api_key": "SG.any"})
        self._add("/v1/email-types", {"name": _BULK, "lane": "bulk"})
        self._start_peers()
        time.sleep(6)  # Celery and granian take that long to be ready, and do not say so

    def end(self) -> None:
        self._processes.end()
        self._stack.end()

    @property
    def receiver(self) -> str:
        return self.smtp.program

    # -- ours --------------------------------------------------------------------------------------------------

    def batches(self, emails: int) -> Measured:
        """Batches of 100 from two clients, to the SMTP receiver."""
        return self._ours(emails, self.smtp, "/v1/emails/batch", 100, 2, "smtp", _BULK)

    def singles(self, emails: int) -> Measured:
        """One email per request from 32 clients, to the SMTP receiver."""
        return self._ours(emails, self.smtp, "/v1/emails", 1, 32, "smtp", "transactional")

    def slow_provider(self, emails: int) -> Measured:
        """To the HTTP receiver that takes 50 ms, by the two workers of the bulk lane."""
        return self._ours(emails, self.http, "/v1/emails/batch", 100, 1, "sendgrid", _BULK)

    def _ours(
        self, emails: int, receiver: Receiver, path: str, size: int, clients: int, provider: str, kind: str
    ) -> Measured:
        email = dict(EMAIL) | {"routing": {"pinned": [f"bench-{provider}"]}, "email_type": kind}
        programs = {name: self._ready["pids"][name] for name in _OURS} | {"receiver": receiver.pid}
        with self._load(self._ready["api_url"], path, email, emails, size, clients) as load:
            cpu, began = Cpu(programs), time.perf_counter()
            with receiver.takes(emails, _WAIT):
                said = _taken(load.go())
            self._settled(began + _WAIT)
            seconds = time.perf_counter() - began
            used = cpu.per_email(emails)
            return Measured(
                emails, seconds, used, said["p50_ms"], said["p99_ms"], *self._way(_OUR_WAY, emails)
            )

    def _way(self, sql: str, emails: int) -> tuple[float, float]:
        """The median and the 99th percentile in ms from accepted to taken, of the last so many emails."""
        p50, p99 = self._row(_PERCENTILES.format(sql), emails)
        return float(p50), float(p99)

    def _settled(self, end: float) -> None:
        """Wait until nothing is queued any more: the ledger has recorded what the receiver took."""
        while left := self._one("SELECT count(*) FROM email_queue"):
            if time.perf_counter() > end:
                raise TimeoutError(
                    f"{left} emails are still queued, although the receiver has as many as were sent"
                )
            time.sleep(0.005)  # a poll; finer than what is measured

    # -- the peers ---------------------------------------------------------------------------------------------

    def celery_plain(self, emails: int) -> Measured:
        """A task per email, a connection per email, no database."""
        return self._enqueued("plain", emails, self.smtp, "celery")

    def celery_postgres(self, emails: int) -> Measured:
        """Insert, task, select, send, update; connections reused."""
        measured = self._enqueued("stored", emails, self.smtp, "celery")
        way_p50, way_p99 = self._way(_PEERS_WAY, emails)
        return replace(measured, way_p50_ms=way_p50, way_p99_ms=way_p99)

    def celery_threads(self, emails: int) -> Measured:
        """A task per email in 50 threads, to the HTTP receiver that takes 50 ms."""
        return self._enqueued("post", emails, self.http, "celery-threads")

    def post_office(self, emails: int) -> Measured:
        """django-post-office: `send_many` by 500, then `send_queued_mail` with two processes."""
        program = str(_PROGRAMS / "with_django.py")
        python = str(django_python())
        subprocess.run([python, program, "setup"], env={**os.environ, **self._environ}, check=True)
        return self._program([python, program, "send", str(emails)], emails, self.smtp, ("postgres",))

    def nodemailer(self, emails: int) -> Measured:
        """A pool of 10 connections; neither queue nor record."""
        argv = ["node", str(_PROGRAMS / "nodemailer.cjs"), str(emails)]
        return self._program(argv, emails, self.smtp, ("postgres",), {"NODE_PATH": str(node_modules())})

    def _program(
        self,
        argv: list[str],
        emails: int,
        receiver: Receiver,
        programs: Sequence[str],
        environ: Mapping[str, str] | None = None,
        worker: str = "",
    ) -> Measured:
        """A peer that is driven by a command, whose own CPU is the peer's, as our API's is ours."""
        pids = self._peer_programs(programs, receiver, worker)
        with Held(argv, dict(EMAIL), {**self._environ, **(environ or {})}) as held:
            cpu, began = Cpu(pids), time.perf_counter()
            with receiver.takes(emails, _WAIT):
                held.go()
            seconds = time.perf_counter() - began
            used = cpu.per_email(emails)
            return Measured(emails, seconds, used | {"command": held.cpu() / emails * 1e6})

    def flask_delivered(self, emails: int) -> Measured:
        """Flask: a row and a task per request, from 32 clients; delivered by the Celery peer."""
        return self._flask("/emails", emails, delivered=True)

    def flask_row(self, emails: int) -> Measured:
        """Flask: a row per request, from 32 clients, and nothing else."""
        return self._flask("/rows", emails, delivered=False)

    def _enqueued(self, how: str, emails: int, receiver: Receiver, worker: str) -> Measured:
        queue = "slow" if how == "post" else "celery"
        argv = [self._python, "-m", "bench.throughput.programs.enqueue", how, str(emails), queue]
        return self._program(argv, emails, receiver, ("postgres", "valkey"), worker=worker)

    def _flask(self, path: str, emails: int, *, delivered: bool) -> Measured:
        programs = self._peer_programs(("postgres", "valkey"), self.smtp, "celery")
        programs["api"] = self._processes.pid("flask")
        with self._load(f"http://127.0.0.1:{self._flask_port}", path, dict(EMAIL), emails, 1, 32) as load:
            cpu, began = Cpu(programs), time.perf_counter()
            with self.smtp.takes(emails if delivered else 0, _WAIT):
                said = _taken(load.go())
            seconds = time.perf_counter() - began
            used = cpu.per_email(emails)
            way = self._way(_PEERS_WAY, emails) if delivered else (None, None)
            return Measured(emails, seconds, used, said["p50_ms"], said["p99_ms"], *way)

    def _peer_programs(self, shared: Sequence[str], receiver: Receiver, worker: str) -> dict[str, int]:
        found = {name: self._ready["pids"][name] for name in shared} | {"receiver": receiver.pid}
        return found | ({"worker": self._processes.pid(worker)} if worker else {})

    def _start_peers(self) -> None:
        with psycopg2.connect(self._database) as connection, connection.cursor() as cursor:
            cursor.execute(_PEER_SCHEMA)
        connection.close()
        self._flask_port = free_port(0, "127.0.0.1")
        self._environ = {
            "PEER_BROKER": self._ready["redis_url"].rpartition("/")[0] + "/1",
            "PEER_DATABASE": self._database,
            "PEER_SMTP": str(self.smtp.port),
            "PEER_HTTP": f"http://127.0.0.1:{self.http.port}",
            "PYTHONPATH": str(Path(__file__).parents[2]),  # their environments know nothing of us
        }
        self._python = str(celery_python())
        celery = [self._python, "-W", "ignore", "-m", "celery", "-q", "-A", "bench.throughput.programs.peer"]
        common = ["--without-mingle", "--without-gossip", "-l", "warning"]
        for name, more in {
            "celery": ["-c", "2", "-Q", "celery"],
            "celery-threads": ["-P", "threads", "-c", "50", "-Q", "slow"],
        }.items():
            argv = [*celery, "worker", "-n", f"{name}@peer", *more, *common]
            self._processes.start(name, argv, self._environ)
        granian = [self._python, "-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "error"]
        granian += ["--host", "127.0.0.1", "--port", str(self._flask_port), "--workers", "2"]
        granian += ["--blocking-threads", "32", "bench.throughput.programs.peer:web"]
        self._processes.start("flask", granian, self._environ)

    # -- what both need ----------------------------------------------------------------------------------------

    def _load(self, url: str, path: str, email: dict[str, Any], emails: int, size: int, clients: int) -> Held:
        """The load, prepared, in a process of its own, whose CPU belongs to nobody."""
        spec = {
            "host": url.partition("//")[2], "path": path, "headers": self._headers, "email": email,
            "count": emails, "size": size, "connections": clients,
        }  # fmt: skip
        return Held([sys.executable, "-m", "bench.throughput.programs.load"], spec)

    def _provider(self, kind: str, config: dict[str, Any], credentials: dict[str, str]) -> None:
        self._add("/v1/providers", {"name": f"bench-{kind}", "kind": kind, "config": config,
                                    "credentials": credentials, "base_cost": "0.0001"})  # fmt: skip

    def _add(self, path: str, body: dict[str, Any]) -> None:
        answer = requests.post(self._ready["api_url"] + path, json=body, headers=self._headers, timeout=30)
        if not answer.ok:
            raise RuntimeError(f"POST {path} was refused: {answer.text[:300]}")

    def _one(self, sql: str) -> int:
        return int(self._row(sql)[0])

    def _row(self, sql: str, *values: object) -> tuple[Any, ...]:
        if not hasattr(self, "_asking"):
            self._asking = psycopg2.connect(self._database)
            self._asking.autocommit = True
        with self._asking.cursor() as cursor:
            cursor.execute(sql, values or None)
            return tuple(cursor.fetchone())


def _taken(said: Any) -> Any:
    if said["refused"]:
        raise RuntimeError(f"the load was refused: {said['refused']}")
    return said
