"""An account with an HTTP API on one port: connections, faults, recording. What is said is the dialect's."""

import socket
import time
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from sandbox.callbacks import Callbacks
from sandbox.dialect import Answer, Call, Dialect, Purpose, Refused
from sandbox.faults import Ending, Fault, FaultBoard
from sandbox.listening import HeldPort, HttpServer, log
from sandbox.messages import MessageBox


class HttpAccount:
    """One account of one dialect."""

    def __init__(
        self, dialect: Dialect, port: HeldPort, board: FaultBoard, box: MessageBox, callbacks: Callbacks
    ) -> None:
        self.account, self.dialect, self.board, self.box = dialect.account, dialect, board, box
        self.callbacks = callbacks
        dialect.box = box
        self._port = port
        self._server: HttpServer | None = None
        self._retired: list[HttpServer] = []

    def open(self) -> None:
        if self._server is None:
            self._server = HttpServer(self._port.listen(), _Handler, self)

    def refuse(self) -> None:
        server = self._server
        if server is not None:
            self._server = None
            self._retired = [old for old in self._retired if old.connections.any()] + [server]
            server.end_accepting()
            self._port.release(server.socket)
            self.disconnect_idle()

    def disconnect_idle(self) -> None:
        for server in self._all():
            server.connections.hang_up(idle_only=True)

    def stop(self) -> None:
        if self._server is not None:
            self._server.end_accepting()
            self._server.server_close()
        self._port.close()
        self.disconnect_idle()
        deadline = time.monotonic() + 0.5  # what is being answered may finish; what hangs may not
        for server in self._all():
            server.stopping.set()
            while server.connections.any_busy() and time.monotonic() < deadline:
                time.sleep(0.01)
            server.connections.hang_up(idle_only=False)

    def refusing(self, server: HttpServer) -> bool:
        """Whether this server's listener is closed: its connections are then of no more use."""
        return server is not self._server

    def _all(self) -> list[HttpServer]:
        return [*self._retired, self._server] if self._server else list(self._retired)


class _Hung(Exception):
    """The exchange ends without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connection: socket.socket

    @property
    def _http(self) -> HttpServer:
        return cast(HttpServer, self.server)

    @property
    def _account(self) -> HttpAccount:
        return cast(HttpAccount, self._http.account)

    @property
    def _dialect(self) -> Dialect:
        return self._account.dialect

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def do_POST(self) -> None:
        self._exchange()

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - http.server finds them by name

    def _exchange(self) -> None:
        connections = self._http.connections
        connections.busy(self.connection, True)
        try:
            self._write(self._answer())
        except _Hung:
            self.close_connection = True
        finally:
            connections.busy(self.connection, False)

    def _write(self, answer: Answer) -> None:
        reason = HTTPStatus(answer.status).phrase.upper()
        lines = [
            f"HTTP/1.1 {answer.status} {reason}",
            f"Server: {self._dialect.server}",
            f"Date: {self.date_time_string()}",
        ]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines.append(f"Content-Length: {len(answer.body)}")
        if self._http.stopping.is_set() or self._account.refusing(self._http):
            self.close_connection = True
        if self.close_connection:
            lines.append("Connection: close")
        # One write: a caller whose process dies in between sees all of the answer or nothing.
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body)

    def _answer(self) -> Answer:
        body = self._read_body()
        if isinstance(body, Answer):
            return body
        path, _, query = self.path.partition("?")
        call = Call(self.command, path, query, self.headers, body)
        dialect, purpose = self._dialect, self._dialect.purpose(call)
        sending = purpose is Purpose.SENDING
        fault = self._account.board.look(self._account.account.name)
        if fault is not None and not fault.mode.after_checks and self._strikes(fault, sending):
            return self._fail(fault)
        if (refusal := dialect.check(call)) is not None:
            return refusal
        if purpose is Purpose.UNKNOWN:
            return dialect.error(404, "not found")
        if purpose is Purpose.WRONG_METHOD:
            return dialect.error(405, "method not allowed")
        if sending:
            return self._send(call, fault)
        if fault is not None and fault.mode.after_checks and not fault.mode.messages_only:
            return self._fail(fault, dialect.tell(call))
        return dialect.tell(call)

    def _send(self, call: Call, fault: Fault | None) -> Answer:
        account = self._account
        try:
            taken = account.dialect.take(call)
        except Refused as refused:
            return refused.answer
        if not taken.messages:
            return taken.answer
        if fault is not None and not (fault.mode.after_checks and self._strikes(fault, True)):
            fault = None
        if fault is None or fault.mode.recorded:
            try:
                records = account.box.add(taken.messages)
            except OSError as error:
                log.error("not recorded, and so not accepted: %s", error)
                return account.dialect.error(500, "internal server error")
            taken.once_recorded()
            for message, record in zip(taken.messages, records, strict=True):
                account.callbacks.taken(account.dialect, message, record["seq"])
        return self._fail(fault, taken.answer) if fault else taken.answer

    def _strikes(self, fault: Fault, sending: bool) -> bool:
        """Only sending uses up the fault's count."""
        board, name = self._account.board, self._account.account.name
        return board.strike(name, fault) if sending else not fault.mode.messages_only

    def _fail(self, fault: Fault, usual: Answer | None = None) -> Answer:
        """The answer under this fault; raises _Hung where there is none."""
        ending = fault.mode.ending
        if ending is Ending.NO_LISTENER:  # on a connection from before
            raise _Hung
        if ending is Ending.SILENCE:
            self._wait_for_hang_up(None)
            raise _Hung
        if fault.answer_delay:
            self._wait_for_hang_up(fault.answer_delay)
        if ending is Ending.CLOSED:
            raise _Hung
        if ending is Ending.BARE_ERROR:
            return Answer(500)
        if ending is Ending.GARBAGE:
            page = b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"
            status = self._dialect.accepted if usual is None else usual.status
            return Answer(status, {"Content-Type": "text/html"}, page)
        if ending is Ending.REFUSAL:
            return self._dialect.refusal(fault.mode.name, fault.delay)
        if usual is None:
            raise AssertionError(f"{fault.mode.name} has no answer")
        return usual

    def _wait_for_hang_up(self, seconds: float | None) -> None:
        """Waits so long, or until the caller or this server ends the connection; raises _Hung then."""
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            left = 0.25 if end is None else min(0.25, max(0.0, end - time.monotonic()))
            if self._http.stopping.wait(left):
                raise _Hung
            if _hung_up(self.connection):
                raise _Hung

    def _read_body(self) -> bytes | Answer:
        error, limit = self._dialect.error, self._dialect.max_body
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return error(411, "length required")
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            return error(400, "Bad Request")
        if int(length) > limit:
            self._discard(int(length))
            return error(413, "content too large")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Hung  # the caller broke off: nothing was received
        return self._decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _decompress(self, body: bytes) -> bytes | Answer:
        error, limit = self._dialect.error, self._dialect.max_body
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            plain = reader.decompress(body, limit + 1)
        except zlib.error:
            return error(400, "Bad Request")
        if len(plain) > limit:
            return error(413, "content too large")
        return plain if reader.eof else error(400, "Bad Request")

    def _discard(self, length: int) -> None:
        """Reads what will not be used, so that the caller can read the answer; too much of it closes."""
        self.close_connection = True
        left = min(length, 4 * self._dialect.max_body)
        while left and (block := self.rfile.read(min(left, 1 << 20))):
            left -= len(block)


def _hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
