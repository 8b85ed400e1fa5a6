"""One connection to an SMTP server, from the greeting to the goodbye, and how far each email got on it."""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from providers.oauth import bearer
from providers.reach import anywhere
from providers.smtp_replies import Reply, Stage
from providers.sockets import Deadline, PlainSocket, TLSSocket, dial, encrypt

_WRITE_AT_ONCE = 16_384  # bytes: one record of TLS, which goes whole or not at all, and so can be counted
LONGEST_REPLY = 65_536  # bytes of all lines; RFC 5321 (4.5.3.1.5) allows 512 for one
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*?))?\r?\n\Z", re.DOTALL)
_LAST_LINES = {b"%d " % code: code for code in range(200, 600)}  # how the last line of a reply begins
_READ_AT_ONCE = 4096  # bytes
# Yes to MAIL, to one RCPT and to DATA, in a line each: what nearly every email is answered with.
_GO_ON = re.compile(rb"2\d\d [^\n]*\n2\d\d [^\n]*\n3\d\d [^\n]*\n")


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
    token: str = ""

    @property
    def bearer(self) -> str:
        """The answer to AUTH XOAUTH2."""
        return b64encode(bearer(self.username, self.token)).decode("ascii")

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
    _came = b""  # from the server, of which the first `_read` bytes have been read
    _read = 0

    def getreply(self) -> tuple[int, bytes]:
        line = self._line()
        code = _LAST_LINES.get(line[:4])
        if code is not None:  # most replies are one line; this is most of what reading them takes
            return code, line[4:].removesuffix(b"\n").removesuffix(b"\r")
        lines: list[bytes] = []
        size = 0
        while True:
            size += len(line)
            found = _REPLY_LINE.match(line)
            if found is None or size > LONGEST_REPLY:
                raise NotSMTP
            lines.append(found[3] or b"")
            if found[2] != b"-":
                return int(found[1]), b"\n".join(lines)
            line = self._line()

    def encrypted(self, sock: TLSSocket) -> None:
        """Go on over TLS. What was said before may be anyone's: forget it, and what is not read yet (RFC 3207, 4.2)."""
        self.sock = sock
        self._came, self._read = b"", 0
        self.esmtp_features, self.does_esmtp = {}, False

    def says_go_on(self) -> bool:
        """Whether it has said yes up to DATA already; that is read then, and nothing else."""
        found = _GO_ON.match(self._came, self._read)
        if found is not None:
            self._read = found.end()
        return found is not None

    @property
    def unread(self) -> bool:
        """Whether more has come than was read."""
        return self._read < len(self._came)

    def _line(self) -> bytes:
        """The next line, with its end."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        while (end := self._came.find(b"\n", self._read)) < 0:
            if len(self._came) - self._read >= LONGEST_REPLY:
                raise NotSMTP("too long a line")
            piece = self.sock.answer(_READ_AT_ONCE)
            if not piece:
                raise ConnectionResetError
            self._came, self._read = self._came[self._read :] + piece, 0
        begin, self._read = self._read, end + 1
        return self._came[begin : self._read]


@dataclass(frozen=True, slots=True, repr=False)
class Parcel:
    """An email as SMTP carries it: `data` with doubled dots and CRLF at its end, without the final dot."""

    sender: str
    recipients: Sequence[str]
    data: bytes
    message_id: str = ""


class Stopped(Failure):
    """The sender said to stop before the content went."""


class Session:
    """A connection that is ready for emails. `sent` counts those that it carried.

    Where the server offers PIPELINING (RFC 2920) the commands of an email go in one write, and those of the
    next email go with the end of this one.
    """

    def __init__(self, dialogue: _Dialogue) -> None:
        self._dialogue, self.sent = dialogue, 0
        self._told: Parcel | None = None  # its commands are on the wire, their replies are not read yet

    @property
    def sock(self) -> PlainSocket | None:
        return self._dialogue.sock

    @property
    def clean(self) -> bool:
        """Whether nothing is under way on it, and nothing was said that would be taken for a later reply."""
        return self._told is None and not self._dialogue.unread

    @property
    def size_limit(self) -> int | None:
        """The most bytes that the server takes (SIZE, RFC 1870), where it says so."""
        return _size(self._dialogue.esmtp_features.get("size", ""))

    def ask(self, stage: Stage, command: str, yes: int = 2) -> None:
        """Send a command and read its reply. `yes`: the first digit of the wished one."""
        try:
            code, text = self._dialogue.docmd(command)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Dropped(stage, error) from error
        _answered(stage, code, text, yes)

    def transmit(
        self, parcel: Parcel, deadline: Deadline, go_on: Callable[[], bool], following: Parcel | None = None
    ) -> None:
        """One transaction. Returns only where the server took the email for every recipient; raises Failure.

        `following` is told with the end of this one, where the server allows that.
        """
        if self.sock is not None:
            self.sock.deadline = deadline
        if self._dialogue.has_extn("pipelining"):
            self._tell(parcel)
        else:
            self._tell_step_by_step(parcel)
            following = None
        if not go_on():
            raise Stopped
        if self._dialogue.unread:  # it would be taken for the reply to the content
            raise Dropped(Stage.DATA, NotSMTP())
        commands = b"" if following is None else self._commands(following)
        self._write_content(parcel.data, b".\r\n" + commands)
        self._told = following
        try:
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

    def _mail(self, parcel: Parcel) -> str:
        size = f" SIZE={len(parcel.data)}" if self._dialogue.has_extn("size") else ""
        return f"MAIL FROM:<{parcel.sender}>{size}"

    def _commands(self, parcel: Parcel) -> bytes:
        """DATA goes along where there is one recipient: refused, it is refused too. With several, a server that
        refuses some of them would wait for a content that must not come.
        """
        lines = [self._mail(parcel), *(f"RCPT TO:<{r}>" for r in parcel.recipients)]
        if len(parcel.recipients) == 1:
            lines.append("DATA")
        return "\r\n".join([*lines, ""]).encode("ascii")

    def _tell(self, parcel: Parcel) -> None:
        """Bring the server to where it waits for the content, in one write."""
        if self._told is not parcel:
            assert self._told is None
            try:
                self._write(self._commands(parcel))
            except OSError as error:
                raise Dropped(Stage.MAIL, error) from error
        self._told = None
        if len(parcel.recipients) == 1 and self._dialogue.says_go_on():
            return
        stages = [Stage.MAIL, *[Stage.RCPT] * len(parcel.recipients)]
        refusals = [refusal for stage in stages if (refusal := self._refusal(stage)) is not None]
        if len(parcel.recipients) == 1:
            refused = self._refusal(Stage.DATA, yes=3)
            if refusals and refused is None:
                self.drop()  # it waits for a content all the same: without it nothing is sent
            elif refused is not None:
                refusals.append(refused)
        _raise_worst(refusals)
        if len(parcel.recipients) != 1:
            self.ask(Stage.DATA, "DATA", yes=3)

    def _refusal(self, stage: Stage, yes: int = 2) -> Refusal | None:
        """Read one reply of several that are on their way."""
        try:
            code, text = self._dialogue.getreply()
            _answered(stage, code, text, yes)
        except Refusal as refusal:
            if refusal.reply.code == 421:
                raise
            return refusal
        except (smtplib.SMTPException, OSError) as error:
            raise Dropped(stage, error) from error
        return None

    def _tell_step_by_step(self, parcel: Parcel) -> None:
        self.ask(Stage.MAIL, self._mail(parcel))
        refusals: list[Refusal] = []
        for recipient in parcel.recipients:
            try:
                self.ask(Stage.RCPT, f"RCPT TO:<{recipient}>")
            except Refusal as refusal:
                refusals.append(refusal)
                if refusal.reply.code == 421:
                    break
        _raise_worst(refusals)
        self.ask(Stage.DATA, "DATA", yes=3)

    def _write_content(self, data: bytes, end: bytes) -> None:
        """Only a final dot that may have gone leaves a doubt: count what was handed to the system."""
        whole = memoryview(data + end)
        gone, size = 0, len(whole)
        try:
            if self.sock is None:
                raise BrokenPipeError("the connection is closed")
            while gone < size:
                gone += self.sock.send(whole[gone : gone + _WRITE_AT_ONCE])
        except OSError as error:
            if gone > len(data):
                raise InDoubt(error) from error
            raise Dropped(Stage.DATA, error) from error

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
            dialogue.encrypted(_encrypt(sock, account, deadline, connect))
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


@lru_cache(maxsize=64)  # servers have few limits, and are asked for each email
def _size(limit: str) -> int | None:
    return int(limit[:18]) or None if limit.isascii() and limit.isdigit() else None


def _encrypt(sock: PlainSocket, account: Account, deadline: Deadline, connect: float) -> TLSSocket:
    if account.trust is None:
        raise Unfit("TLS without a notion of whom to trust")
    return encrypt(sock, account.trust, account.host, deadline, connect)


def _sign_in(session: Session, dialogue: _Dialogue, account: Account) -> None:
    """AUTH PLAIN, else LOGIN (RFC 4954). Only ever over TLS."""
    if not isinstance(session.sock, TLSSocket):
        raise Unfit("credentials are never sent without TLS")
    offered = dialogue.esmtp_features.get("auth", "").upper().split()
    if account.token:
        _sign_in_with_token(dialogue, account, offered)
    elif "PLAIN" in offered:
        session.ask(Stage.AUTH, f"AUTH PLAIN {account.plain}")
    elif "LOGIN" in offered:
        session.ask(Stage.AUTH, "AUTH LOGIN", yes=3)
        session.ask(Stage.AUTH, in_base64(account.username), yes=3)
        session.ask(Stage.AUTH, in_base64(account.password))
    else:
        raise Unfit("the server offers neither AUTH PLAIN nor AUTH LOGIN")


def _sign_in_with_token(dialogue: _Dialogue, account: Account, offered: Sequence[str]) -> None:
    """AUTH XOAUTH2. A refusal comes as a challenge that says why, and as a reply once that is answered with nothing."""
    if "XOAUTH2" not in offered:
        raise Unfit("the server offers no AUTH XOAUTH2")
    code, text = dialogue.docmd(f"AUTH XOAUTH2 {account.bearer}")
    if code == 334:
        code, text = dialogue.docmd("")
    _answered(Stage.AUTH, code, text)


def _answered(stage: Stage, code: int, text: bytes, yes: int = 2) -> None:
    if code // 100 == yes:
        return
    if code // 100 in (4, 5):
        raise Refusal(stage, Reply(code, text.decode("utf-8", "replace")))
    raise Dropped(stage, NotSMTP())


def _raise_worst(refusals: Sequence[Refusal]) -> None:
    """All or nothing: an email that goes to some of its recipients could never be completed elsewhere.

    The first refusal says why; of several recipients' a permanent one counts more. What follows is a consequence.
    """
    if refusals:
        first = [r for r in refusals if r.stage is refusals[0].stage]
        raise next((r for r in first if r.reply.code >= 500), first[0])


def in_base64(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")
