"""Sockets whose every wait ends, and the connections that are kept between sends."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from domain.ports import Clock
from providers.world import Timeouts

if TYPE_CHECKING:
    from typing_extensions import Buffer

_WRITE_AT_ONCE = 131_072  # bytes under one wait: a long upload is slow, not stuck


class Deadline:
    """The end of one exchange with a provider, and how long any single wait in it may be."""

    def __init__(self, clock: Clock, timeouts: Timeouts) -> None:
        self._now = clock.monotonic
        self._end = self._now() + timeouts.total
        self.step = timeouts.read

    def left(self) -> float:
        """Seconds until the end. Raises TimeoutError when there are none."""
        left = self._end - self._now()
        if left <= 0:
            raise TimeoutError("the time for the whole exchange is over")
        return left

    def wait(self, step: float | None = None) -> float:
        """Seconds that the next wait may take."""
        left = self.left()
        most = self.step if step is None else step
        return min(left, most)


_NEARLY = 0.9  # of the wait that is allowed: a timeout that is at least so long stays
_PART = 0.3  # the same where what is left is waited for as well


class PlainSocket(socket.socket):
    """A socket that asks its deadline before every wait. A timeout per wait alone never ends against a peer
    that sends a byte now and then.
    """

    deadline: Deadline | None = None

    def _arm(self, least: float = _NEARLY) -> float:
        """Seconds that this wait may take. Setting a timeout is a system call: one that is a little shorter than it may
        be stays.
        """
        if self.deadline is None:
            return 0.0
        wait = self.deadline.wait()
        now = self.gettimeout()
        if now is None or not least * wait <= now <= wait:
            self.settimeout(wait)
        return wait

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        self._arm()
        return super().recv(bufsize, flags)

    def answer(self, bufsize: int) -> bytes:
        """What the peer says next; empty where it has closed. Waits as long as the deadline allows for one step."""
        wait = self._arm(_PART)
        try:
            return super().recv(bufsize)
        except TimeoutError:
            if self.deadline is None or (waited := self.gettimeout() or wait) >= wait:
                raise
            self.settimeout(min(wait - waited, self.deadline.left()))
            return super().recv(bufsize)

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        self._arm()
        return super().recv_into(buffer, nbytes or len(memoryview(buffer)), flags)  # TLS reads 0 as none

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        self._arm()
        return super().send(data, flags)

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _WRITE_AT_ONCE):
            self._arm()
            super().sendall(view[start : start + _WRITE_AT_ONCE], flags)


class TLSSocket(PlainSocket, ssl.SSLSocket):  # type: ignore[misc]  # the two differ in names of parameters only
    """The same over TLS."""


class OutOfReach(OSError):
    """The account's host has no address that this account may be at."""


def dial(
    host: str, port: int, deadline: Deadline, connect: float, may_reach: Callable[[str], bool]
) -> PlainSocket:
    """Open a TCP connection, trying the host's addresses in turn within `connect` seconds for all of them.

    The name is looked up once, bounded by the system's resolver only, and only addresses that `may_reach`
    admits are connected to. Raises OSError; no byte of ours has gone then.
    """
    failure = OSError("no address")
    found = [f for f in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM) if may_reach(str(f[4][0]))]
    if not found:
        raise OutOfReach("not a public address")
    for place, (family, kind, protocol, _, address) in enumerate(found, start=1):
        sock = PlainSocket(family, kind, protocol)
        try:
            sock.settimeout(deadline.wait(connect / len(found) if place < len(found) else connect))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.deadline = deadline
            return sock
    raise failure


def encrypt(
    sock: PlainSocket, context: ssl.SSLContext, host: str, deadline: Deadline, connect: float
) -> TLSSocket:
    """Start TLS and verify the peer, within `connect` seconds. Raises OSError (ssl.SSLError is one)."""
    context.sslsocket_class = TLSSocket
    sock.settimeout(deadline.wait(connect))
    wrapped = context.wrap_socket(sock, server_hostname=host)
    assert isinstance(wrapped, TLSSocket)
    wrapped.deadline = deadline
    return wrapped


def is_quiet(sock: socket.socket) -> bool:
    """Whether an idle connection is as it was left. One that can be read was closed, or says something unasked."""
    try:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return not poll.poll(0)
    except (OSError, ValueError):
        return False


class Connection(Protocol):
    @property
    def sock(self) -> socket.socket | None: ...


C = TypeVar("C", bound=Connection)


class Kept(Generic[C]):
    """Idle connections to one place, for one thread at a time each.

    The newest goes first, so that the others grow old and leave. `max_idle` (seconds) is to be shorter than the
    servers' own patience: on a connection that the server closes just as we write, nobody can say what it read.
    """

    def __init__(self, clock: Clock, max_idle: float, size: int, dispose: Callable[[C], None]) -> None:
        self._clock, self._max_idle, self._size, self._dispose = clock, max_idle, size, dispose
        self._lock = threading.Lock()
        self._idle: list[tuple[float, C]] = []
        self._closed = False
        self._process = os.getpid()

    def take(self) -> C | None:
        """A connection that is still fresh, or None."""
        while True:
            with self._lock:
                self._leave_what_a_parent_process_opened()
                if not self._idle:
                    return None
                since, connection = self._idle.pop()
            fresh = self._clock.monotonic() - since <= self._max_idle
            if fresh and connection.sock is not None and is_quiet(connection.sock):
                return connection
            self._dispose(connection)

    def give(self, connection: C) -> None:
        """Keep a connection whose last exchange ended clean."""
        now = self._clock.monotonic()
        with self._lock:
            self._leave_what_a_parent_process_opened()
            keep = not self._closed
            if keep:
                self._idle.append((now, connection))
            leaving = [] if keep else [connection]
            while self._idle and (len(self._idle) > self._size or now - self._idle[0][0] > self._max_idle):
                leaving.append(self._idle.pop(0)[1])
        for old in leaving:
            self._dispose(old)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            leaving, self._idle = self._idle, []
        for _, connection in leaving:
            self._dispose(connection)

    def _leave_what_a_parent_process_opened(self) -> None:
        # After a fork both processes hold the same sockets: the child closes its copies without a word.
        if self._process != os.getpid():
            for _, connection in self._idle:
                if connection.sock is not None:
                    connection.sock.close()
            self._idle, self._process = [], os.getpid()
