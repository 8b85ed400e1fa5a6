"""Files fetched from addresses that users give, under a guard against requests forged from inside (SSRF).

https only. A host's name is looked up once; all its addresses must be admitted, and the connection goes to one of
those, with the name that was given in SNI, certificate and Host. No redirect is followed: whoever gives an address
answers for it, and not for where its server sends others.
"""

from __future__ import annotations

import email.message
import http.client
import re
from dataclasses import dataclass
from email.utils import collapse_rfc2231_value
from typing import Final
from urllib.parse import unquote, urlsplit

from providers.sockets import Deadline, OutOfReach, PlainSocket, dial, encrypt
from providers.world import World

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LONGEST_URL: Final = 2000
_URL: Final = re.compile(r"https://[\x21-\x7e]+\Z")  # what another reader might read differently is refused
_PART: Final = 65_536


class FetchFailed(Exception):
    """`code` is stable; the words are for whoever gave the address, and tell nothing of this service's network."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Fetched:
    """`filename` as the server or the address names it, not yet fit to be one; `content_type` as it says, or None."""

    content: bytes
    filename: str
    content_type: str | None


def fetch(url: str, world: World, most_bytes: int) -> Fetched:
    """GET the address within the world's timeouts. Raises FetchFailed."""
    try:
        return _get(url, world, Deadline(world.clock, world.timeouts), most_bytes)
    except OutOfReach:
        raise FetchFailed("not_public", "the host is not at a public address") from None
    except TimeoutError:
        raise FetchFailed("timeout", "the server took too long: upload the file instead") from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise FetchFailed("unreachable", f"it could not be fetched ({type(error).__name__})") from error


def url_problem(url: str) -> str | None:
    """Say why this is no address that files are fetched from, or None. It is not looked up."""
    if not _URL.match(url) or "\\" in url:
        return "only https addresses are fetched, written without blanks and in ASCII"
    if len(url) > _LONGEST_URL:
        return f"an address has at most {_LONGEST_URL} characters"
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:
            return "the address has no host"
    except ValueError:
        return "this is no address"
    if parts.username is not None or parts.password is not None:
        return "an address with a user name is not fetched"
    return None


def _get(url: str, world: World, deadline: Deadline, most_bytes: int) -> Fetched:
    if (problem := url_problem(url)) is not None:
        raise FetchFailed("url", problem)
    parts = urlsplit(url)
    assert parts.hostname is not None
    sock = dial(parts.hostname, parts.port or 443, deadline, world.timeouts.connect, _Admits(world))
    try:
        secure = encrypt(sock, world.trust(), parts.hostname, deadline, world.timeouts.connect)
    except BaseException:
        sock.close()
        raise
    with secure:
        path = parts.path or "/"
        secure.sendall(
            f"GET {path}{'?' + parts.query if parts.query else ''} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "User-Agent: mailmux\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n".encode()
        )
        return _answer(secure, url, most_bytes)


class _Admits:
    """Refuses a host of which any address is not admitted: one that has both kinds has no good reason to."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, address: str) -> bool:
        if not self._world.may_reach(address):
            raise OutOfReach("not a public address")
        return True


def _answer(sock: PlainSocket, url: str, most_bytes: int) -> Fetched:
    with http.client.HTTPResponse(sock, method="GET") as answer:
        answer.begin()
        if answer.status in _REDIRECTS:
            raise FetchFailed(
                "redirect", "the server sends elsewhere: give the address that the file itself has"
            )
        if answer.status != 200:
            raise FetchFailed("status", f"the server answered {answer.status}")
        if (answer.getheader("Content-Encoding") or "identity").lower() != "identity":
            raise FetchFailed("encoding", "the server sent it compressed, without being asked to")
        content = _body(answer, most_bytes)
        name = _named(answer.getheader("Content-Disposition")) or unquote(
            urlsplit(url).path.rpartition("/")[2]
        )
        return Fetched(content, name, answer.getheader("Content-Type"))


def _body(answer: http.client.HTTPResponse, most_bytes: int) -> bytes:
    if answer.length is not None and answer.length > most_bytes:
        raise FetchFailed("too_large", f"it has more than {most_bytes} bytes")
    parts, size = [], 0
    while part := answer.read(min(_PART, most_bytes - size + 1)):  # one byte more tells that it is too much
        size += len(part)
        if size > most_bytes:
            raise FetchFailed("too_large", f"it has more than {most_bytes} bytes")
        parts.append(part)
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return b"".join(parts)


def _named(disposition: str | None) -> str:
    """The file's name in a Content-Disposition (RFC 6266), plain or in RFC 2231's form; empty where it has none."""
    if not disposition:
        return ""
    message = email.message.Message()
    message["Content-Disposition"] = disposition
    given = message.get_param("filename", "", header="Content-Disposition")
    return collapse_rfc2231_value(given) if given else ""
