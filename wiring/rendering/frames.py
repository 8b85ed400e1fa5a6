"""JSON over a stream socket, each value behind its length in four bytes."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct(">I")
_MOST = 64 * 1024 * 1024


def write_frame(wire: socket.socket, value: object) -> None:
    """Raises OSError."""
    raw = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    wire.sendall(_LENGTH.pack(len(raw)) + raw)


def read_frame(wire: socket.socket) -> dict[str, Any] | None:
    """The next value; None: the other side has closed. Raises OSError."""
    head = _read(wire, _LENGTH.size)
    if head is None:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > _MOST:
        raise OSError("a frame that is too long")
    raw = _read(wire, size)
    if raw is None:
        return None
    found: dict[str, Any] = json.loads(raw)
    return found


def _read(wire: socket.socket, size: int) -> bytes | None:
    raw = bytearray()
    while len(raw) < size:
        more = wire.recv(min(size - len(raw), 1 << 20))
        if not more:
            return None
        raw += more
    return bytes(raw)
