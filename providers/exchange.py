"""HTTP/1.1 to one origin: one request, one answer, no retries, no redirects, no proxies, no cookies.

Written on sockets rather than on a session of a library, because only here is it known whether a byte of the request
had gone when something failed (`wire`), and because it costs a tenth.
"""

from __future__ import annotations

import re
import select
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from domain.errors import Misconfigured, ProviderError
from domain.ports import Clock
from providers import wire
from providers.answers import LARGEST_ANSWER, Answer, Response
from providers.sockets import Deadline, Kept, PlainSocket, dial, encrypt
from providers.words import clean
from providers.world import World

__all__ = ["Origin", "Request", "Response"]

MAX_IDLE = 15.0  # seconds; servers close after 60 and more
_KEEP = 128
_JOIN = 65_536  # bytes; smaller bodies travel in one write with their head
_READ = 16_384  # bytes at once
_FIELD_VALUE = re.compile(r"[\x20-\x7e\t]*\Z")


@dataclass(frozen=True, slots=True)
class Request:
    """`path` with its query, as it goes on the wire. Host, length and connection fields are added."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class _Line:
    sock: PlainSocket


class _Exchange:
    """A request that has gone, and the answer as far as it has come. `until`: when the next byte must be here."""

    __slots__ = ("answer", "began", "deadline", "line", "place", "until", "whole")

    def __init__(self, place: int, line: _Line, deadline: Deadline, began: float) -> None:
        self.place, self.line, self.deadline, self.began = place, line, deadline, began
        self.answer = Answer()
        self.whole = True
        self.until = began

    def read(self) -> bool:
        """Take what has come. True: the answer is whole. Raises what reading raises."""
        sock, answer = self.line.sock, self.answer
        try:
            answer.feed(sock.recv(_READ))
            while not answer.complete and isinstance(sock, ssl.SSLSocket) and sock.pending():
                answer.feed(sock.recv(_READ))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False  # a record of TLS that is not whole yet
        return answer.complete


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

    def perform(self, request: Request, largest: int = LARGEST_ANSWER) -> Response:
        """Send the request once and read the whole answer, of `largest` bytes, whatever its status.

        Raises the ProviderError that `wire` makes of a failure.
        """
        try:
            head = self._head(request)
        except (ValueError, TypeError) as error:
            raise Misconfigured(self._provider, clean(str(error))) from error
        deadline = Deadline(self._world.clock, self._world.timeouts)
        line = self._kept.take()
        if line is None:
            try:
                line = self._open(deadline)
            except Exception as error:
                raise wire.unsent(self._provider, error) from error
        line.sock.deadline = deadline
        answer, whole = Answer(largest), True
        try:
            whole = self._write(line.sock, head, request.body)
            while not answer.complete:
                answer.feed(line.sock.recv(_READ))
        except Exception as error:
            line.sock.close()
            raise wire.unanswered(self._provider, error) from error
        return self._ended(line, answer, whole)

    def perform_together(
        self, requests: Iterable[tuple[int, Request]]
    ) -> Iterator[tuple[int, Response | ProviderError | None, float]]:
        """Send each request once over kept connections, all of them at the same time, and yield what came of each as
        soon as it is known: its number, the answer or the error, and the seconds that it took.

        None: it was not begun, as no connection is kept for it, and is to be performed by itself. These come first.
        """
        clock, waiting = self._world.clock, dict[int, _Exchange]()
        poll = select.poll()
        try:
            for place, request in requests:
                try:
                    exchange = self._begin(place, request)
                except ProviderError as error:
                    yield place, error, 0.0
                    continue
                if exchange is None:
                    yield place, None, 0.0
                    continue
                number = exchange.line.sock.fileno()
                waiting[number] = exchange
                poll.register(number, select.POLLIN)
            yield from self._answers(waiting, poll, clock)
        finally:
            for exchange in waiting.values():
                exchange.line.sock.close()

    def _answers(
        self, waiting: dict[int, _Exchange], poll: select.poll, clock: Clock
    ) -> Iterator[tuple[int, Response | ProviderError, float]]:
        look = min(
            [e.until for e in waiting.values()], default=0.0
        )  # when the first may have waited for too long
        while waiting:
            ready = [number for number, _ in poll.poll(max(0.0, look - clock.monotonic()) * 1000 + 1)]
            now = clock.monotonic()
            silent: list[int] = []  # for too long; what has come is read, also where we come late to it
            if now >= look:
                silent = [n for n, e in waiting.items() if now >= e.until and n not in ready]
                look = min([e.until for e in waiting.values() if now < e.until], default=now)
            for number in [*ready, *silent]:
                exchange = waiting[number]
                try:
                    if number in silent:
                        raise TimeoutError
                    if not exchange.read():
                        exchange.until = now + exchange.deadline.wait()
                        look = min(look, exchange.until)
                        continue
                    result: Response | ProviderError = self._ended(
                        exchange.line, exchange.answer, exchange.whole
                    )
                except ProviderError as error:
                    result = error
                except Exception as error:  # noqa: BLE001  # whatever it is, it is this request's alone
                    exchange.line.sock.close()
                    result = wire.unanswered(self._provider, error)
                poll.unregister(number)
                del waiting[number]
                yield exchange.place, result, now - exchange.began

    def _begin(self, place: int, request: Request) -> _Exchange | None:
        """Send a request. None: there is no connection for it. Raises the ProviderError of a failure."""
        line = self._kept.take() if len(request.body) <= _JOIN else None
        if line is None:
            return None
        try:
            head = self._head(request)
        except (ValueError, TypeError) as error:
            self._kept.give(line)
            raise Misconfigured(self._provider, clean(str(error))) from error
        deadline = Deadline(self._world.clock, self._world.timeouts)
        exchange = _Exchange(place, line, deadline, self._world.clock.monotonic())
        line.sock.deadline = deadline
        try:
            exchange.whole = self._write(line.sock, head, request.body)
            line.sock.deadline = None  # `until` watches over it now
            if isinstance(line.sock, ssl.SSLSocket):
                line.sock.setblocking(False)  # or half a record would hold up all others
            exchange.until = exchange.began + deadline.wait()
        except Exception as error:
            line.sock.close()
            raise wire.unanswered(self._provider, error) from error
        return exchange

    def _ended(self, line: _Line, answer: Answer, whole: bool) -> Response:
        """The answer, with its connection kept where it may be. Raises OutcomeUnknown."""
        response = answer.response()
        if answer.reusable and whole:
            self._kept.give(line)
        else:
            line.sock.close()
        if not whole and response.status < 400:
            raise wire.unanswered(self._provider, OSError("answered before the request was whole"))
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
