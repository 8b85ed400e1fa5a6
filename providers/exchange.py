"""HTTP/1.1 to one origin: one request, one answer, no retries, no redirects, no proxies, no cookies.

Written on sockets and `http.client`'s parser rather than on a session of a library, because only here is it known
whether a byte of the request had gone when something failed (`wire`), and because it costs a fifth.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from domain.errors import Misconfigured, ProviderError
from providers import wire
from providers.sockets import Deadline, Kept, PlainSocket, dial, encrypt
from providers.words import clean
from providers.world import World

LARGEST_ANSWER = 1_048_576  # bytes; a provider's answer has a few hundred
MAX_IDLE = 15.0  # seconds; servers close after 60 and more
_KEEP = 32
_JOIN = 65_536  # bytes; smaller bodies travel in one write with their head
_FIELD_VALUE = re.compile(r"[\x20-\x7e\t]*\Z")


class AnswerTooLarge(Exception):
    """The provider sent more than LARGEST_ANSWER."""


@dataclass(frozen=True, slots=True)
class Request:
    """`path` with its query, as it goes on the wire. Host, length and connection fields are added."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` by lower-case name, the last of equals. `body` is whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(slots=True)
class _Line:
    sock: PlainSocket


class _WholeLines(io.BufferedReader):
    """The stream of an answer, in which a head that breaks off is no head. http.client takes it for complete."""

    begun = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size and (line or self.begun):
            raise http.client.IncompleteRead(line)
        self.begun = True
        return line


class Origin:
    """One scheme, host and port, with connections kept between requests. Safe for several threads."""

    def __init__(
        self, provider: str, base_url: str, world: World, trust: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http or https address")
        self._provider, self._world = provider, world
        self._host = parts.hostname
        secure = parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._trust = (trust or world.trust()) if secure else None
        self._authority = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._kept: Kept[_Line] = Kept(world.clock, MAX_IDLE, _KEEP, lambda line: line.sock.close())

    def perform(self, request: Request) -> Response:
        """Send the request once and read the whole answer, whatever its status.

        Raises the ProviderError that `wire` makes of a failure.
        """
        try:
            head = self._head(request)
        except ValueError as error:
            raise Misconfigured(self._provider, clean(str(error))) from error
        deadline = Deadline(self._world.clock, self._world.timeouts)
        line = self._kept.take()
        if line is None:
            try:
                line = self._open(deadline)
            except Exception as error:
                raise wire.unsent(self._provider, error) from error
        line.sock.deadline = deadline
        reusable = False
        try:
            whole = self._write(line.sock, head, request.body)
            response, reusable = self._read(line.sock, request.method)
            reusable = reusable and whole
            if not whole and response.status < 400:
                raise OSError("answered before the request was whole")
        except ProviderError:
            raise
        except Exception as error:
            reusable = False
            raise wire.unanswered(self._provider, error) from error
        finally:
            if reusable:
                self._kept.give(line)
            else:
                line.sock.close()
        return response

    def close(self) -> None:
        self._kept.close()

    def _open(self, deadline: Deadline) -> _Line:
        connect = self._world.timeouts.connect
        sock = dial(self._host, self._port, deadline, connect, self._world.may_reach)
        if self._trust is not None:
            try:
                sock = encrypt(sock, self._trust, self._host, deadline, connect)
            except BaseException:
                sock.close()
                raise
        return _Line(sock)

    def _head(self, request: Request) -> bytes:
        fields = {
            "Host": self._authority,
            "User-Agent": "mailmux",
            "Accept-Encoding": "identity",
            **request.headers,
            "Content-Length": str(len(request.body)),
        }
        for name, value in fields.items():
            if not _FIELD_VALUE.match(value):
                raise ValueError(f"the HTTP field {name} holds characters that HTTP does not carry")
        lines = [f"{request.method} {self._prefix}{request.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    @staticmethod
    def _write(sock: PlainSocket, head: bytes, body: bytes) -> bool:
        """False: the provider stopped reading. It may have said why, so the answer is still worth reading."""
        try:
            if len(body) <= _JOIN:
                sock.sendall(head + body)
            else:
                sock.sendall(head)
                sock.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    @staticmethod
    def _read(sock: socket.socket, method: str) -> tuple[Response, bool]:
        answer = http.client.HTTPResponse(sock, method=method)
        answer.fp = _WholeLines(answer.fp.detach())
        try:
            answer.begin()
            parts, size = [], 0
            while part := answer.read(65_536):
                size += len(part)
                if size > LARGEST_ANSWER:
                    raise AnswerTooLarge
                parts.append(part)
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, headers, b"".join(parts)), not answer.will_close
        finally:
            answer.close()
