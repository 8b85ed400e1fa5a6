"""A provider that takes everything: `receiver smtp PORT`, or `receiver http PORT LATENCY_MS`.

It prints `mesg=N` as it counts.

The SMTP side offers PIPELINING; the HTTP side answers as SendGrid's POST /v3/mail/send does.
"""

from __future__ import annotations

import asyncio
import re
import sys

_count = 0


def _counted() -> None:
    global _count
    _count += 1
    sys.stdout.write(f"mesg={_count}\n")
    sys.stdout.flush()


class SmtpSink(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer, self._content = transport, b"", False
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        out: list[bytes] = []
        while True:
            if self._content:
                end = self._buffer.find(b"\r\n.\r\n")
                if end < 0:
                    break
                self._buffer, self._content = self._buffer[end + 5 :], False
                _counted()
                out.append(b"250 2.0.0 Ok\r\n")
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                break
            self._buffer = rest
            verb = line[:4].upper()
            if verb == b"EHLO":
                out.append(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"DATA":
                self._content = True
                self._buffer = b"\r\n" + self._buffer  # so that an empty content ends too
                out.append(b"354 End data with <CR><LF>.<CR><LF>\r\n")
            elif verb == b"QUIT":
                out.append(b"221 Bye\r\n")
            else:
                out.append(b"250 2.1.0 Ok\r\n")
        if out:
            self._transport.write(b"".join(out))


class HttpSink(asyncio.Protocol):
    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)content-length: *(\d+)", self._buffer[:end])
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            asyncio.get_running_loop().call_later(self.latency, self._answer)

    def _answer(self) -> None:
        _counted()
        self._transport.write(
            b"HTTP/1.1 202 Accepted\r\nX-Message-Id: m%d\r\nContent-Length: 0\r\n\r\n" % _count
        )


async def _serve(kind: str, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        SmtpSink if kind == "smtp" else HttpSink, "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) > 3:
        HttpSink.latency = float(sys.argv[3]) / 1000
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
