"""The service with a provider that tells of every email and a user's webhook that hears of each."""

from __future__ import annotations

import base64
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg2
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.stack import Stack, data_folder, remove
from bench.sustained.figures import Paced, Report, Sample
from bench.throughput.bench import EMAIL
from bench.throughput.measure import Cpu, Held, Processes, Receiver
from wiring.embedded.processes import free_port

BATCH: Final = 100
SHARE: Final = 0.8  # of what was reached, at which the backlog is watched
_CLIENTS = 2
_PATIENCE = 300.0  # seconds
_KIND = "bench-bulk"  # the bulk lane, without the links of marketing
_OURS = (
    "postgres",
    "valkey",
    "api",
    "transactional",
    "all-lanes",
    "all-lanes-2",
    "slow",
    "learner",
    "webhooks",
)
_STARTING = 6  # seconds that Celery and granian take to be ready, and do not say so
_POLL = 0.02
_SAMPLE = 0.5
_RECORDING = 30.0  # seconds, until what was told is written down too


def run(emails: int, rounds: int, seconds: float, per_call: int, tell: Callable[[str], None]) -> Report:
    """Measure sends alone and everything together in turn, then watch the backlog at a steady pace.

    `seconds` of the steady pace; `per_call`: events that the provider tells in a call at most.
    """
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    room = Room(folder, per_call)
    try:
        tell("starting the service")
        room.start()
        tell("warming up")
        for once in (room.alone, room.everything):
            once(max(BATCH, emails // 20 // BATCH * BATCH))
        alone, everything = [], []
        for number in range(1, rounds + 1):
            tell(f"round {number} of {rounds}: sends alone")
            alone.append(room.alone(emails))
            tell(f"round {number} of {rounds}: with an event in and a webhook out for each")
            everything.append(room.everything(emails))
        rates = sorted(rate for rate, _ in everything)
        rate = SHARE * rates[len(rates) // 2]
        tell(f"{seconds:g} s at {rate:.0f} emails/s")
        paced = room.paced(rate, seconds)
        return Report(
            emails,
            per_call,
            [rate for rate, _ in alone],
            [rate for rate, _ in everything],
            alone[-1][1],
            everything[-1][1],
            paced,
            room.problems(_RECORDING),
        )
    finally:
        room.end()
        remove(folder)


class Room:
    """Everything that is measured, started once."""

    def __init__(self, folder: Path, per_call: int) -> None:
        self._folder, self._per_call = folder, per_call
        self._processes = Processes(folder)
        environ = {"MAILMUX_API_WORKERS": "2", "MAILMUX_API_THREADS": "32", "MAILMUX_LOG_LEVEL": "WARNING"}
        self._stack = Stack(folder / "data", "--no-sandbox", "--workers", "2", environ=environ)

    def start(self) -> None:
        self._ready = self._stack.start()
        self._headers = {
            "Authorization": f"Bearer {self._ready['api_key']}",
            "Content-Type": "application/json",
        }
        self._database = psycopg2.connect(self._ready["database_url"].replace("+psycopg2", ""))
        self._database.autocommit = True
        self._ask("POST", "/v1/email-types", {"name": _KIND, "lane": "bulk"})
        self._silent = Receiver(self._processes, "silent", "http")
        self._account("silent", self._silent.port)
        self._hearing = Receiver(self._processes, "hearing", "http")
        self._ask(
            "POST",
            "/v1/webhooks",
            {"url": f"http://127.0.0.1:{self._hearing.port}/in", "types": ["email.delivered"]},
        )
        self._start_telling()
        time.sleep(_STARTING)  # some programs do not say when they are ready

    def end(self) -> None:
        self._processes.end()
        self._stack.end()

    def alone(self, emails: int) -> tuple[float, dict[str, float]]:
        """Emails a second that are sent to a provider that tells nothing, and the CPU of each."""
        return self._measure(emails, "silent", self._silent.takes)

    def everything(self, emails: int) -> tuple[float, dict[str, float]]:
        """The same to the one that tells of each, until the user's webhook has heard of all."""
        return self._measure(emails, "telling", self._hearing.takes)

    def paced(self, rate: float, seconds: float) -> Paced:
        """Hand emails over at a steady rate, and count those of which the webhook has not heard yet."""
        emails = max(BATCH, int(rate * seconds) // BATCH * BATCH)
        before, posted = self._hearing.count, 0
        samples: list[Sample] = []
        done = threading.Event()
        began = time.perf_counter()

        def watch() -> None:
            while not done.wait(_SAMPLE):
                backlog = posted - (self._hearing.count - before)
                samples.append(Sample(round(time.perf_counter() - began, 3), max(0, backlog)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with self._hearing.takes(emails, _PATIENCE):
                for number in range(emails // BATCH):
                    time.sleep(max(0.0, began + number * BATCH / rate - time.perf_counter()))  # the pace
                    self._post(number)
                    posted += BATCH
                done.set()
        except TimeoutError:
            pass  # the report says how many are missing
        finally:
            done.set()
            watcher.join()
        return Paced(rate, emails, samples, emails - (self._hearing.count - before))

    def problems(self, patience: float = 0.0) -> list[str]:
        """What the service's own books have that should not be, after so many seconds at most."""
        end = time.perf_counter() + patience
        while (found := self._waiting()) and time.perf_counter() < end:
            time.sleep(_POLL)  # a poll
        return found

    def _waiting(self) -> list[str]:
        waiting = {
            "emails are still queued": "SELECT count(*) FROM email_queue",
            "events still wait": "SELECT count(*) FROM inbound_events WHERE state <> 'applied'",
            "webhook messages still wait": "SELECT count(*) FROM webhook_messages WHERE state <> 'told'",
        }
        found = {words: self._one(sql) for words, sql in waiting.items()}
        return [f"{count} {words}" for words, count in found.items() if count]

    def _measure(self, emails: int, provider: str, takes: Any) -> tuple[float, dict[str, float]]:
        programs = {name: self._ready["pids"][name] for name in _OURS}
        email = dict(EMAIL) | {"routing": {"pinned": [f"bench-{provider}"]}, "email_type": _KIND}
        spec = {
            "host": self._ready["api_url"].partition("//")[2], "path": "/v1/emails/batch",
            "headers": self._headers, "email": email, "count": emails, "size": BATCH, "connections": _CLIENTS,
        }  # fmt: skip
        with Held([sys.executable, "-m", "bench.throughput.programs.load"], spec) as load:
            cpu, began = Cpu(programs), time.perf_counter()
            with takes(emails, _PATIENCE):
                said = load.go()
                if said["refused"]:
                    raise RuntimeError(f"the load was refused: {said['refused']}")
            self._settle(began + _PATIENCE)
            seconds = time.perf_counter() - began
            return emails / seconds, cpu.per_email(emails)

    def _settle(self, end: float) -> None:
        """Wait until everything is recorded: what the receivers took, and what they told."""
        if problems := self.problems(end - time.perf_counter()):
            raise TimeoutError(f"although all were taken: {'; '.join(problems)}")

    def _start_telling(self) -> None:
        key, port = ec.generate_private_key(ec.SECP256R1()), free_port(0, "127.0.0.1")
        provider = self._account("telling", port)
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        secrets = [{"verification_key": base64.b64encode(public).decode()}]
        hook = self._ask("PUT", f"/v1/providers/{provider}/webhook", {"secrets": secrets})["url"]
        path = re.sub(r"^https?://[^/]+", "", hook)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._processes.start(
            "telling",
            [sys.executable, "-m", "bench.sustained.provider", str(port), self._ready["api_url"] + path,
             str(self._per_call)],
            {"SIGNING_KEY": pem.decode()},
        )  # fmt: skip

    def _account(self, name: str, port: int) -> str:
        made = self._ask(
            "POST",
            "/v1/providers",
            {"name": f"bench-{name}", "kind": "sendgrid", "base_cost": "0.0001",
             "config": {"base_url": f"http://127.0.0.1:{port}"}, "credentials": {"api_key": "SG.any"}},
        )  # fmt: skip
        return str(made["id"])

    def _post(self, number: int) -> None:
        email = dict(EMAIL) | {"routing": {"pinned": ["bench-telling"]}, "email_type": _KIND}
        entries = [{"to": [f"p{number}-{n}@example.com"]} for n in range(BATCH)]
        self._ask("POST", "/v1/emails/batch", {"defaults": email, "emails": entries})

    def _ask(self, method: str, path: str, body: Any) -> Any:
        url = self._ready["api_url"] + path
        answer = requests.request(method, url, json=body, headers=self._headers, timeout=60)
        if not answer.ok:
            raise RuntimeError(f"{method} {path} was answered with {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def _one(self, sql: str) -> int:
        with self._database.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.fetchone()[0])
