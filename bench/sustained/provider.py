"""A provider that takes everything and tells of each email that it was delivered: `provider PORT HOOK PER_CALL`.

It answers as SendGrid's POST /v3/mail/send does, prints `mesg=N` as it counts, and calls HOOK with signed events, up to
PER_CALL in a call, as soon as there are some. Its key is read from the environment, SIGNING_KEY (PEM). A call that is
not taken is made again, as providers do.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import queue
import re
import sys
import threading
import time
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_ATTEMPT = re.compile(rb'"mailmux_attempt": ?"([0-9a-f-]{36})"')
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_TELLERS = 4  # calls at a time
_GATHER = 0.25  # seconds that a call waits for more events; SendGrid waits for longer
_AGAIN = 0.2  # seconds until a call is made again


class Taking(asyncio.Protocol):
    """Takes emails, and hands on whose attempts they were."""

    count = 0
    taken: queue.SimpleQueue[str] = queue.SimpleQueue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer[:end])
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._take(body)

    def _take(self, body: bytes) -> None:
        for attempt in _ATTEMPT.findall(body):
            Taking.count += 1
            sys.stdout.write(f"mesg={Taking.count}\n")
            self.taken.put(attempt.decode())
        sys.stdout.flush()
        self._transport.write(
            b"HTTP/1.1 202 Accepted\r\nX-Message-Id: m%d\r\nContent-Length: 0\r\n\r\n" % Taking.count
        )


def gathered(taken: queue.SimpleQueue[str], most: int, patience: float = _GATHER) -> list[str]:
    """The next attempts to tell of, at most so many: those that come within `patience` seconds of the first."""
    found = [taken.get()]
    end = time.monotonic() + patience
    while len(found) < most:
        try:
            found.append(taken.get(timeout=max(0.0, end - time.monotonic())))
        except queue.Empty:
            break
    return found


def call(key: ec.EllipticCurvePrivateKey, attempts: list[str], now: int) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a call that says of these attempts that they were delivered."""
    body = json.dumps(
        [
            {
                "email": "u@example.com", "event": "delivered", "timestamp": now,
                "sg_event_id": f"{attempt}-delivered", "sg_message_id": "none", "mailmux_attempt": attempt,
            }
            for attempt in attempts
        ]
    ).encode()  # fmt: skip
    signature = key.sign(f"{now}".encode() + body, ec.ECDSA(hashes.SHA256()))
    return body, {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Timestamp": str(now),
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
    }


def _tell(hook: str, key: ec.EllipticCurvePrivateKey, per_call: int) -> None:
    place = urlsplit(hook)
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    while True:
        body, headers = call(key, gathered(Taking.taken, per_call), int(time.time()))
        while not _taken(connection, place.path, body, headers):
            time.sleep(_AGAIN)  # before the call is repeated


def _taken(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens it anew
        return False
    return 200 <= answer.status < 300


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Taking, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main(port: str, hook: str, per_call: str) -> None:
    key = serialization.load_pem_private_key(os.environ["SIGNING_KEY"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    for _ in range(_TELLERS):
        threading.Thread(target=_tell, args=(hook, key, int(per_call)), daemon=True).start()
    asyncio.run(_serve(int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
