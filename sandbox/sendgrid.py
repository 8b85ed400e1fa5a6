"""SendGrid's v3 Web API, as far as sending goes: POST /v3/mail/send and GET /v3/scopes.

Sources: SendGrid's OpenAPI document for Mail Send, and its pages "Errors" (mail-send/errors) and "Rate
limits" of the v3 API reference. The wording of the errors is theirs, since clients match on it.
"""

import hmac
import json
import secrets
import socket
import time
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from sandbox import sendgrid_wording as wording
from sandbox.accounts import Account
from sandbox.faults import Ending, Fault, FaultBoard
from sandbox.listening import HeldPort, HttpServer, log
from sandbox.messages import MessageBox
from sandbox.sendgrid_body import read_messages
from sandbox.sendgrid_fields import InvalidBody, Problem

MAX_BODY = 30 << 20
"""SendGrid: "The total size of your email, including attachments, must be less than 30MB"."""
_RATE_LIMIT = 600

_REFUSALS: dict[str, tuple[int, Problem]] = {
    "unavailable": (503, Problem("service unavailable", None)),
    "ratelimit": (429, Problem("too many requests", None)),
    "auth": (401, Problem("The provided authorization grant is invalid, expired, or revoked", None)),
    "reject": (400, Problem("Does not contain a valid address.", "personalizations.0.to.0.email")),
    "sender": (403, Problem(wording.SENDER_MISMATCH, "from")),
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""


def _errors(status: int, *problems: Problem) -> Answer:
    errors = [{"message": problem.message, "field": problem.field, "help": None} for problem in problems]
    return Answer(status, {"Content-Type": "application/json"}, json.dumps({"errors": errors}).encode())


class SendGridServer:
    """One SendGrid account on one port."""

    def __init__(self, account: Account, port: HeldPort, board: FaultBoard, box: MessageBox) -> None:
        self.account, self.board, self.box = account, board, box
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
    server_version = "nginx"
    sys_version = ""
    connection: socket.socket

    @property
    def _http(self) -> HttpServer:
        return cast(HttpServer, self.server)

    @property
    def _account(self) -> SendGridServer:
        return cast(SendGridServer, self._http.account)

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
        lines = [f"HTTP/1.1 {answer.status} {reason}", "Server: nginx", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines.append(f"Content-Length: {len(answer.body)}")
        if self._http.stopping.is_set() or self._account.refusing(self._http):
            self.close_connection = True
        if self.close_connection:
            lines.append("Connection: close")
        # One write: a caller whose process dies in between sees all of the answer or nothing.
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body)

    def _answer(self) -> Answer:
        sending = self.path.partition("?")[0] == "/v3/mail/send"
        checking = self.path.partition("?")[0] == "/v3/scopes"
        body = self._read_body()
        if isinstance(body, Answer):
            return body
        fault = self._account.board.look(self._account.account.name)
        if fault is not None and not fault.mode.after_checks and self._strikes(fault, sending):
            return self._fail(fault)
        if (refusal := self._check_key()) is not None:
            return refusal
        if not (sending or checking):
            return _errors(404, Problem("not found", None))
        if self.command != ("POST" if sending else "GET"):
            return _errors(405, Problem("method not allowed", None))
        if checking:
            if fault is not None and fault.mode.after_checks and not fault.mode.messages_only:
                return self._fail(fault, Answer(200, *_SCOPES))
            return Answer(200, *_SCOPES)
        return self._send(body, fault)

    def _send(self, body: bytes, fault: Fault | None) -> Answer:
        if self.headers.get_content_type() != "application/json":
            return _errors(415, Problem("Content-Type should be application/json.", None))
        message_id = secrets.token_urlsafe(16)
        account = self._account
        try:
            messages = read_messages(body, account=account.account.name, message_id=message_id)
        except InvalidBody as error:
            return _errors(400, *error.problems)
        if not messages:
            return Answer(200, {})
        accepted = Answer(202, {"X-Message-Id": message_id})
        if fault is not None and not (fault.mode.after_checks and self._strikes(fault, True)):
            fault = None
        if fault is None or fault.mode.recorded:
            try:
                account.box.add(messages)
            except OSError as error:
                log.error("not recorded, and so not accepted: %s", error)
                return _errors(500, Problem("internal server error", None))
        return self._fail(fault, accepted) if fault else accepted

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
            return Answer(500, {})
        if ending is Ending.GARBAGE:
            page = b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"
            return Answer(202 if usual is None else usual.status, {"Content-Type": "text/html"}, page)
        if ending is Ending.REFUSAL:
            status, problem = _REFUSALS[fault.mode.name]
            answer = _errors(status, problem)
            if status == 429:
                answer.headers |= {
                    "X-RateLimit-Limit": str(_RATE_LIMIT),
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": str(int(time.time() + fault.delay + 0.999)),
                }
            return answer
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

    def _check_key(self) -> Answer | None:
        scheme, _, key = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return _errors(401, Problem("authorization required", None))
        if not hmac.compare_digest(
            key.strip().encode(), self._account.account.credentials["api_key"].encode()
        ):
            return _errors(401, _REFUSALS["auth"][1])
        return None

    def _read_body(self) -> bytes | Answer:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return _errors(411, Problem("length required", None))
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            return _errors(400, Problem("Bad Request", None))
        if int(length) > MAX_BODY:
            self._discard(int(length))
            return _errors(413, Problem("content too large", None))
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Hung  # the caller broke off: nothing was received
        return self._decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _decompress(self, body: bytes) -> bytes | Answer:
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            plain = reader.decompress(body, MAX_BODY + 1)
        except zlib.error:
            return _errors(400, Problem("Bad Request", None))
        if len(plain) > MAX_BODY:
            return _errors(413, Problem("content too large", None))
        return plain if reader.eof else _errors(400, Problem("Bad Request", None))

    def _discard(self, length: int) -> None:
        """Reads what will not be used, so that the caller can read the answer; too much of it closes."""
        self.close_connection = True
        left = min(length, 4 * MAX_BODY)
        while left and (block := self.rfile.read(min(left, 1 << 20))):
            left -= len(block)


_SCOPES = (
    {"Content-Type": "application/json"},
    json.dumps({"scopes": ["mail.send", "sender_verification_eligible"]}).encode(),
)


def _hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
