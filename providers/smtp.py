"""Any SMTP submission server (RFC 5321, 6409), over STARTTLS (RFC 3207) or implicit TLS (RFC 8314).

The dialogue is driven command by command, because only the stage at which it broke says whether the email can have
been taken: the line with the final dot is written by itself, and only from there on is a lost connection a doubt.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from uuid import UUID

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import Misconfigured, OutcomeUnknown, ProviderError, RateLimited, Unsupported
from domain.events import InboundEvent
from domain.message import Submission
from domain.ports import Letter
from providers import guard, mime, wire
from providers.report_mailbox import collect
from providers.smtp_line import Line, TooLarge
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
from providers.smtp_settings import Config, Credentials, disagreements, tokens_of
from providers.sockets import Deadline, Kept
from providers.words import clean
from providers.world import World

__all__ = ["Config", "Credentials", "build", "capabilities", "disagreements"]

MAX_IDLE = 30.0  # seconds; servers wait minutes (RFC 5321, 4.5.3.2.7: five)


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
        self._tokens = tokens_of(name, config, credentials, world)
        password = credentials.reports_password
        self._reports_password = password.get_secret_value() if password is not None else ""
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
        line = Line(self._kept, self._open, self._config.messages_per_connection)
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
                    line.leave()  # the server may have been told of this email already: the next one starts anew
                    yield no_token
                except Exception as error:  # noqa: BLE001  # nothing proves that it was not sent
                    yield wire.unanswered(self.name, error)
                else:
                    yield SendResult(parcel.message_id)
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
        return Parcel(
            return_path, recipients, stuff_dots(data), mime.message_id(submission, letter.attempt_id)
        )

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
        mailbox = self._config.reports
        if mailbox is None:
            return 0
        return collect(self.name, mailbox, self._reports_password or self._tokens, self._world, keep, go_on)

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


def stuff_dots(data: bytes) -> bytes:
    """Double the dot that begins a line (RFC 5321, 4.5.2), and end with a line end. Line ends must be CRLF."""
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def build(name: str, config: Config, credentials: Credentials, world: World) -> SMTPProvider:
    return SMTPProvider(name, config, credentials, world)
