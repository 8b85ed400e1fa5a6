"""Calling webhooks back: off the exchange that took the message, and again where nobody takes the call.

What was told of a message is remembered, so that it can be told again: repeated, shuffled, forged or late.
"""

import http.client
import json
import queue
import random
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from sandbox.accounts import write_secret
from sandbox.listening import log
from sandbox.messages import Received
from sandbox.stories import Happening, Signed, is_told, story_of

_WAITS = (0.2, 1.0, 3.0, 10.0)  # seconds before the call is made again
_TIMEOUT = 10.0
_REMEMBERED = 2000  # messages
_CALLERS = 4


class Teller(Protocol):
    """A dialect whose provider has a webhook."""

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        """The body of the call; None where this provider does not tell of such a thing."""

    def sign(self, body: bytes, at: float) -> Signed:
        """The call with what proves it, made at this time."""


@dataclass(frozen=True)
class Call:
    account: str
    teller: Teller
    body: bytes
    tries: int = 0
    due: float = 0.0


class Callbacks:
    """The webhooks of all accounts. `addresses` are kept in DIR/webhooks.json, readable by its owner only."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "webhooks.json"
        self._lock = threading.Lock()
        self._addresses: dict[str, str] = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._told: OrderedDict[int, list[Call]] = OrderedDict()
        self._queue: queue.Queue[Call | None] = queue.Queue()
        self._stopping = threading.Event()

    def start(self) -> None:
        for _ in range(_CALLERS):
            threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        for _ in range(_CALLERS):
            self._queue.put(None)

    def address(self, account: str) -> str | None:
        with self._lock:
            return self._addresses.get(account)

    def point(self, account: str, url: str | None) -> None:
        """Say where an account's webhook is; None: it has none. Raises ValueError."""
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme != "http" or not parts.hostname or parts.port is None:
                raise ValueError("url must be http://host:port/…")
        with self._lock:
            self._addresses.pop(account, None)
            if url is not None:
                self._addresses[account] = url
            write_secret(self._file, json.dumps(self._addresses, indent=2) + "\n")

    def taken(self, teller: Teller, message: Received, number: int) -> None:
        """A message was recorded: tell what happens to it, where somebody is to be told."""
        if self.address(message.account) is None:
            return
        now = time.time()
        calls = [
            Call(message.account, teller, body)
            for recipient in message.envelope.recipients
            if is_told(recipient)
            for happening in story_of(recipient, message.account)
            if (body := teller.tell_of(message, recipient, happening, now)) is not None
        ]
        if not calls:
            return
        with self._lock:
            self._told[number] = calls
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        for call in calls:
            self._queue.put(call)

    def again(
        self, number: int, times: int = 1, shuffled: bool = False, forged: bool = False, age: float = 0.0
    ) -> list[int]:
        """Tell all that was told of a message once more, and wait; returns the statuses of the answers.

        `forged`: with a proof that is wrong. `age`: signed so many seconds ago. Raises KeyError.
        """
        with self._lock:
            calls = [call for call in self._told[number] for _ in range(times)]
        if shuffled:
            random.shuffle(calls)
        return [self._call(call, forged, age) for call in calls]

    def _serve(self) -> None:
        while (call := self._queue.get()) is not None:
            left = call.due - time.monotonic()
            if left > 0 and self._stopping.wait(min(left, 0.2)):
                return
            if left > 0.2:
                self._queue.put(call)
                continue
            status = self._call(call)
            if not 200 <= status < 300 and call.tries < len(_WAITS):
                due = time.monotonic() + _WAITS[call.tries]
                self._queue.put(replace(call, tries=call.tries + 1, due=due))
            elif not 200 <= status < 300:
                log.warning("%s: nobody took a call of the webhook (%d)", call.account, status)

    def _call(self, call: Call, forged: bool = False, age: float = 0.0) -> int:
        """The status of the answer; 0 where there was none."""
        url = self.address(call.account)
        if url is None:
            return 0
        parts = urlsplit(url)
        signed = call.teller.sign(call.body, time.time() - age)
        if forged:
            signed = _forged(signed)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        with suppress(OSError, http.client.HTTPException):
            try:
                path = parts.path + (f"?{parts.query}" if parts.query else "")
                headers = {"Content-Type": "application/json", **signed.headers}
                connection.request("POST", path, signed.body, headers)
                return connection.getresponse().status
            finally:
                connection.close()
        return 0


def _forged(signed: Signed) -> Signed:
    if signed.proof:
        proof = signed.proof.encode()
        return replace(signed, body=signed.body.replace(proof, _spoiled(signed.proof).encode()))
    return replace(signed, headers={name: _spoiled(value) for name, value in signed.headers.items()})


def _spoiled(value: str) -> str:
    """Another value of the same form, as somebody would send who does not know the secret."""
    letters = list(value)
    place = len(letters) // 2
    letters[place] = (
        "0" if letters[place] != "0" else "1"
    )  # not a letter: some proofs take both cases for one
    return "".join(letters)
