"""An SMTP server for tests: every answer can be another one, and it does to the letter what RFC 5321 and 2920 say."""

from __future__ import annotations

import contextlib
import socket
import ssl
from base64 import b64decode
from collections.abc import Callable

from tests.contract.servers import Does, Listener

Answer = str | Callable[[socket.socket], None]

_LAST_IN_A_GROUP = frozenset({"EHLO", "STARTTLS", "AUTH", "DATA", "NOOP", "QUIT"})  # RFC 2920, 3.1


class SMTPServer(Listener):
    """RFC 5321 with SIZE, STARTTLS or implicit TLS, AUTH PLAIN and LOGIN, and PIPELINING where it is a feature.

    `replies` overrides the answer to a command by its verb ("GREETING", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END"),
    or by the verb and the address that it is about ("RCPT a@b.example"; "MAIL", "DATA" and "END": the sender's):
    a text, or a function that does something else to the connection. `eager`: DATA is answered 354 although there is
    no recipient. `violations`: what the client must never do.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        mode: str = "starttls",
        account: tuple[str, str] | None = None,
        features: tuple[str, ...] = ("SIZE 30000000", "8BITMIME"),
    ) -> None:
        self.mode, self.account, self.features = mode, account, features
        self.tls_at_once = mode == "implicit"
        self.replies: dict[str, Answer] = {}
        self.messages: list[tuple[str, list[str], bytes]] = []
        self.commands: list[str] = []
        self.groups: list[list[str]] = []  # the commands that came in one piece, where several did
        self.ahead = 0  # how often the next email's commands came with the end of one
        self.unfinished = 0  # contents that broke off
        self.eager = False
        self.tokens: set[str] | None = None  # those that let in by XOAUTH2, which is the only way then
        self.violations: list[str] = []
        super().__init__(tls)

    def serve(self, connection: socket.socket) -> None:
        _Dialogue(self, connection).run()


class _Left(Exception):
    """The dialogue is over."""


class _Dialogue:
    def __init__(self, server: SMTPServer, connection: socket.socket) -> None:
        self.server, self.connection = server, connection
        self.came = bytearray()  # and was not read yet
        self.answers = bytearray()  # that wait for the end of the group (RFC 2920, 3.2)
        self.group: list[str] = []
        self.pipelining = False
        self.secure = server.mode == "implicit"
        self.signed_in = server.account is None
        self.sender: str | None = None
        self.recipients: list[str] = []

    def run(self) -> None:
        try:
            with contextlib.suppress(_Left):
                self.say("GREETING", "220 test.example ESMTP")
                while True:
                    self.obey(self.read())
        finally:
            self.connection.close()

    def line(self) -> bytes:
        """The next line, with its end; empty: the client has left."""
        searched = 0
        while (end := self.came.find(b"\n", searched)) < 0:
            searched = len(self.came)
            self.flush()
            piece = self.connection.recv(65_536)
            if not piece:
                return b""
            self.came += piece
        raw = bytes(self.came[: end + 1])
        del self.came[: end + 1]
        return raw

    def read(self) -> str:
        raw = self.line()
        if not raw:
            raise _Left
        if not raw.endswith(b"\r\n"):
            self.complain(f"a line that does not end with CRLF: {raw!r}")
        line = raw[:-2].decode("utf-8")
        verb = line.split(" ", 1)[0].upper()
        with self.server.lock:
            self.server.commands.append(line)
            self.group.append(line)
            if not self.came:
                if len(self.group) > 1:
                    self.server.groups.append(self.group)
                self.group = []
        if self.came and not self.pipelining:
            self.complain(f"more came with {verb}, and nothing allowed that")
        elif self.came and verb in _LAST_IN_A_GROUP:
            self.complain(f"{verb} was not the last of its group")
        return line

    def complain(self, violation: str) -> None:
        with self.server.lock:
            self.server.violations.append(violation)

    def flush(self) -> None:
        if self.answers:
            waiting, self.answers = bytes(self.answers), bytearray()
            self.connection.sendall(waiting)

    def say(self, verb: str, text: str, about: str | None = None) -> bool:
        """Answer, unless the test says otherwise. True: the answer was a yes."""
        replies = self.server.replies
        answer = replies.get(f"{verb} {about}", replies.get(verb, text))
        if callable(answer):
            self.flush()
            answer(self.connection)
            raise _Left
        self.answers += answer.encode() + b"\r\n"
        if verb not in ("MAIL", "RCPT", "RSET") or not self.came or answer.startswith("421"):
            self.flush()
        if answer.startswith("421"):
            raise _Left
        return answer[0] in "23"

    def obey(self, line: str) -> None:
        verb = line.split(" ", 1)[0].upper()
        match verb:
            case "EHLO":
                features = [*self.server.features]
                if self.server.tls and not self.secure:
                    features.append("STARTTLS")
                if self.server.account and self.secure:
                    features.append("AUTH PLAIN LOGIN" if self.server.tokens is None else "AUTH XOAUTH2")
                lines = ["test.example", *features]
                self.pipelining = "PIPELINING" in features
                self.say(
                    "EHLO",
                    "\r\n".join(f"250{'-' if n < len(lines) else ' '}{x}" for n, x in enumerate(lines, 1)),
                )
            case "STARTTLS" if self.server.tls and not self.secure:
                if self.say("STARTTLS", "220 go ahead"):
                    self.came.clear()
                    self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
                    self.server.watch(self.connection)
                    self.secure, self.pipelining = True, False
            case "AUTH":
                self.sign_in(line)
            case "MAIL":
                self.mail(line)
            case "RCPT":
                self.rcpt(line)
            case "DATA" if self.recipients or (self.server.eager and self.sender is not None):
                if self.say("DATA", "354 go on", self.sender):
                    self.data()
            case "DATA" if self.sender is not None:
                self.say("?", "554 5.5.1 no valid recipients")
            case "RSET":
                self.sender, self.recipients = None, []
                self.say("RSET", "250 ok")
            case "NOOP":
                self.say("NOOP", "250 ok")
            case "QUIT":
                self.say("QUIT", "221 bye")
                raise _Left
            case _:
                self.say("?", "503 5.5.1 bad sequence of commands")

    def sign_in(self, line: str) -> None:
        if not self.secure:
            self.complain("credentials came without TLS")
        words = line.split(" ")
        if self.server.tokens is not None:
            self.sign_in_with_token(words[2])
            return
        if words[1] == "PLAIN":
            _, user, password = b64decode(words[2]).decode().split("\0")
        else:
            self.connection.sendall(b"334 VXNlcm5hbWU6\r\n")
            user = b64decode(self.read()).decode()
            self.connection.sendall(b"334 UGFzc3dvcmQ6\r\n")
            password = b64decode(self.read()).decode()
        right = (user, password) == self.server.account and self.server.does is not Does.REFUSE_CREDENTIALS
        self.signed_in = (
            self.say(
                "AUTH", "235 2.7.0 welcome" if right else f"535 5.7.8 {user} may not enter with {password}"
            )
            and right
        )

    def sign_in_with_token(self, answer: str) -> None:
        user, bearer, *rest = b64decode(answer).decode().split("\x01")
        assert self.server.account is not None
        assert rest == ["", ""]
        right = (
            user == f"user={self.server.account[0]}"
            and bearer.removeprefix("auth=Bearer ") in (self.server.tokens or ())
            and self.server.does is not Does.REFUSE_CREDENTIALS
        )
        if not right:
            self.say("?", "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiQmVhcmVyIn0=")
            if self.read() != "":
                self.complain("a challenge was answered")
        words = f"535-5.7.8 Username and Password not accepted: {bearer}\r\n535 5.7.8 {answer}"
        self.signed_in = self.say("AUTH", "235 2.7.0 welcome" if right else words) and right

    def mail(self, line: str) -> None:
        if not self.signed_in:
            self.say("MAIL", "530 5.7.0 sign in first")
            return
        if self.sender is not None:
            self.complain("MAIL within a transaction")
        sender = line[line.index("<") + 1 : line.index(">")]
        match self.server.does:
            case Does.RATE_LIMIT:
                reply = "450 4.7.1 too many messages per minute, slow down"
            case Does.UNAVAILABLE:
                reply = "421 4.3.2 closing for maintenance"
            case Does.REFUSE_SENDER:
                reply = f"550 5.7.1 <{sender}>: sender address rejected: not owned by user"
            case _:
                reply = "250 2.1.0 ok"
        if self.say("MAIL", reply, sender):
            self.sender, self.recipients = sender, []

    def rcpt(self, line: str) -> None:
        if self.sender is None:
            self.say("?", "503 5.5.1 MAIL first")
            return
        recipient = line[line.index("<") + 1 : line.index(">")]
        refused = self.server.does is Does.REJECT
        reply = f"550 5.1.1 <{recipient}>: no such user" if refused else "250 2.1.5 ok"
        if self.say("RCPT", reply, recipient):
            self.recipients.append(recipient)

    def data(self) -> None:
        content = bytearray()
        while (line := self.line()) != b".\r\n":
            if not line:
                with self.server.lock:
                    self.server.unfinished += 1
                raise _Left
            content += line[1:] if line.startswith(b".") else line
        sender, recipients = self.sender or "", self.recipients
        self.sender, self.recipients = None, []
        with self.server.lock:
            self.server.emails += 1
            self.server.ahead += bool(self.came)
            self.server.messages.append((sender, recipients, bytes(content)))
        connection = self.connection
        match self.server.does:
            case Does.HANG:
                self.server.stopping.wait()
                raise _Left
            case Does.RESET:
                self.server.reset(connection)
                raise _Left
            case Does.CLOSE:
                raise _Left
            case Does.DRIP:
                self.server.drip(connection, b"250-wait\r\n")
            case Does.HUGE:
                while not self.server.stopping.is_set():
                    connection.sendall(b"250-" + b"x" * 60_000)
            case Does.TRUNCATED:
                connection.sendall(b"25")
                raise _Left
            case Does.GARBAGE:
                self.say("END", "what was that?")
            case _:
                self.say("END", "250 2.0.0 queued as 17", sender)
