"""Where a fault happens: the running service, its client, and what the harness may do to them."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from random import Random
from typing import Any

import psutil
import psycopg2
import requests

from bench.faults.books import Books, Content, Received
from bench.faults.ledger import Ledger
from bench.faults.load import Client, until
from bench.stack import Stack
from wiring.settings import Delivery

WORKERS = ("transactional", "all-lanes")
# Emails of a program that may be in the ledger and not settled: of all its lanes the largest window.
_DELIVERY = Delivery()
WINDOWS = {"transactional": _DELIVERY.window, "all-lanes": max(_DELIVERY.window, _DELIVERY.bulk_window)}
_LONGEST_PROBE = 60.0
SMTP, CHEAP = "sandbox-smtp", "sandbox-sendgrid"


def in_doubt(*workers: str) -> int:
    """How many emails may be unknown when these worker programs die."""
    return sum(WINDOWS[name] for name in workers)


class Scene:
    """`doubts`: what may end unknown by what was done so far. `still`: seconds that a stopped program stands still."""

    def __init__(self, stack: Stack, client: Client, chance: Random, still: float = 8.0) -> None:
        self.stack, self.client, self.chance, self.still = stack, client, chance, still
        self.doubts = 0
        ready = stack.ready
        self.api_url, self.key, self.redis_url = ready["api_url"], ready["api_key"], ready["redis_url"]
        self.ledger = Ledger(ready["database_url"])
        self._sandbox_url, self._sandbox = ready["sandbox_url"], Path(ready["data_dir"]) / "sandbox"
        self._dead: dict[str, psutil.Process] = {}
        self._read, self._lines = 0, 0
        self._probes: list[Future[float]] = []
        self._probing = ThreadPoolExecutor(8, "probe")

    # -- processes ---------------------------------------------------------------------------------------------

    def family(self, name: str) -> list[psutil.Process]:
        """A program of the service with its children, as they are now."""
        program = self.stack.program(name)
        return [program, *program.children(recursive=True)]

    def kill(self, *names: str) -> None:
        """SIGKILL programs with all their children, at one moment; the supervisor starts them again."""
        before = {name: self.stack.program(name) for name in names}
        _signal([process for name in names for process in self.family(name)], signal.SIGKILL)
        since = self.relieve()
        self._dead |= before
        killed = [name for name in names if name in WORKERS]
        self.doubts += in_doubt(*killed)
        if len(killed) == len(WORKERS):  # then nobody lives who could hold an email
            self.ledger.watch(self.ledger.runs(), since)

    def all_back(self, seconds: float = 60) -> None:
        """Wait until other processes run what was killed. Raises RuntimeError after `seconds`."""
        dead, self._dead = self._dead, {}
        self.back(dead, seconds)

    def back(self, before: dict[str, psutil.Process], seconds: float = 60) -> None:
        """Wait until other processes run these programs."""
        for name, process in before.items():
            if not until(lambda n=name, p=process: self.stack.restarted(p, n), seconds):  # type: ignore[misc]
                raise RuntimeError(f"{name} was not started again within {seconds:g} s")

    @contextlib.contextmanager
    def stopped(self, processes: Sequence[psutil.Process], probe: bool = True) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end. `probe`: the cause is over then."""
        try:
            _signal(processes, signal.SIGSTOP)
            yield
        finally:
            _signal(processes, signal.SIGCONT)
            if probe:
                self.relieve()

    # -- the sandbox and the providers -------------------------------------------------------------------------

    @contextlib.contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """The providers that are chosen first take emails at once and answer late."""
        for provider in (CHEAP, SMTP):
            self._control("POST", f"/control/accounts/{provider}/fault", {"mode": "slow", "delay": seconds})
        try:
            yield
        finally:
            for provider in (CHEAP, SMTP):
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

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
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
        return dict(answer.json()) if answer.content else {}

    def tell_again(self, email_id: str, **how: Any) -> list[int]:
        """Let its provider tell once more all that it told of an email; the statuses of our answers."""
        found = requests.get(
            f"{self._sandbox_url}/messages.json", params={"email_id": email_id}, timeout=10
        ).json()["messages"]
        if not found:
            raise RuntimeError(f"the sandbox has not got {email_id}")
        return list(self._control("POST", f"/control/messages/{found[0]['seq']}/events", how)["statuses"])

    # -- the books ---------------------------------------------------------------------------------------------

    def received(self) -> list[Received]:
        """The sandbox's book; its last line may still be in the writing."""
        lines = self._book.read_bytes().split(b"\n")[:-1] if self._book.exists() else []
        found = (json.loads(line) for line in lines)
        return [
            Received(
                r["email_id"] or "", r["attempt_id"] or "", r["subject"],
                tuple(sorted(file["sha256"] for file in r["attachments"])),
            )
            for r in found
        ]  # fmt: skip

    def count_received(self) -> int:
        """How many lines the book has; reads only what is new."""
        if self._book.exists():
            with self._book.open("rb") as book:
                book.seek(self._read)
                new = book.read()
            self._read, self._lines = self._read + len(new), self._lines + new.count(b"\n")
        return self._lines

    def books(self) -> Books:
        ledger = self.ledger
        return Books(
            accepted=dict(self.client.accepted),
            received=self.received(),
            statuses=ledger.statuses(),
            attempts=ledger.attempts(),
            resends=ledger.resends(),
            contents=self._contents(),
        )

    def _contents(self) -> dict[str, Content]:
        """What each email was handed over with: also those that the client was never told of, by their numbers."""
        known, numbers = self.client.contents, self.ledger.numbers()
        numbers |= {i: number for number, ids in self.client.accepted.items() for i in ids}
        return {i: known[number] for i, number in numbers.items() if number in known}

    @property
    def _book(self) -> Path:
        return self._sandbox / "received.jsonl"

    # -- recovery ----------------------------------------------------------------------------------------------

    def relieve(self) -> float:
        """A cause is over now: measure until an email that is handed over from here on goes through."""
        since = time.monotonic()
        self._probes.append(self._probing.submit(self._probe, since))
        return since

    def recovered(self, seconds: float = 90) -> float:
        """The longest that an email took after a cause was over. Raises RuntimeError after `seconds`."""
        if not self._probes:
            self.relieve()
        probes, self._probes = self._probes, []
        done, _ = wait(probes, seconds)
        if len(done) < len(probes):
            raise RuntimeError(f"no email came through within {seconds:g} s after the fault")
        return max(probe.result() for probe in probes)

    def _probe(self, since: float) -> float:
        email_id = self.client.send(f"p{self.chance.getrandbits(48)}")
        if not until(lambda: self._settled(email_id), _LONGEST_PROBE):
            raise RuntimeError(
                f"an email did not come through {_LONGEST_PROBE:g} s after the fault: {email_id}"
            )
        return time.monotonic() - since

    def _settled(self, email_id: str) -> bool:
        try:
            found = self.ledger.query("SELECT status FROM email_jobs WHERE id = %s", email_id)
        except psycopg2.OperationalError:
            return False
        return bool(found) and found[0][0] in {"sent", "unknown"}


def _signal(processes: Sequence[psutil.Process], signum: signal.Signals) -> None:
    """To those that are still there: a server's children come and go."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
