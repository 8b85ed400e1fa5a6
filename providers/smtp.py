"""Any SMTP submission server (RFC 5321, 6409), over STARTTLS (RFC 3207) or implicit TLS (RFC 8314).

The dialogue is driven command by command, because only the stage at which it broke says whether the email can have
been taken: the line with the final dot is written by itself, and only from there on is a lost connection a doubt.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.errors import Misconfigured, NotAccepted, OutcomeUnknown, ProviderError, RateLimited, Unsupported
from domain.message import Submission
from providers import guard, mime, wire
from providers.smtp_replies import Reply, Stage, meaning
from providers.sockets import Deadline, Kept, PlainSocket, TLSSocket, dial, encrypt
from providers.words import clean
from providers.world import World

MAX_IDLE = 30.0  # seconds; servers wait minutes (RFC 5321, 4.5.3.2.7: five)
_HOST = r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$|^[0-9A-Fa-f:.]{3,45}$"


class Config(BaseModel):
    """`tls` none sends in plain text, for a relay on a trusted network: it never signs in then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, Field(max_length=253, pattern=_HOST)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_pem: Annotated[str | None, Field(max_length=65_536)] = None
    local_hostname: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9._\[\]:-]+$")] = "[127.0.0.1]"
    max_connections: Annotated[int, Field(ge=1, le=200)] = 20
    messages_per_connection: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_recipients: Annotated[int, Field(ge=1, le=1000)] = 100
    max_bytes: Annotated[int, Field(ge=1024, le=157_286_400)] = 26_214_400

    @field_validator("ca_pem")
    @classmethod
    def _readable(cls, pem: str | None) -> str | None:
        if pem is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
            except (ssl.SSLError, ValueError, TypeError):
                raise ValueError("not a list of PEM certificates") from None
        return pem


class Credentials(BaseModel):
    """Both or none: a relay may know its senders by their network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: Annotated[str | None, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")] = None
    password: SecretStr | None = None


def disagreements(config: Config, credentials: Credentials) -> Iterator[tuple[str, str]]:
    """Where settings and credentials do not go together: (path, message)."""
    password = credentials.password.get_secret_value() if credentials.password else ""
    if bool(credentials.username) != bool(password):
        yield "credentials", "username and password are given together or not at all"
    if password and config.tls == "none":
        yield "config.tls", "credentials are never sent without TLS: use starttls or implicit"
    if len(password) > 4096 or any(c in password for c in "\r\n\x00"):
        yield "credentials.password", "at most 4096 characters, without line breaks"


def capabilities(config: Config) -> Capabilities:
    """SMTP carries whatever MIME does; it has no tracking to switch, so a wish about it cannot be kept.

    RFC 5321 (4.5.3.1.8) promises 100 recipients.
    """
    return Capabilities(
        max_recipients=config.max_recipients,
        max_bytes=config.max_bytes,
        tracking_opens=False,
        tracking_clicks=False,
    )


class _Refusal(Exception):
    """The server answered no."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        self.stage, self.reply = stage, reply


class _Dropped(Exception):
    """The connection was lost before the final dot: the email was provably not taken."""

    def __init__(self, stage: Stage, cause: Exception) -> None:
        self.stage, self.cause = stage, cause


class _InDoubt(Exception):
    """The final dot may have gone, and no answer came that can be read."""

    def __init__(self, cause: Exception | Reply) -> None:
        self.cause = cause


class _Session:
    """A signed-in connection. `sent` counts the emails that it carried."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self.smtp, self.sent = smtp, 0

    @property
    def sock(self) -> PlainSocket | None:
        return self.smtp.sock if isinstance(self.smtp.sock, PlainSocket) else None

    def ask(self, stage: Stage, command: str, expected: tuple[int, ...] = (2,)) -> Reply:
        """Send a command and read its reply. `expected` are the first digits of a yes."""
        try:
            code, text = self.smtp.docmd(command)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise _Dropped(stage, error) from error
        reply = Reply(code, text.decode("utf-8", "replace"))
        if code // 100 not in expected:
            if code // 100 not in (4, 5):
                raise _Dropped(stage, smtplib.SMTPException("an answer that is not SMTP"))
            raise _Refusal(stage, reply)
        return reply

    def transmit(self, sender: str, recipients: list[str], data: bytes, deadline: Deadline) -> None:
        """One transaction. Returns only where the server took the email for every recipient."""
        size = f" SIZE={len(data)}" if self.smtp.has_extn("size") else ""
        self.ask(Stage.MAIL, f"MAIL FROM:<{sender}>{size}")
        refusals: list[_Refusal] = []
        for recipient in recipients:
            try:
                self.ask(Stage.RCPT, f"RCPT TO:<{recipient}>")
            except _Refusal as refusal:
                refusals.append(refusal)
                if refusal.reply.code == 421:
                    break
        if refusals:
            # All or nothing: an email that goes to some of its recipients could never be completed elsewhere.
            raise next((r for r in refusals if r.reply.code >= 500), refusals[0])
        self.ask(Stage.DATA, "DATA", expected=(3,))
        try:
            self._write(data)
        except OSError as error:
            raise _Dropped(Stage.DATA, error) from error
        try:
            self._write(b".\r\n")
            deadline.step = (
                deadline.left()
            )  # RFC 5321, 4.5.3.2.6: this reply may take long, and it is worth the wait
            code, text = self.smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise _InDoubt(error) from error
        reply = Reply(code, text.decode("utf-8", "replace"))
        if code // 100 in (4, 5):
            raise _Refusal(Stage.END, reply)
        if code // 100 != 2:
            raise _InDoubt(reply)
        self.sent += 1

    def reset(self) -> bool:
        """Forget a refused transaction. False: the connection is of no more use."""
        try:
            self.ask(Stage.MAIL, "RSET")
        except (_Refusal, _Dropped):
            return False
        return True

    def _write(self, data: bytes) -> None:
        if self.sock is None:
            raise BrokenPipeError("the connection is closed")
        self.sock.sendall(data)

    def end(self) -> None:
        """Close without waiting for the server's goodbye."""
        sock = self.sock
        if sock is not None:
            with contextlib.suppress(OSError, ValueError):  # the connection is given up, in order or not
                sock.deadline = None
                sock.settimeout(0.2)
                sock.sendall(b"QUIT\r\n")
        self.smtp.close()


class SMTPProvider:
    """One account at an SMTP server. At most `max_connections` sends at once; the others wait for their turn."""

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        self.name = name
        self._config, self._world = config, world
        self._username = credentials.username or ""
        self._password = credentials.password.get_secret_value() if credentials.password else ""
        self._trust = world.trust(config.ca_pem) if config.tls != "none" else None
        self._kept: Kept[_Session] = Kept(world.clock, MAX_IDLE, config.max_connections, _Session.end)
        self._turns = threading.BoundedSemaphore(config.max_connections)

    @property
    def capabilities(self) -> Capabilities:
        return capabilities(self._config)

    def send(self, submission: Submission, attempt_id: UUID) -> SendResult:
        guard.refuse(self.name, self.capabilities, submission)
        try:
            data = mime.compose(submission, attempt_id, self._world.wall_time())
        except (ValueError, TypeError, LookupError) as error:
            raise Unsupported(self.name, f"could not be composed: {type(error).__name__}") from error
        sender = submission.envelope.sender.email
        recipients = list(dict.fromkeys(r.address.email for r in submission.envelope.recipients))
        deadline = Deadline(self._world.clock, self._world.timeouts)
        with self._turn():
            try:
                self._deliver(sender, recipients, stuff_dots(data), deadline)
            except (_Refusal, _Dropped, _InDoubt) as failure:
                raise self._error(failure, submission) from failure
        return SendResult(mime.message_id(submission, attempt_id))

    def check(self) -> None:
        deadline = Deadline(self._world.clock, self._world.timeouts)
        with self._turn():
            try:
                session = self._open(deadline)
                try:
                    session.ask(Stage.HELLO, "NOOP")
                finally:
                    session.end()
            except (_Refusal, _Dropped) as failure:
                raise self._error(failure) from failure

    def close(self) -> None:
        self._kept.close()

    def _deliver(self, sender: str, recipients: list[str], data: bytes, deadline: Deadline) -> None:
        session = self._kept.take()
        if session is not None:
            try:
                self._transact(session, sender, recipients, data, deadline)
                return
            except _Dropped as loss:
                if loss.stage is not Stage.MAIL:
                    raise
            except _Refusal as refusal:
                if refusal.reply.code != 421 or refusal.stage is not Stage.MAIL:
                    raise
            # The server had ended the kept connection while it was idle; nothing of this email was told to it.
        self._transact(self._open(deadline), sender, recipients, data, deadline)

    def _transact(
        self, session: _Session, sender: str, recipients: list[str], data: bytes, deadline: Deadline
    ) -> None:
        """Carry one email and keep the connection where it is clean afterwards."""
        if session.sock is not None:
            session.sock.deadline = deadline
        limit = session.smtp.esmtp_features.get("size", "")
        if limit.isdigit() and 0 < int(limit) < len(data):
            self._keep(session)
            raise Unsupported(self.name, f"the server takes no more than {limit} bytes")
        usable = False
        try:
            session.transmit(sender, recipients, data, deadline)
            usable = True
        except _Refusal as refusal:
            usable = refusal.reply.code != 421 and session.reset()
            raise
        finally:
            if usable and session.sent < self._config.messages_per_connection:
                self._keep(session)
            elif usable:
                session.end()
            else:
                session.smtp.close()

    def _keep(self, session: _Session) -> None:
        self._kept.give(session)

    def _open(self, deadline: Deadline) -> _Session:
        """Connect, secure and sign in."""
        config, connect = self._config, self._world.timeouts.connect
        smtp = smtplib.SMTP(local_hostname=config.local_hostname)
        session = _Session(smtp)
        try:
            sock = dial(config.host, config.port, deadline, connect)
            smtp.sock = sock
            if config.tls == "implicit":
                smtp.sock = self._encrypt(sock, deadline)
            self._greet(session)
            if config.tls == "starttls":
                if not smtp.has_extn("starttls"):
                    raise Misconfigured(self.name, "the server offers no STARTTLS")
                session.ask(Stage.TLS, "STARTTLS")
                smtp.sock = self._encrypt(sock, deadline)
                # What was said before TLS may be anyone's: forget it, and whatever waited in the buffer (RFC 3207, 4.2).
                smtp.file, smtp.esmtp_features, smtp.does_esmtp = None, {}, False
                self._hello(session)
            if self._username:
                self._sign_in(session)
        except (OSError, ssl.SSLError) as error:
            smtp.close()
            raise _Dropped(Stage.GREETING, error) from error
        except BaseException:
            smtp.close()
            raise
        return session

    def _encrypt(self, sock: PlainSocket, deadline: Deadline) -> TLSSocket:
        assert self._trust is not None
        return encrypt(sock, self._trust, self._config.host, deadline, self._world.timeouts.connect)

    def _greet(self, session: _Session) -> None:
        try:
            code, text = session.smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise _Dropped(Stage.GREETING, error) from error
        if code // 100 in (4, 5):
            raise _Refusal(Stage.GREETING, Reply(code, text.decode("utf-8", "replace")))
        if code != 220:
            raise _Dropped(Stage.GREETING, smtplib.SMTPException("no SMTP greeting"))
        self._hello(session)

    def _hello(self, session: _Session) -> None:
        try:
            code, text = session.smtp.ehlo()
        except (smtplib.SMTPException, OSError) as error:
            raise _Dropped(Stage.HELLO, error) from error
        if code // 100 != 2:
            raise _Refusal(Stage.HELLO, Reply(code, text.decode("utf-8", "replace")))

    def _sign_in(self, session: _Session) -> None:
        """AUTH PLAIN (RFC 4616), else LOGIN. Only ever over TLS."""
        if not isinstance(session.sock, TLSSocket):
            raise Misconfigured(self.name, "credentials are never sent without TLS")
        offered = session.smtp.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            session.ask(Stage.AUTH, f"AUTH PLAIN {self._plain()}")
        elif "LOGIN" in offered:
            session.ask(Stage.AUTH, "AUTH LOGIN", expected=(3,))
            session.ask(Stage.AUTH, _base64(self._username), expected=(3,))
            session.ask(Stage.AUTH, _base64(self._password))
        else:
            raise Misconfigured(self.name, "the server offers neither AUTH PLAIN nor AUTH LOGIN")

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._world.timeouts.connect):
            limit = self._config.max_connections
            raise RateLimited(self.name, f"all {limit} connections are busy", retry_after=1.0)
        try:
            yield
        finally:
            self._turns.release()

    def _error(
        self, failure: _Refusal | _Dropped | _InDoubt, submission: Submission | None = None
    ) -> ProviderError:
        match failure:
            case _Refusal(stage=stage, reply=reply):
                kind: type[NotAccepted] = meaning(reply, stage)
                return kind(
                    self.name, f"{reply.code} at {stage.value}: {self._clean(reply.text, submission)}"
                )
            case _Dropped(stage=stage, cause=cause):
                return wire.unsent(self.name, cause, stage.value)
            case _InDoubt(cause=Reply()):
                return OutcomeUnknown(self.name, "the email was handed over, and the answer is not SMTP")
            case _InDoubt(cause=Exception() as cause):
                return wire.unanswered(self.name, cause)
        raise AssertionError(failure)

    def _clean(self, text: str, submission: Submission | None) -> str:
        secrets = (self._password, self._plain(), _base64(self._password), self._username)
        return clean(text, secrets, submission)

    def _plain(self) -> str:
        return _base64(f"\0{self._username}\0{self._password}")


def stuff_dots(data: bytes) -> bytes:
    """Double the dot that begins a line (RFC 5321, 4.5.2), and end with a line end. Line ends must be CRLF."""
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")


def build(name: str, config: Config, credentials: Credentials, world: World) -> SMTPProvider:
    return SMTPProvider(name, config, credentials, world)
