"""Any SMTP submission server (RFC 5321, 6409), over STARTTLS (RFC 3207) or implicit TLS (RFC 8314).

The dialogue is driven command by command, because only the stage at which it broke says whether the email can have
been taken: the line with the final dot is written by itself, and only from there on is a lost connection a doubt.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import Misconfigured, OutcomeUnknown, ProviderError, RateLimited, Unsupported
from domain.events import InboundEvent
from domain.message import Submission
from domain.ports import Letter
from providers import guard, mime, wire
from providers.fields import SecretKey, SecretToken
from providers.oauth import Client, Tokens
from providers.origins import BaseURL
from providers.report_mailbox import RETURN_PATH, ReportMailbox, collect
from providers.smtp_replies import Stage, meaning
from providers.smtp_session import (
    Account,
    Dropped,
    Failure,
    InDoubt,
    Parcel,
    Refusal,
    Session,
    Stopped,
    Unfit,
    in_base64,
    open_session,
)
from providers.sockets import Deadline, Kept
from providers.words import clean
from providers.world import World

MAX_IDLE = 30.0  # seconds; servers wait minutes (RFC 5321, 4.5.3.2.7: five)
_HOST = r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$|^[0-9A-Fa-f:.]{3,45}$"


Host = Annotated[str, Field(max_length=253, pattern=_HOST)]
TokenURL = BaseURL


class Config(BaseModel):
    """`tls` none sends in plain text, for a relay on a trusted network: it never signs in then.

    `return_path`: the address that bounces go to, instead of the sender's. `reports`: its mailbox, read for bounces and
    complaints. `token_url`, `oauth_scope`: where XOAUTH2's tokens are fetched, and what for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Host
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_pem: Annotated[str | None, Field(max_length=65_536)] = None
    local_hostname: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9._\[\]:-]+$")] = "[127.0.0.1]"
    max_connections: Annotated[int, Field(ge=1, le=200)] = 20
    messages_per_connection: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_recipients: Annotated[int, Field(ge=1, le=1000)] = 100
    max_bytes: Annotated[int, Field(ge=1024, le=157_286_400)] = 26_214_400
    return_path: Annotated[str | None, Field(max_length=254, pattern=RETURN_PATH)] = None
    reports: ReportMailbox | None = None
    token_url: TokenURL | None = None
    oauth_scope: Annotated[str | None, Field(max_length=1000, pattern=r"^[\x21-\x7e ]+$")] = None

    def tokens_from(self) -> str | None:
        """Where access tokens come from."""
        return self.token_url

    def scope_for(self, as_itself: bool) -> str:  # noqa: ARG002  # not everywhere does it matter
        """What to ask for: as an application that acts for itself, or for the person who agreed to it."""
        return self.oauth_scope or ""

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
    """A username with a password, or with an OAuth client for XOAUTH2; or nothing: a relay may know its senders by
    their network. Without a refresh token the client asks for tokens for itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: Annotated[str | None, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")] = None
    password: SecretStr | None = None
    client_id: SecretKey | None = None
    client_secret: SecretKey | None = None
    refresh_token: SecretToken | None = None
    reports_password: SecretStr | None = None

    @property
    def app_only(self) -> bool:
        return self.client_id is not None and self.refresh_token is None


def disagreements(config: Config, credentials: Credentials) -> Iterator[tuple[str, str]]:
    """Where settings and credentials do not go together: (path, message)."""
    password = credentials.password.get_secret_value() if credentials.password else ""
    oauth = credentials.client_id is not None
    if bool(credentials.username) != (bool(password) or oauth):
        yield "credentials", "username and password (or client_id) are given together or not at all"
    if password and oauth:
        yield "credentials.password", "either a password or an OAuth client"
    if oauth and not (credentials.client_secret or credentials.refresh_token):
        yield "credentials", "client_id needs a client_secret, a refresh_token or both"
    if not oauth and (credentials.client_secret or credentials.refresh_token):
        yield "credentials.client_id", "required with client_secret and refresh_token"
    if oauth and not config.tokens_from():
        yield "config.token_url", "required with an OAuth client"
    if (password or oauth) and config.tls == "none":
        yield "config.tls", "credentials are never sent without TLS: use starttls or implicit"
    if (config.reports is None) != (credentials.reports_password is None):
        yield "credentials.reports_password", "given together with config.reports or not at all"
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


class SMTPProvider:
    """One account at an SMTP server. At most `max_connections` sends at once; the others wait for their turn."""

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        self.name = name
        self._config, self._world = config, world
        self.capabilities = capabilities(config)
        self._account = Account(
            config.host,
            config.port,
            config.tls,
            config.local_hostname,
            world.trust(config.ca_pem) if config.tls != "none" else None,
            credentials.username or "",
            credentials.password.get_secret_value() if credentials.password else "",
            world.may_reach,
        )
        self._tokens = _tokens(name, config, credentials, world)
        self._reports_password = credentials.reports_password
        self._kept: Kept[Session] = Kept(world.clock, MAX_IDLE, config.max_connections, Session.end)
        self._turns = threading.BoundedSemaphore(config.max_connections)

    def send(self, submission: Submission, attempt_id: UUID) -> SendResult:
        for result in self.send_series([Letter(submission, attempt_id)], lambda: True):
            if isinstance(result, ProviderError):
                raise result
            return result
        raise AssertionError("a series of one has one result")

    def send_series(
        self, letters: Sequence[Letter], go_on: Callable[[], bool]
    ) -> Generator[SendResult | ProviderError, None, None]:
        try:
            with self._turn():
                yield from self._carry(letters, go_on)
        except RateLimited as busy:
            for _ in letters:
                yield busy

    def _carry(
        self, letters: Sequence[Letter], go_on: Callable[[], bool]
    ) -> Generator[SendResult | ProviderError, None, None]:
        line = _Line(self._kept, self._open, self._config.messages_per_connection)
        try:
            coming = self._pack(letters[0]) if letters else None
            for place, letter in enumerate(letters):
                parcel = coming
                coming = self._pack(letters[place + 1]) if place + 1 < len(letters) else None
                if isinstance(parcel, ProviderError):
                    yield parcel
                    continue
                if parcel is None or not go_on():
                    return
                following = coming if isinstance(coming, Parcel) else None
                try:
                    self._have_token()
                    deadline = Deadline(self._world.clock, self._world.timeouts)
                    line.deliver(parcel, following, deadline, go_on)
                except Stopped:
                    return
                except TooLarge as large:
                    yield Unsupported(self.name, str(large))
                except Failure as failure:
                    yield self._error(failure, letter.submission)
                except ProviderError as no_token:
                    yield no_token
                except Exception as error:  # noqa: BLE001  # nothing proves that it was not sent
                    yield wire.unanswered(self.name, error)
                else:
                    yield SendResult(mime.message_id(letter.submission, letter.attempt_id))
        finally:
            line.leave()

    def _pack(self, letter: Letter) -> Parcel | ProviderError:
        submission = letter.submission
        try:
            guard.refuse(self.name, self.capabilities, submission)
            data = mime.compose(submission, letter.attempt_id, self._world.wall_time())
        except ProviderError as error:
            return error
        except Exception as error:  # noqa: BLE001  # nothing went yet, and the series' other emails are not to blame
            return Unsupported(self.name, f"could not be composed: {type(error).__name__}")
        recipients = list(dict.fromkeys(r.address.email for r in submission.envelope.recipients))
        return_path = self._config.return_path or submission.envelope.sender.email
        return Parcel(return_path, recipients, stuff_dots(data))

    def check(self) -> Checkup:
        self._have_token()
        deadline = Deadline(self._world.clock, self._world.timeouts)
        with self._turn():
            try:
                session = self._open(deadline)
                try:
                    session.ask(Stage.HELLO, "NOOP")
                finally:
                    session.end()
            except Failure as failure:
                raise self._error(failure) from failure
        return Checkup()

    def collect(self, keep: Callable[[Sequence[InboundEvent]], None], go_on: Callable[[], bool]) -> int:
        return collect(self.name, self._config.reports, self._reports_password, self._world, keep, go_on)

    def close(self) -> None:
        self._kept.close()
        if self._tokens is not None:
            self._tokens.close()

    def _have_token(self) -> None:
        """Fetch one where that is due, so that the time for it is not the email's."""
        if self._tokens is not None:
            self._tokens.current()

    def _open(self, deadline: Deadline) -> Session:
        """Raises Failure, or the ProviderError that tells why there is no token."""
        connect = self._world.timeouts.connect
        if self._tokens is None:
            return open_session(self._account, deadline, connect)
        token, fresh = self._tokens.current()
        try:
            return open_session(replace(self._account, token=token), deadline, connect)
        except Refusal as refusal:
            if fresh or refusal.stage is not Stage.AUTH or refusal.reply.code < 500:
                raise
        # It was taken back before its time: one more, since nothing of an email has gone.
        token, _ = self._tokens.current(instead_of=token)
        return open_session(replace(self._account, token=token), deadline, connect)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._world.timeouts.connect):
            limit = self._config.max_connections
            raise RateLimited(self.name, f"all {limit} connections are busy", retry_after=1.0)
        try:
            yield
        finally:
            self._turns.release()

    def _error(self, failure: Failure, submission: Submission | None = None) -> ProviderError:
        match failure:
            case Refusal(stage=stage, reply=reply):
                said = clean(reply.text, self._secrets, submission)
                return meaning(reply, stage)(self.name, f"{reply.code} at {stage.value}: {said}")
            case Dropped(stage=stage, cause=cause):
                return wire.unsent(self.name, cause, stage.value)
            case InDoubt(cause=cause):
                return wire.unanswered(self.name, cause)
            case Unfit():
                return Misconfigured(self.name, str(failure))
        return OutcomeUnknown(self.name, type(failure).__name__)

    @property
    def _secrets(self) -> tuple[str, ...]:
        account = self._account
        known = self._tokens.secrets if self._tokens is not None else ()
        return account.password, account.plain, in_base64(account.password), account.username, *known


class TooLarge(Exception):
    """The server said that it takes no email of this size; nothing of it was told."""


class _Line:
    """The connection of one series: kept from before, or opened, and replaced when it ends."""

    def __init__(self, kept: Kept[Session], open_one: Callable[[Deadline], Session], share: int) -> None:
        self._kept, self._open, self._share = kept, open_one, share
        self._session: Session | None = None

    def deliver(
        self, parcel: Parcel, following: Parcel | None, deadline: Deadline, go_on: Callable[[], bool]
    ) -> None:
        """Carry one email. Raises Failure."""
        if self._session is None:
            self._session = self._kept.take()
        if self._session is not None:
            try:
                self._transact(self._session, parcel, following, deadline, go_on)
                return
            except Dropped as loss:
                if loss.stage is not Stage.MAIL:
                    raise
            except Refusal as refusal:
                if refusal.reply.code != 421 or refusal.stage is not Stage.MAIL:
                    raise
            # The server had ended the used connection while it was idle; nothing of this email was taken.
        self._session = self._open(deadline)
        self._transact(self._session, parcel, following, deadline, go_on)

    def leave(self) -> None:
        """Keep the connection for the next series, where nothing is under way on it."""
        session, self._session = self._session, None
        if session is not None and session.clean:
            self._kept.give(session)
        elif session is not None:
            session.drop()

    def _transact(
        self,
        session: Session,
        parcel: Parcel,
        following: Parcel | None,
        deadline: Deadline,
        go_on: Callable[[], bool],
    ) -> None:
        limit = session.size_limit
        if limit is not None and len(parcel.data) > limit:
            raise TooLarge(f"the server takes no more than {limit} bytes")
        last = session.sent + 1 >= self._share
        if following is not None and (last or (limit is not None and len(following.data) > limit)):
            following = None
        usable = False
        try:
            session.transmit(parcel, deadline, go_on, following)
            usable = True
        except Refusal as refusal:
            # A refused content has ended its transaction, and the next one may have begun already.
            usable = refusal.reply.code != 421 and (refusal.stage is Stage.END or session.reset())
            raise
        finally:
            if not usable:
                self._session = None
                session.drop()
            elif session.sent >= self._share:
                self._session = None
                session.end()


def stuff_dots(data: bytes) -> bytes:
    """Double the dot that begins a line (RFC 5321, 4.5.2), and end with a line end. Line ends must be CRLF."""
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def _tokens(name: str, config: Config, credentials: Credentials, world: World) -> Tokens | None:
    token_url = config.tokens_from()
    if credentials.client_id is None or token_url is None:
        return None
    client_id, client_secret, refresh_token = (
        secret.get_secret_value() if secret is not None else ""
        for secret in (credentials.client_id, credentials.client_secret, credentials.refresh_token)
    )
    scope = config.scope_for(credentials.app_only)
    return Tokens(name, Client(token_url, client_id, client_secret, refresh_token, scope), world)


def build(name: str, config: Config, credentials: Credentials, world: World) -> SMTPProvider:
    return SMTPProvider(name, config, credentials, world)
