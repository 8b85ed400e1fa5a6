"""One connection to an SMTP server, from the greeting to the goodbye, and how far each email got on it."""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from providers.reach import anywhere
from providers.smtp_replies import Reply, Stage
from providers.sockets import Deadline, PlainSocket, TLSSocket, dial, encrypt

LONGEST_REPLY = 65_536  # bytes of all lines; RFC 5321 (4.5.3.1.5) allows 512 for one
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*?))?\r?\n\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """Where to connect and as whom. `trust` is None where `tls` is none."""

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    local_hostname: str
    trust: ssl.SSLContext | None
    username: str = ""
    password: str = ""
    may_reach: Callable[[str], bool] = anywhere

    @property
    def plain(self) -> str:
        """The answer to AUTH PLAIN (RFC 4616)."""
        return in_base64(f"\0{self.username}\0{self.password}")


class Failure(Exception):
    """The email did not get through the dialogue."""


class Refusal(Failure):
    """The server answered no."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        super().__init__(stage, reply.code)
        self.stage, self.reply = stage, reply


class Dropped(Failure):
    """The connection was lost before the final dot: the email was provably not taken."""

    def __init__(self, stage: Stage, cause: Exception) -> None:
        super().__init__(stage, cause)
        self.stage, self.cause = stage, cause


class InDoubt(Failure):
    """The final dot may have gone, and no answer came that can be read."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


class Unfit(Failure):
    """The server lacks what the account's settings need. The text is ours."""


class NotSMTP(smtplib.SMTPException):
    """The server said something that is no reply, or no end of it."""


class _Dialogue(smtplib.SMTP):
    """smtplib's commands, on a socket of ours, with replies that have an end."""

    sock: PlainSocket | None

    def getreply(self) -> tuple[int, bytes]:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        if self.file is None:
            self.file = self.sock.makefile("rb")
        lines: list[bytes] = []
        size = 0
        while True:
            line = self.file.readline(LONGEST_REPLY)
            if not line.endswith(b"\n"):
                raise NotSMTP("too long a line") if len(line) == LONGEST_REPLY else ConnectionResetError
            size += len(line)
            found = _REPLY_LINE.match(line)
            if found is None or size > LONGEST_REPLY:
                raise NotSMTP
            lines.append(found[3] or b"")
            if found[2] != b"-":
                return int(found[1]), b"\n".join(lines)


class Session:
    """A connection that is ready for emails. `sent` counts those that it carried."""

    def __init__(self, dialogue: _Dialogue) -> None:
        self._dialogue, self.sent = dialogue, 0

    @property
    def sock(self) -> PlainSocket | None:
        return self._dialogue.sock

    @property
    def size_limit(self) -> int | None:
        """The most bytes that the server takes (SIZE, RFC 1870), where it says so."""
        limit = self._dialogue.esmtp_features.get("size", "")
        return int(limit[:18]) or None if limit.isascii() and limit.isdigit() else None

    def ask(self, stage: Stage, command: str, yes: int = 2) -> Reply:
        """Send a command and read its reply. `yes`: the first digit of the wished one."""
        try:
            code, text = self._dialogue.docmd(command)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Dropped(stage, error) from error
        return _answered(stage, code, text, yes)

    def transmit(self, sender: str, recipients: list[str], data: bytes, deadline: Deadline) -> None:
        """One transaction. Returns only where the server took the email for every recipient; raises Failure."""
        size = f" SIZE={len(data)}" if self._dialogue.has_extn("size") else ""
        self.ask(Stage.MAIL, f"MAIL FROM:<{sender}>{size}")
        refusals: list[Refusal] = []
        for recipient in recipients:
            try:
                self.ask(Stage.RCPT, f"RCPT TO:<{recipient}>")
            except Refusal as refusal:
                refusals.append(refusal)
                if refusal.reply.code == 421:
                    break
        if refusals:
            # All or nothing: an email that goes to some of its recipients could never be completed elsewhere.
            raise next((r for r in refusals if r.reply.code >= 500), refusals[0])
        self.ask(Stage.DATA, "DATA", yes=3)
        try:
            self._write(data)
        except OSError as error:
            raise Dropped(Stage.DATA, error) from error
        try:
            self._write(b".\r\n")
            deadline.step = deadline.left()  # this reply may take long, and is worth it (RFC 5321, 4.5.3.2.6)
            code, text = self._dialogue.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise InDoubt(error) from error
        if code // 100 == 3:
            raise InDoubt(NotSMTP())
        _answered(Stage.END, code, text)
        self.sent += 1

    def reset(self) -> bool:
        """Forget a refused transaction. False: the connection is of no more use."""
        try:
            self.ask(Stage.MAIL, "RSET")
        except Failure:
            return False
        return True

    def end(self) -> None:
        """Say goodbye without waiting for the answer."""
        if (sock := self.sock) is not None:
            with contextlib.suppress(OSError, ValueError):  # it is given up, in order or not
                sock.deadline = None
                sock.settimeout(0.2)
                sock.sendall(b"QUIT\r\n")
        self.drop()

    def drop(self) -> None:
        self._dialogue.close()

    def _write(self, data: bytes) -> None:
        if self.sock is None:
            raise BrokenPipeError("the connection is closed")
        self.sock.sendall(data)


def open_session(account: Account, deadline: Deadline, connect: float) -> Session:
    """Connect, secure and sign in; `connect` seconds for TCP and again for TLS. Raises Failure."""
    dialogue = _Dialogue(local_hostname=account.local_hostname)
    session = Session(dialogue)
    stage = Stage.CONNECT
    try:
        sock = dial(account.host, account.port, deadline, connect, account.may_reach)
        dialogue.sock = sock
        if account.tls == "implicit":
            stage = Stage.TLS
            dialogue.sock = _encrypt(sock, account, deadline, connect)
        stage = Stage.GREETING
        _answered(stage, *dialogue.getreply())
        stage = Stage.HELLO
        _answered(stage, *dialogue.ehlo())
        if account.tls == "starttls":
            if not dialogue.has_extn("starttls"):
                raise Unfit("the server offers no STARTTLS")
            stage = Stage.TLS
            session.ask(stage, "STARTTLS")
            dialogue.sock = _encrypt(sock, account, deadline, connect)
            # What was said before TLS may be anyone's: forget it, and what waits in the buffer (RFC 3207, 4.2).
            dialogue.file, dialogue.esmtp_features, dialogue.does_esmtp = None, {}, False
            stage = Stage.HELLO
            _answered(stage, *dialogue.ehlo())
        if account.username:
            _sign_in(session, dialogue, account)
    except (smtplib.SMTPException, OSError) as error:
        session.drop()
        raise Dropped(stage, error) from error
    except BaseException:
        session.drop()
        raise
    return session


def _encrypt(sock: PlainSocket, account: Account, deadline: Deadline, connect: float) -> TLSSocket:
    if account.trust is None:
        raise Unfit("TLS without a notion of whom to trust")
    return encrypt(sock, account.trust, account.host, deadline, connect)


def _sign_in(session: Session, dialogue: _Dialogue, account: Account) -> None:
    """AUTH PLAIN, else LOGIN (RFC 4954). Only ever over TLS."""
    if not isinstance(session.sock, TLSSocket):
        raise Unfit("credentials are never sent without TLS")
    offered = dialogue.esmtp_features.get("auth", "").upper().split()
    if "PLAIN" in offered:
        session.ask(Stage.AUTH, f"AUTH PLAIN {account.plain}")
    elif "LOGIN" in offered:
        session.ask(Stage.AUTH, "AUTH LOGIN", yes=3)
        session.ask(Stage.AUTH, in_base64(account.username), yes=3)
        session.ask(Stage.AUTH, in_base64(account.password))
    else:
        raise Unfit("the server offers neither AUTH PLAIN nor AUTH LOGIN")


def _answered(stage: Stage, code: int, text: bytes, yes: int = 2) -> Reply:
    reply = Reply(code, text.decode("utf-8", "replace"))
    if code // 100 == yes:
        return reply
    if code // 100 in (4, 5):
        raise Refusal(stage, reply)
    raise Dropped(stage, NotSMTP())


def in_base64(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")
