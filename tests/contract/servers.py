"""Providers' servers on this machine's sockets, that answer as a test says, and keep what they were told.

They are written from the protocols, not from the adapters: nothing of ours is imported here.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from enum import Enum
from typing import Any


class Does(Enum):
    """How a provider treats the next emails."""

    ACCEPT = "accept"
    RATE_LIMIT = "say 429, come back in 7 seconds"
    UNAVAILABLE = "say 503"
    BARE_500 = "say 500 and nothing more"
    REFUSE_CREDENTIALS = "say 401"
    REJECT = "say that the email is wrong"
    REFUSE_SENDER = "say that the sender is not verified"
    GARBAGE = "answer with a success that makes no sense"
    HUGE = "answer without end, fast"
    TRUNCATED = "break off in the middle of the answer"
    RESET = "take the email, then reset the connection"
    CLOSE = "take the email, then close without a word"
    HANG = "take the email, then say nothing"
    DRIP = "take the email, then answer a byte now and then, for ever"


DRIP_EVERY = 0.1  # seconds; less than any read timeout


class Listener:
    """A socket on 127.0.0.1 with a thread for each connection. `connections` counts the accepted ones."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.does = Does.ACCEPT
        self.connections = 0
        self.emails = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def deafen(self) -> None:
        """Take no more connections; those that are open stay."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def stop(self) -> None:
        self.stopping.set()
        self.deafen()
        with self.lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def drop_connections(self) -> None:
        """End what is open, as a server does that has waited long enough."""
        with self.lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                # Not the TLS socket's own method: that would let its thread read on, without TLS.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def narrow(self) -> None:
        """Let little be under way on the connections to come: what is not read soon keeps the client waiting."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 600)

    def wait_until_left(self, seconds: float) -> None:
        """Return when everything that came was read and every connection has ended, or after `seconds`."""
        for _ in range(int(seconds / 0.002)):
            with self.lock:
                if not self._open:
                    return
            self.stopping.wait(0.002)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls is not None and self.tls_at_once:
                connection = self.tls.wrap_socket(connection, server_side=True)
            self.watch(connection)
            self.serve(connection)
        except (OSError, EOFError):
            pass  # the client left, or the test ended
        finally:
            with self.lock:
                self._open.discard(connection)
            connection.close()

    tls_at_once = True

    def watch(self, connection: socket.socket) -> None:
        with self.lock:
            self._open.add(connection)

    def drip(self, connection: socket.socket, piece: bytes) -> None:
        while not self.stopping.wait(DRIP_EVERY):
            connection.sendall(piece)

    @staticmethod
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


Headers = dict[str, str]


class HTTPServer(Listener):
    """HTTP/1.1 with Content-Length. `answer` gives status, headers and body for a request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.requests: list[tuple[str, str, Headers, bytes]] = []
        self.together: threading.Barrier | None = None  # so many requests wait for each other

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        raise NotImplementedError

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        with stream:
            while line := stream.readline():
                method, path, _ = line.decode("ascii").split(" ")
                headers: Headers = {}
                while (field := stream.readline().decode("latin-1").rstrip("\r\n")) != "":
                    name, _, value = field.partition(":")
                    assert name.lower() not in headers, f"{name} came twice"
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", "0")))
                with self.lock:
                    self.requests.append((method, path, headers, body))
                if self.together is not None:
                    self.together.wait(5)
                if not self._treat(connection, method, path, headers, body):
                    return

    def _treat(
        self, connection: socket.socket, method: str, path: str, headers: Headers, body: bytes
    ) -> bool:
        match self.does:
            case Does.HANG:
                self.stopping.wait()
            case Does.RESET:
                self.reset(connection)
            case Does.CLOSE:
                pass
            case Does.DRIP:
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nX-Slow: ")
                self.drip(connection, b"a")
            case Does.HUGE:
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000000000\r\n\r\n")
                while not self.stopping.is_set():
                    connection.sendall(b"x" * 65_536)
            case Does.TRUNCATED:
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 400\r\n\r\n{")
            case _:
                status, more, content = self.answer(method, path, headers, body)
                head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(content)}\r\n"
                head += "".join(f"{n}: {v}\r\n" for n, v in more.items())
                connection.sendall(head.encode() + b"\r\n" + content)
                return more.get("Connection", "") != "close"
        return False


class SendGridServer(HTTPServer):
    """POST /v3/mail/send and GET /v3/scopes, for one API key."""

    def __init__(self, api_key: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.api_key = api_key
        self.payloads: list[dict[str, Any]] = []

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        if headers.get("authorization") != f"Bearer {self.api_key}" or self.does is Does.REFUSE_CREDENTIALS:
            key = headers.get("authorization", "")
            return self._errors(
                401, f"The provided authorization grant {key} is invalid, expired, or revoked"
            )
        if (method, path) == ("GET", "/v3/scopes"):
            return 200, {"Content-Type": "application/json"}, b'{"scopes":["mail.send","alerts.read"]}'
        if (method, path) != ("POST", "/v3/mail/send"):
            return self._errors(404, "not found")
        payload = json.loads(body)
        with self.lock:
            self.emails += 1
            self.payloads.append(payload)
        recipient = payload["personalizations"][0]["to"][0]["email"]
        match self.does:
            case Does.RATE_LIMIT:
                return self._errors(429, "too many requests", {"Retry-After": "7"})
            case Does.UNAVAILABLE:
                return 503, {}, b""
            case Does.BARE_500:
                return 500, {"Content-Type": "text/html"}, b"<h1>Oops</h1>"
            case Does.REJECT:
                return self._errors(
                    400, f"Does not contain a valid address: {recipient}", field="personalizations.0.to"
                )
            case Does.REFUSE_SENDER:
                return self._errors(
                    403,
                    "The from address does not match a verified Sender Identity. Mail cannot be sent until this error"
                    " is resolved.",
                    field="from",
                )
            case Does.GARBAGE:
                return 202, {"Content-Type": "text/html"}, b"<html>Please sign in to the Wi-Fi</html>"
        return 202, {"X-Message-Id": f"sg-{len(self.payloads)}"}, b""

    @staticmethod
    def _errors(
        status: int, message: str, more: Headers | None = None, field: str | None = None
    ) -> tuple[int, Headers, bytes]:
        body = json.dumps({"errors": [{"message": message, "field": field, "help": None}]}).encode()
        return status, {"Content-Type": "application/json", **(more or {})}, body
