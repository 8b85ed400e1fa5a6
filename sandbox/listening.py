"""Ports that stay ours while nobody listens on them, and a threaded HTTP server whose listener can be closed
and reopened."""

import errno
import logging
import socket
import socketserver
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

BACKLOG = 512

log = logging.getLogger("sandbox")


class PortTaken(OSError):
    """Another program listens on the port."""


class AccountServer(Protocol):
    """What every dialect's server can do with its listener."""

    def open(self) -> None:
        """Listens; no harm when it does already."""

    def refuse(self) -> None:
        """Stops listening, so that connecting is refused, and hangs up on connections that wait idly."""

    def disconnect_idle(self) -> None:
        """Hangs up on connections that wait idly, so that their callers meet a new fault from its start."""

    def stop(self) -> None:
        """Gives everything back, within a second; calls that hang are cut off."""


class HeldPort:
    """A TCP port that stays bound even while nobody listens, so that no other program can take it and a
    connecting client is refused rather than connected to itself."""

    def __init__(self, host: str, port: int) -> None:
        """Port 0 takes a free one. Raises PortTaken, or OSError for an address that is not ours."""
        self.host = host
        self._bound: socket.socket | None = _bind(host, port)
        self.port: int = self._bound.getsockname()[1]

    def listen(self) -> socket.socket:
        """A listening socket, which `release` takes back. Raises PortTaken."""
        bound = self._bound or _bind(self.host, self.port)
        self._bound = None
        try:
            bound.listen(BACKLOG)
        except OSError as error:
            bound.close()
            raise PortTaken(error.errno, f"port {self.port} on {self.host} is taken") from error
        return bound

    def release(self, listening: socket.socket) -> None:
        """Stops listening and holds the port."""
        listening.close()
        self._bound = _bind(self.host, self.port)

    def close(self) -> None:
        if self._bound is not None:
            self._bound.close()
            self._bound = None


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortTaken(error.errno, f"port {port} on {host} is taken") from error
        raise
    return bound


class Connections:
    """The open connections of one server, and which of them wait for a next request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[socket.socket, bool] = {}

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._idle[connection] = True

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._idle.pop(connection, None)

    def busy(self, connection: socket.socket, busy: bool) -> None:
        with self._lock:
            if connection in self._idle:
                self._idle[connection] = not busy

    def any(self) -> bool:
        with self._lock:
            return bool(self._idle)

    def any_busy(self) -> bool:
        with self._lock:
            return not all(self._idle.values())

    def hang_up(self, *, idle_only: bool) -> None:
        with self._lock:
            for connection, idle in self._idle.items():
                if idle or not idle_only:
                    with suppress(OSError):  # the other side may have hung up first
                        connection.shutdown(socket.SHUT_RDWR)


class HttpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread per connection. It takes a socket that listens already."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, handler: type[BaseHTTPRequestHandler], account: Any) -> None:
        super().__init__(listening.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.account = account
        self.connections = Connections()
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections.opened(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.connections.closed(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's hook
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            log.debug("the caller at %s went away: %s", client_address, error)
        else:
            log.error("a call failed", exc_info=error)

    def end_accepting(self) -> None:
        """Accepts no more connections; those that are open go on."""
        self.shutdown()
        self._thread.join()
