"""An SMTP submission server: RFC 5321, 3207 (STARTTLS), 4954 (AUTH), 1870 (SIZE), 6152 (8BITMIME),
2920 (PIPELINING) and 3463 (enhanced status codes)."""

# ruff: noqa: N802, ARG001, ARG002 - aiosmtpd finds its hooks by name and calls them with all it has

import asyncio
import hmac
import secrets
import socket
import ssl
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, LoginPassword, Session
from aiosmtpd.smtp import Envelope as AiosmtpdEnvelope

from sandbox.accounts import Account
from sandbox.faults import Ending, Fault, FaultBoard
from sandbox.listening import HeldPort, log
from sandbox.messages import Envelope, Mailbox, MessageBox, Received
from sandbox.mime import parse_mime

MAX_MESSAGE = 25 << 20
_HOST_NAME = "sandbox.localhost"
_SESSION_SECONDS = 86_400.0  # a hanging answer must outlast any caller's patience
_UNAVAILABLE = "421 4.3.2 Service not available, closing transmission channel"
_AUTH_FAILED = "535 5.7.8 Authentication credentials invalid"
_RATE_LIMITED = "450 4.7.0 Too many messages, try again later"
_SENDER_REFUSED = "550 5.7.1 Sender address rejected: not a verified sender"
_RECIPIENT_REFUSED = "550 5.1.1 Recipient address rejected: user unknown"
_DISK_FULL = "452 4.3.1 Insufficient system storage"
_GARBAGE = b"\x16\x03\x01 <html>It works!</html>"

_T = TypeVar("_T")


class EventLoopThread:
    """One event loop in a thread of its own, for all SMTP accounts."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_note_loop_error)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Runs it there and waits for its end."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def stop(self) -> None:
        self.run(self._end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(1)
        self.loop.close()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _note_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, OSError):
        log.debug("a caller went away: %s", error)
    else:
        log.error("SMTP: %s", context.get("message"), exc_info=error)


class _Transaction(AiosmtpdEnvelope):
    """One MAIL … DATA, with the fault that strikes it."""

    fault: Fault | None = None


class _Connection(SMTP):
    sessions: set["_Connection"]

    def _create_envelope(self) -> _Transaction:
        return _Transaction()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.sessions.discard(self)
        super().connection_lost(error)

    @property
    def idle(self) -> bool:
        return self.envelope is None or not self.envelope.mail_from


class _Unavailable(asyncio.Protocol):
    """Greets with 421 and hangs up."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        asyncio.get_running_loop().call_later(self._delay, self._end, cast(asyncio.Transport, transport))

    def _end(self, transport: asyncio.Transport) -> None:
        transport.write(_UNAVAILABLE.encode() + b"\r\n")
        transport.close()


class SmtpServer:
    """One SMTP account on one port."""

    def __init__(
        self,
        account: Account,
        port: HeldPort,
        board: FaultBoard,
        box: MessageBox,
        tls: ssl.SSLContext,
        loop: EventLoopThread,
    ) -> None:
        self._account, self._board = account, board
        self._port, self._tls, self._thread = port, tls, loop
        self._handler = _Handler(account, board, box)
        self._listening: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._sessions: set[_Connection] = set()

    def open(self) -> None:
        if self._listening is None:
            self._listening = self._port.listen()
            self._thread.run(self._serve(self._listening))

    def refuse(self) -> None:
        if self._listening is not None:
            listening, self._listening = self._listening, None
            self._thread.run(self._close())
            self._port.release(listening)

    def disconnect_idle(self) -> None:
        self._thread.run(self._hang_up(idle_only=True))

    def stop(self) -> None:
        self._thread.run(self._close())
        self._port.close()
        self._thread.run(self._hang_up(idle_only=False))

    async def _serve(self, listening: socket.socket) -> None:
        self._server = await self._thread.loop.create_server(
            self._connect, sock=listening, ssl=self._tls if self._account.tls == "implicit" else None
        )

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._hang_up(idle_only=True)

    async def _hang_up(self, *, idle_only: bool) -> None:
        for session in list(self._sessions):
            if session.transport is not None and (session.idle or not idle_only):
                session.transport.close()

    def _connect(self) -> asyncio.BaseProtocol:
        fault = self._board.look(self._account.name)
        if fault and fault.mode.name == "unavailable" and self._board.strike(self._account.name, fault):
            return _Unavailable(fault.answer_delay)
        implicit = self._account.tls == "implicit"
        connection = _Connection(
            self._handler,
            hostname=_HOST_NAME,
            ident="ESMTP",
            loop=self._thread.loop,
            data_size_limit=MAX_MESSAGE,
            timeout=_SESSION_SECONDS,
            tls_context=None if implicit else self._tls,
            authenticator=self._handler.authenticate,
            auth_required=True,
        )
        connection.sessions = self._sessions
        if implicit:  # the connection is encrypted already, which aiosmtpd cannot see
            connection._auth_require_tls = False
        return connection


class _Handler:
    """aiosmtpd's hooks: checks, faults, and recording."""

    def __init__(self, account: Account, board: FaultBoard, box: MessageBox) -> None:
        self._account, self._board, self._box = account, board, box

    def authenticate(
        self, server: SMTP, session: Session, envelope: AiosmtpdEnvelope, mechanism: str, data: object
    ) -> AuthResult:
        wanted = self._account.credentials
        right = isinstance(data, LoginPassword) and all(
            [
                hmac.compare_digest(data.login, wanted["username"].encode()),
                hmac.compare_digest(data.password, wanted["password"].encode()),
            ]
        )
        return AuthResult(success=right, handled=False, auth_data=data)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: _Transaction, name: str, answers: list[str]
    ) -> list[str]:
        session.host_name = name
        return [answers[0], "250-PIPELINING", *answers[1:]]

    async def handle_AUTH(
        self, server: SMTP, session: Session, envelope: _Transaction, args: list[str]
    ) -> Any:
        fault = self._board.look(self._account.name)
        if fault and fault.mode.name == "auth" and self._board.strike(self._account.name, fault):
            await asyncio.sleep(fault.answer_delay)
            return _AUTH_FAILED
        return MISSING

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: _Transaction, address: str, options: list[str]
    ) -> str:
        fault = self._board.look(self._account.name)
        if fault and fault.mode.name != "auth" and self._board.strike(self._account.name, fault):
            envelope.fault = fault
            if fault.mode.name in ("unavailable", "refuse"):  # on a connection from before
                await asyncio.sleep(fault.answer_delay)
                await server.push(_UNAVAILABLE)
                await _hang_up(server)
            if fault.mode.name in ("ratelimit", "sender"):
                await asyncio.sleep(fault.answer_delay)
                return _RATE_LIMITED if fault.mode.name == "ratelimit" else _SENDER_REFUSED
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: _Transaction, address: str, options: list[str]
    ) -> str:
        fault = envelope.fault
        if fault and fault.mode.name == "reject":
            await asyncio.sleep(fault.answer_delay)
            return _RECIPIENT_REFUSED
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: _Transaction) -> str | bytes:
        fault = envelope.fault
        queue_id = secrets.token_hex(6).upper()
        if fault is None or fault.mode.recorded:
            try:
                await asyncio.to_thread(self._record, envelope, queue_id)
            except OSError as error:
                log.error("not recorded, and so not accepted: %s", error)
                return _DISK_FULL
        if fault is not None:
            await asyncio.sleep(fault.answer_delay)
            if fault.mode.ending is Ending.SILENCE:
                await asyncio.Event().wait()
            if fault.mode.ending in (Ending.CLOSED, Ending.BARE_ERROR):
                await _hang_up(server)
            if fault.mode.ending is Ending.GARBAGE:
                return _GARBAGE
        return f"250 2.0.0 Ok: queued as {queue_id}"

    async def handle_exception(self, error: Exception) -> str:
        log.error("SMTP command failed", exc_info=error)
        return "451 4.3.0 Local error in processing"

    def _record(self, envelope: _Transaction, queue_id: str) -> None:
        raw = cast(bytes, envelope.original_content)
        mime = parse_mime(raw)
        shown = {mailbox.email.lower() for mailbox in (*mime.to, *mime.cc)}
        message = Received(
            account=self._account.name,
            dialect="smtp",
            message_id=queue_id,
            sender=mime.sender,
            to=mime.to,
            cc=mime.cc,
            bcc=tuple(Mailbox(rcpt) for rcpt in envelope.rcpt_tos if rcpt.lower() not in shown),
            envelope=Envelope(envelope.mail_from or "", tuple(envelope.rcpt_tos)),
            subject=mime.subject,
            text=mime.text,
            html=mime.html,
            headers=mime.headers,
            attachments=mime.attachments,
            reply_to=mime.reply_to,
            size=len(raw),
            defects=mime.defects,
        )
        self._box.add([message])


async def _hang_up(server: SMTP) -> None:
    """Closes the connection; never returns, since the closing cancels the session's task."""
    if server.transport is not None:
        server.transport.close()
    await asyncio.Event().wait()
