"""A TCP proxy that breaks connections: between the service and the provider it sees bytes only."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from random import Random
from typing import Literal

Way = Literal["reset", "half-close", "hang", "drip", "drop-answer"]
WAYS: tuple[Way, ...] = ("reset", "half-close", "hang", "drip", "drop-answer")
_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Hold:
    """Bytes that go `to_provider`, or come from it, are held once the provider was sent `after` bytes."""

    to_provider: bool
    after: int


class _Pair:
    """A connection through the proxy; `sent`: bytes that went to the provider."""

    def __init__(self, client: socket.socket, provider: socket.socket) -> None:
        self.client, self.provider, self.sent = client, provider, 0


class Proxy:
    """Forwards 127.0.0.1:`port` to `target`. While `way` is set, connections break that way at a random byte.

    `broken` counts the connections that were broken: each leaves at most one email in doubt. `hold` stops
    connections at a byte and leaves them open; `held` is set when that happened.
    """

    def __init__(self, target: tuple[str, int], chance: Random) -> None:
        self._target, self._chance = target, chance
        self.way: Way | None = None
        self.hold: Hold | None = None
        self.held = threading.Event()
        self.broken = 0
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        _shut(self._server)  # wakes the thread that accepts
        self.cut()

    def cut(self) -> None:
        """End every connection that is open."""
        for one in list(self._open):
            _shut(one)
            self._open.discard(one)

    def _serve(self) -> None:
        while not self._closed:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                provider = socket.create_connection(self._target, 5)
            except OSError:
                _shut(client)
                continue
            provider.settimeout(None)
            self._open |= {client, provider}
            pair = _Pair(client, provider)
            for to_provider in (True, False):
                threading.Thread(target=self._forward, args=(pair, to_provider), daemon=True).start()

    def _forward(self, pair: _Pair, to_provider: bool) -> None:
        """One direction. A connection breaks on its way to the provider, but for a dropped answer."""
        source, sink = (pair.client, pair.provider) if to_provider else (pair.provider, pair.client)
        left = self._chance.randrange(200, 12_000)
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                hold = self.hold
                if hold is not None and hold.to_provider == to_provider and pair.sent >= hold.after:
                    self.held.set()
                    return  # and both sides wait
                if to_provider:
                    pair.sent += len(data)
                way = self.way
                if way is None or to_provider == (way == "drop-answer"):
                    sink.sendall(data)
                    continue
                left -= len(data) if to_provider else 3_000
                if left > 0:
                    sink.sendall(data)
                    continue
                with self._lock:
                    self.broken += 1
                self._break(way, source, sink, data)
                return
        _shut(source)
        _shut(sink)

    def _break(self, way: Way, source: socket.socket, sink: socket.socket, data: bytes) -> None:
        if way == "reset":
            for one in (source, sink):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()
        elif way == "half-close":
            sink.sendall(data[: len(data) // 2])
            sink.shutdown(socket.SHUT_WR)
        elif way == "drip":
            for start in range(min(len(data), 40)):
                sink.sendall(data[start : start + 1])
                time.sleep(0.05)
            _shut(source)
            _shut(sink)
        elif way == "drop-answer":
            _shut(source)
            _shut(sink)
        # A hang: nothing goes on, and both sides wait.


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
