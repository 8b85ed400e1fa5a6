"""The client: sends emails with known numbers, repeats with the same key until it has an answer, keeps a log."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from bench.faults.books import BOTH, FILE, PLAIN, TEMPLATE, Content

_TIMEOUT = 30.0  # seconds that the client waits for one answer
_BATCH = 20
_AGAIN = {409, 429, 500, 502, 503}


class Client:
    """`threads` senders that share `rate` emails per second between them, until `emails` were accepted.

    Every answer is in the log, on the disk, before it counts. `answers` are (time, seconds, HTTP status). `shapes`:
    what the load's emails consist of, in turn; none: a mixture of all. `contents`: what each email bore, by its number.
    """

    def __init__(
        self, url: str, key: str, log: Path, emails: int, rate: float, seed: int, shapes: Sequence[str] = ()
    ) -> None:
        self._host, self._emails, self.rate = url.partition("//")[2], emails, rate
        self._shapes = tuple(shapes)
        self.contents: dict[str, Content] = {}
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock, self._random = threading.Lock(), Random(seed)
        self._next, self._began, self._upto = 0, time.monotonic(), emails
        self._asking: set[int] = set()  # the first numbers of what is being handed over
        self._stop = threading.Event()
        self.accepted: dict[str, list[str]] = defaultdict(list)
        self.answers: list[tuple[float, float, int]] = []
        self.refused: list[str] = []
        self.unanswered: list[str] = []
        self._threads: list[threading.Thread] = []

    def set_up(self) -> None:
        """Make the template that some of the emails are of. Raises RuntimeError where it is refused."""
        connection = http.client.HTTPConnection(self._host, timeout=_TIMEOUT)
        try:
            connection.request("POST", "/v1/templates", json.dumps(_TEMPLATE), self._headers)
            answer = connection.getresponse()
            if answer.status != 201:
                raise RuntimeError(f"the template was refused: {answer.read()[:300]!r}")
        finally:
            connection.close()

    def start(self, threads: int = 6) -> None:
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def portion(self, at_once: int, upto: int) -> None:
        """The first `at_once` emails of all are due now, those up to `upto` by the rate, and the rest not yet."""
        with self._lock:
            self._began = min(self._began, time.monotonic() - at_once / self.rate)
            self._upto = upto

    @contextlib.contextmanager
    def resting(self, seconds: float = _TIMEOUT) -> Iterator[None]:
        """Nothing of the load is handed over meanwhile: what was begun has its answer. Raises RuntimeError."""
        upto, self._upto = self._upto, 0
        try:
            if not until(lambda: not self._asking, seconds):
                raise RuntimeError("requests were not answered")
            yield
        finally:
            self._upto = upto

    def finish(self, seconds: float) -> None:
        """Send what is left of the emails as fast as they are taken."""
        self.rate, self._upto = float("inf"), self._emails
        for thread in self._threads:
            thread.join(seconds)
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_TIMEOUT + 5)

    def slowest(self, since: float, until: float) -> float | None:
        """The 99th percentile in ms of the accepted requests that began between two moments; None without any."""
        found = sorted(s for at, s, status in list(self.answers) if since <= at <= until and status == 202)
        return found[min(len(found) - 1, int(len(found) * 0.99))] * 1000 if found else None

    def send(self, number: str, host: str | None = None, **fields: Any) -> str:
        """Hand over one email outside the load, at another `host:port` if asked; returns its id."""
        return self._ask([number], "/v1/emails", self.email(number, **fields), host)[0]

    def send_together(self, emails: dict[str, dict[str, Any]]) -> list[str]:
        """Hand over several in one request: fields by the client's number of each; returns their ids."""
        body = {"emails": [self.email(number, **fields) for number, fields in emails.items()]}
        return self._ask(list(emails), "/v1/emails/batch", body)

    def email(self, number: str, **fields: Any) -> dict[str, Any]:
        """What will be handed over under a number; it is noted what must arrive."""
        email = an_email(number, self._shapes, **fields)
        self.contents[number] = content_of(number, email)
        return email

    def _ask(self, numbers: list[str], path: str, body: dict[str, Any], host: str | None = None) -> list[str]:
        connection = http.client.HTTPConnection(host or self._host, timeout=_TIMEOUT)
        try:
            ids = self._deliver(connection, numbers, path, body)
        finally:
            connection.close()
        if not ids:
            raise RuntimeError(f"the API did not take {numbers[0]}")
        return ids

    def _work(self) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=_TIMEOUT)
        while not self._stop.is_set():
            with self._lock:
                first = self._next
                size = min(_BATCH if self._random.random() < 0.02 else 1, self._emails - first)
                self._next += size
                wait = self._began + first / self.rate - time.monotonic()
            if size <= 0:
                return
            if wait > 0:
                self._stop.wait(wait)
            while not self._admitted(first) and not self._stop.wait(0.02):
                pass
            numbers = [f"n{number}" for number in range(first, first + size)]
            if size == 1:
                self._deliver(connection, numbers, "/v1/emails", self.email(numbers[0]))
            else:
                batch = {"emails": [self.email(number) for number in numbers]}
                self._deliver(connection, numbers, "/v1/emails/batch", batch)
            with self._lock:
                self._asking.discard(first)

    def _admitted(self, first: int) -> bool:
        with self._lock:
            if first < self._upto:
                self._asking.add(first)
            return first in self._asking

    def _deliver(
        self, connection: http.client.HTTPConnection, numbers: list[str], path: str, body: dict[str, Any]
    ) -> list[str]:
        """Ask until there is an answer that stands; the key makes it safe."""
        headers = self._headers | {"Idempotency-Key": f"key-{numbers[0]}"}
        payload = json.dumps(body)
        while True:
            began = time.monotonic()
            try:
                connection.request("POST", path, payload, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                status = 0
            else:
                status = answer.status
            self.answers.append((began, time.monotonic() - began, status))
            if status == 202:
                ids = ids_of(json.loads(content))
                self._note(numbers, ids)
                return ids
            if status and status not in _AGAIN:
                self.refused.append(f"{status} {content[:200]!r}")
                return []
            if self._stop.wait(0.1):
                self.unanswered += numbers
                return []

    def _note(self, numbers: list[str], ids: list[str]) -> None:
        lines = "".join(
            json.dumps({"number": n, "email": i}) + "\n" for n, i in zip(numbers, ids, strict=True)
        )
        with self._lock:
            os.write(self._log, lines.encode())
            os.fsync(self._log)
            for number, email_id in zip(numbers, ids, strict=True):
                self.accepted[number].append(email_id)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


_FILES: tuple[Callable[[str], str], ...] = (lambda _: _base64("The same for all.\n" * 2000), _base64)


_TEMPLATE = {"name": "load", "subject": "Number {{ number }}", "html": "<p>This is <b>{{ number }}</b>.</p>"}


def an_email(number: str, shapes: Sequence[str] = (), **fields: Any) -> dict[str, Any]:
    """An email that bears its number. A third of them insists on SMTP, so that both protocols are under load.

    With `fields` it is of no template, whose place they take.
    """
    place = sum(number.encode())
    domain = f"{number.strip('n')[-2:]}.example"
    email: dict[str, Any] = {
        "from": f"Load <load@s{domain}>",
        "to": [f"{number}@example.com"],
        "subject": f"Number {number}",
        "text": f"This is {number}.\n",
        "metadata": {"number": number},
    }
    if place % 3 == 0:
        email["routing"] = {"excluded": ["sandbox-sendgrid", "sandbox-sendgrid-eu"]}
    if place % 5 == 0:
        email["email_type"] = "marketing"
    shape = shapes[place % len(shapes)] if shapes else _mixed(place)
    if not fields and shape in (TEMPLATE, BOTH):
        del email["subject"], email["text"]
        email |= {"template": _TEMPLATE["name"], "variables": {"number": number}}
    if shape in (FILE, BOTH):  # some share their file with others, and some have one of their own
        email["attachments"] = [{"filename": "a.txt", "content": _FILES[place // 7 % 2](number)}]
    return email | fields


def _mixed(place: int) -> str:
    """Of four emails one is of a template, and of seven one has a file."""
    return {(True, True): BOTH, (True, False): TEMPLATE, (False, True): FILE}.get(
        (place % 4 == 0, place % 7 == 0), PLAIN
    )


def content_of(number: str, email: dict[str, Any]) -> Content:
    """What must arrive of an email that is handed over so."""
    files = [base64.b64decode(file["content"]) for file in email.get("attachments", ())]
    shape = {(True, True): BOTH, (True, False): TEMPLATE, (False, True): FILE}.get(
        ("template" in email, bool(files)), PLAIN
    )
    hashes = tuple(sorted(hashlib.sha256(file).hexdigest() for file in files))
    return Content(shape, email.get("subject", f"Number {number}"), hashes)


def ids_of(answer: dict[str, Any]) -> list[str]:
    return [answer["id"]] if "id" in answer else [result["id"] for result in answer["results"]]


def until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Wait for something; returns whether it happened."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
    return True
