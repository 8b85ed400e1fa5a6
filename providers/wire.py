"""The only tables from other people's exceptions to ours: could the email have been taken?

Two questions decide. Had any byte of the request been handed to the network? If not, the email was provably
not taken, whatever went wrong. If so, or if nobody knows, the exception alone must prove it, and few do:

- `requests.ConnectionError` means two things: refused (it wraps urllib3's NewConnectionError: unsent) and
  closed after the write (it wraps ProtocolError: possibly taken).
- A connection from the pool that the server had closed while we wrote (`RemoteDisconnected`, a reset) proves
  nothing: the server may have read the request before it went.
- A certificate that is not trusted ends the handshake before the request: unsent. It is ProviderUnavailable
  and not Misconfigured, because an expired certificate or a captive network heals without us, and
  the breaker looks again by itself; it never becomes a send over an unverified connection.

The tables name classes instead of importing them, so that an adapter pays only for the library that it uses.
"""

from __future__ import annotations

import os
from enum import Enum

from domain.errors import Misconfigured, OutcomeUnknown, ProviderError, ProviderUnavailable


class Says(Enum):
    """What an exception's class alone says of the email."""

    UNSENT = "no connection came about"
    OURS = "the request could not be made from the settings"
    LOOK_INSIDE = "it wraps another exception that decides"
    NOTHING = "it may have been taken"


def _table(module: str, **rows: Says) -> dict[str, Says]:
    return {f"{module}.{name}": says for name, says in rows.items()}


_U, _O, _L, _N = Says.UNSENT, Says.OURS, Says.LOOK_INSIDE, Says.NOTHING

TABLE: dict[str, Says] = {
    **_table(
        "builtins",
        OSError=_N, TimeoutError=_N, ConnectionError=_N, ConnectionRefusedError=_U, ConnectionResetError=_N,
        ConnectionAbortedError=_N, BrokenPipeError=_N, BlockingIOError=_N, InterruptedError=_N,
        ChildProcessError=_N, FileExistsError=_N, FileNotFoundError=_N, IsADirectoryError=_N,
        NotADirectoryError=_N, PermissionError=_N, ProcessLookupError=_N,
    ),
    **_table("socket", gaierror=_U, herror=_U),
    **_table("providers.sockets", OutOfReach=_O),
    **_table(
        "ssl",
        SSLError=_N, SSLCertVerificationError=_U, SSLEOFError=_N, SSLSyscallError=_N, SSLWantReadError=_N,
        SSLWantWriteError=_N, SSLZeroReturnError=_N,
    ),
    **_table(
        "http.client",
        HTTPException=_N, NotConnected=_U, InvalidURL=_O, UnknownProtocol=_N, UnknownTransferEncoding=_N,
        UnimplementedFileMode=_N, IncompleteRead=_N, ImproperConnectionState=_N, CannotSendRequest=_N,
        CannotSendHeader=_N, ResponseNotReady=_N, BadStatusLine=_N, LineTooLong=_N, RemoteDisconnected=_N,
    ),
    **_table(
        "urllib3.exceptions",
        HTTPError=_N, PoolError=_N, RequestError=_N, SSLError=_L, ProxyError=_L, DecodeError=_N,
        ProtocolError=_N, MaxRetryError=_L, HostChangedError=_O, TimeoutStateError=_N, TimeoutError=_N,
        ReadTimeoutError=_N, ConnectTimeoutError=_U, NewConnectionError=_U, NameResolutionError=_U,
        EmptyPoolError=_U, FullPoolError=_N, ClosedPoolError=_U, LocationValueError=_O,
        LocationParseError=_O, URLSchemeUnknown=_O, ResponseError=_N, ResponseNotChunked=_N,
        BodyNotHttplibCompatible=_N, IncompleteRead=_N, InvalidChunkLength=_N, InvalidHeader=_N,
        ProxySchemeUnknown=_O, ProxySchemeUnsupported=_O, HeaderParsingError=_N, UnrewindableBodyError=_N,
        HTTPWarning=_N, SecurityWarning=_N, InsecureRequestWarning=_N, NotOpenSSLWarning=_N,
        SystemTimeWarning=_N, InsecurePlatformWarning=_N, DependencyWarning=_N,
    ),
    **_table(
        "requests.exceptions",
        RequestException=_N, InvalidJSONError=_N, JSONDecodeError=_N, HTTPError=_N, ConnectionError=_L,
        ProxyError=_L, SSLError=_L, Timeout=_N, ConnectTimeout=_U, ReadTimeout=_N, URLRequired=_O,
        TooManyRedirects=_N, MissingSchema=_O, InvalidSchema=_O, InvalidURL=_O, InvalidHeader=_O,
        InvalidProxyURL=_O, ChunkedEncodingError=_N, ContentDecodingError=_N, StreamConsumedError=_N,
        RetryError=_N, UnrewindableBodyError=_N, RequestsWarning=_N, FileModeWarning=_N,
        RequestsDependencyWarning=_N,
    ),
    # What smtplib raises for an answer is judged by its code (smtp_replies); the class says nothing.
    **_table(
        "smtplib",
        SMTPException=_N, SMTPNotSupportedError=_O, SMTPServerDisconnected=_N, SMTPResponseException=_N,
        SMTPSenderRefused=_N, SMTPRecipientsRefused=_N, SMTPDataError=_N, SMTPConnectError=_U,
        SMTPHeloError=_U, SMTPAuthenticationError=_U,
    ),
    **_table("providers.smtp_session", NotSMTP=_N),
    **_table("providers.answers", AnswerTooLarge=_N),
}  # fmt: skip


def unsent(provider: str, error: Exception, at: str = "") -> ProviderError:
    """The error for a failure while it was certain that the provider could not have the email yet.

    `at`: where in the dialogue, for the detail.
    """
    detail = f"{describe(error)} at {at}" if at else describe(error)
    if verdict(error) is Says.OURS:
        return Misconfigured(provider, detail)
    return ProviderUnavailable(provider, detail)


def unanswered(provider: str, error: Exception) -> ProviderError:
    """The error for a failure after bytes of the request may have gone. Nothing proves that it was not taken."""
    return OutcomeUnknown(provider, f"sent, but not answered: {describe(error)}")


def translate(provider: str, error: Exception) -> ProviderError:
    """The error for a failure at an unknown point, by its class alone. An unmapped one is OutcomeUnknown."""
    match verdict(error):
        case Says.UNSENT:
            return ProviderUnavailable(provider, describe(error))
        case Says.OURS:
            return Misconfigured(provider, describe(error))
        case _:
            return OutcomeUnknown(provider, describe(error))


def verdict(error: BaseException) -> Says:
    """What the exception proves. Only the very class counts: a subclass that nobody has judged proves nothing."""
    says = TABLE.get(name_of(type(error)), Says.NOTHING)
    if says is not Says.LOOK_INSIDE:
        return says
    inner = getattr(error, "reason", None) or next(
        (a for a in error.args if isinstance(a, BaseException)), None
    )
    return verdict(inner) if isinstance(inner, BaseException) and inner is not error else Says.NOTHING


def name_of(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def describe(error: BaseException) -> str:
    """The failure in words of ours, since the exception's own text may hold addresses or credentials."""
    words = {
        "builtins.ConnectionRefusedError": "connection refused",
        "builtins.ConnectionResetError": "connection reset",
        "builtins.BrokenPipeError": "connection closed while writing",
        "builtins.TimeoutError": "timed out",
        "socket.gaierror": "the host name was not found",
        "providers.sockets.OutOfReach": "the host is not at a public address, and only an operator's may be elsewhere",
        "http.client.RemoteDisconnected": "connection closed without an answer",
        "http.client.IncompleteRead": "the answer broke off",
        "smtplib.SMTPServerDisconnected": "connection closed",
        "providers.smtp_session.NotSMTP": "the answer is not SMTP",
        "providers.answers.AnswerTooLarge": "the answer is too large",
    }
    hidden = error.__context__
    if name_of(type(error)) == "smtplib.SMTPServerDisconnected" and isinstance(hidden, OSError):
        return describe(hidden)  # smtplib turns every socket error into this one
    if says := words.get(name_of(type(error))):
        return says
    reason = getattr(error, "verify_message", None) or getattr(error, "reason", None)
    if name_of(type(error)).startswith("ssl.") and isinstance(reason, str):
        return f"TLS failed: {reason}"
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and isinstance(number, int):
        return f"{type(error).__name__}: {os.strerror(number)}"
    return type(error).__name__
