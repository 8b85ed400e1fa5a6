"""The mailbox that an SMTP account's bounces and complaints come into, read over IMAP (RFC 3501).

Unseen emails are read, and marked as seen once what they report is stored: what dies in between is read again, and
stored once. One that breaks its reading, or whose report cannot be stored as it is, is marked as flagged too, for
somebody to look at, and holds up no other. The mailbox is best one of its own, since whatever lies in it is marked as
seen.
"""

from __future__ import annotations

import contextlib
import imaplib
import ssl
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import Misconfigured, ProviderUnavailable, Unstorable
from domain.events import InboundEvent
from providers.oauth import Tokens, bearer
from providers.origins import is_loopback
from providers.reports import LARGEST, read_report
from providers.sockets import Deadline, PlainSocket, TLSSocket, dial, encrypt
from providers.words import clean
from providers.world import World

RETURN_PATH: Final = r"^[^\s<>@\x00-\x1f\x7f-\U0010ffff]{1,64}@[A-Za-z0-9.-]{1,189}$"
_MOST = 500  # emails at one visit


class ReportMailbox(BaseModel):
    """`tls` none is for a server on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9_.:-]+$")]
    port: Annotated[int, Field(ge=1, le=65535)] = 993
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    ca_pem: Annotated[str | None, Field(max_length=65_536)] = None
    username: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
    folder: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")] = "INBOX"

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.tls == "none" and not is_loopback(self.host):
            raise ValueError("credentials are never sent without TLS: use implicit or starttls")
        return self


class _Client(imaplib.IMAP4):
    """imaplib over our own sockets: bounded in time, and at addresses only that the account may reach."""

    def __init__(self, mailbox: ReportMailbox, world: World) -> None:
        self._mailbox, self._world = mailbox, world
        self._deadline = Deadline(world.clock, world.timeouts)
        self._trust = world.trust(mailbox.ca_pem) if mailbox.tls != "none" else None
        super().__init__(mailbox.host, mailbox.port)
        if mailbox.tls == "starttls":
            self._upgrade(world.trust(mailbox.ca_pem))

    def _create_socket(self, timeout: float | None = None) -> PlainSocket | TLSSocket:  # noqa: ARG002
        mailbox, connect = self._mailbox, self._world.timeouts.connect
        sock = dial(mailbox.host, mailbox.port, self._deadline, connect, self._world.may_reach)
        if self._trust is None or mailbox.tls != "implicit":
            return sock
        try:
            return encrypt(sock, self._trust, mailbox.host, self._deadline, connect)
        except BaseException:
            sock.close()
            raise

    def _upgrade(self, trust: ssl.SSLContext) -> None:
        """What the server said before TLS is forgotten: imaplib reads on from a new buffer, and asks anew."""
        try:
            trust.sslsocket_class = TLSSocket
            self.starttls(trust)
        except BaseException:
            with contextlib.suppress(OSError):  # TLS may have closed it already
                self.shutdown()
            raise
        self.renew()

    def renew(self) -> None:
        """As much time as one exchange has, from now on."""
        self._deadline = Deadline(self._world.clock, self._world.timeouts)
        if isinstance(self.sock, PlainSocket):
            self.sock.deadline = self._deadline


def collect(
    name: str,
    mailbox: ReportMailbox,
    key: str | Tokens | None,
    world: World,
    keep: Callable[[Sequence[InboundEvent]], None],
    go_on: Callable[[], bool],
    read: Callable[[bytes], Sequence[InboundEvent]] = read_report,
) -> int:
    """domain.ports.ReportingProvider.collect, of an account called `name`. `key`: a password, or where tokens are.

    `read`: what an email reports, of its bytes.
    """
    if not key:
        raise Misconfigured(name, "its mailbox of reports needs a password or an OAuth client")
    try:
        client = _Client(mailbox, world)
    except (OSError, imaplib.IMAP4.error) as error:
        raise ProviderUnavailable(name, f"its mailbox of reports: {clean(str(error))}") from error
    try:
        _sign_in(name, client, mailbox.username, key)
        _open(name, client, mailbox.folder)
        return _read_all(client, read, keep, go_on)
    except (OSError, imaplib.IMAP4.error) as error:
        secrets = (key,) if isinstance(key, str) else key.secrets
        raise ProviderUnavailable(name, f"its mailbox of reports: {clean(str(error), secrets)}") from error
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            client.logout()


def _sign_in(name: str, client: _Client, username: str, key: str | Tokens) -> None:
    """By LOGIN (RFC 3501, 6.2.3), or by XOAUTH2 with a token; a kept one that is refused is replaced once."""
    try:
        if isinstance(key, str):
            client.login(username, key)
            return
        if "AUTH=XOAUTH2" not in client.capabilities:
            raise Misconfigured(name, "its mailbox of reports offers no AUTH=XOAUTH2")
        token, fresh = key.current()
        try:
            _show_token(client, username, token)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            if fresh:
                raise
            _show_token(client, username, key.current(instead_of=token)[0])
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as refused:
        what = "the username or the password" if isinstance(key, str) else "the username or the token"
        raise Misconfigured(name, f"its mailbox of reports refuses {what}") from refused


def _show_token(client: _Client, username: str, token: str) -> None:
    """A refusal comes as a challenge that says why; it is answered with nothing."""
    answers = iter((bearer(username, token),))
    client.authenticate("XOAUTH2", lambda _: next(answers, b""))


def _open(name: str, client: _Client, folder: str) -> None:
    quoted = folder.replace("\\", "\\\\").replace('"', '\\"')
    kind, _ = client.select(f'"{quoted}"')
    if kind != "OK":
        raise Misconfigured(name, "its mailbox of reports has no such folder")


def _unseen(client: _Client) -> list[str]:
    kind, found = client.uid("SEARCH", "UNSEEN")
    if kind != "OK":
        raise imaplib.IMAP4.error("SEARCH was refused")
    return b" ".join(part for part in found if isinstance(part, bytes)).decode("ascii").split()[:_MOST]


def _read_all(
    client: _Client,
    read: Callable[[bytes], Sequence[InboundEvent]],
    keep: Callable[[Sequence[InboundEvent]], None],
    go_on: Callable[[], bool],
) -> int:
    """What broke the reading of one email, nobody knows why, is raised when the others are read."""
    count, surprises = 0, list[Exception]()
    for uid in _unseen(client):
        if not go_on():
            break
        try:
            events = [event for part in _fetch(client, uid) for event in read(part)]
        except (OSError, imaplib.IMAP4.error, MemoryError):
            raise
        except Exception as surprise:  # noqa: BLE001  # one email's, which would break every round
            surprises.append(surprise)
            _mark(client, uid, r"(\Seen \Flagged)")
            continue
        try:
            if events:
                keep(events)  # what breaks is the storage's: the email stays unseen, and is read again
        except Unstorable as surprise:
            surprises.append(surprise)
            _mark(client, uid, r"(\Seen \Flagged)")
            continue
        _mark(client, uid, r"(\Seen)")
        count += len(events)
    if surprises:
        raise surprises[0]
    return count


def _fetch(client: _Client, uid: str) -> list[bytes]:
    """One email; it is not marked by that."""
    client.renew()
    _, answer = client.uid("FETCH", uid, f"(BODY.PEEK[]<0.{LARGEST}>)")
    return [part[1] for part in answer if isinstance(part, tuple)]


def _mark(client: _Client, uid: str, flags: str) -> None:
    client.uid("STORE", uid, "+FLAGS.SILENT", flags)
