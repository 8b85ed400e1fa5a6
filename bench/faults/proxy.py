"""A TCP proxy that breaks connections: between the service and the provider it sees bytes only."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from random import Random
from typing import Literal

Way = Literal["reset", "half-close", "hang", "drip", "drop-answer"]
WAYS: tuple[Way, ...] = ("reset", "half-close", "hang", "drip", "drop-answer")
_CHUNK = 65_536


class Proxy:
    """Forwards 127.0.0.1:`port` to `target`. While `way` is set, connections break that way at a random byte.

    `broken` counts the connections that were broken: each leaves at most one email in doubt.
    """

    def __init__(self, target: tuple[str, int], chance: Random) -> None:
        self._target, self._chance = target, chance
        self.way: Way | None = None
        self.broken = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._server.close()
        for one in list(self._open):
            _shut(one)

    def _serve(self) -> None:
        while not self._closed:
            try:
                client, _ = self._server.accept()
                provider = socket.create_connection(self._target, 5)
            except OSError:
                continue
            self._open |= {client, provider}
            threading.Thread(target=self._forward, args=(client, provider, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(provider, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, to_provider: bool) -> None:
        """One direction. A connection breaks on its way to the provider, but for a dropped answer."""
        left = self._chance.randrange(200, 12_000)
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                way = self.way
                if way is None or to_provider == (way == "drop-answer"):
                    sink.sendall(data)
                    continue
                left -= len(data) if to_provider else 3_000
                if left > 0:
                    sink.sendall(data)
                    continue
                self.broken += 1
                self._break(way, source, sink, data)
                return
        _shut(source)
        _shut(sink)

    def _break(self, way: Way, source: socket.socket, sink: socket.socket, data: bytes) -> None:
        sockets = (source, sink)
        if way == "reset":
            for one in sockets:
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
