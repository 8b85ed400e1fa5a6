"""What the suite needs to know of one provider: how to start its server, build the adapter, and read what came."""

from __future__ import annotations

import mimetypes
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message as ParsedMessage
from email.utils import getaddresses
from posixpath import splitext
from typing import ClassVar

from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
)
from domain.message import Submission
from domain.ports import Provider
from providers import registry
from providers.world import World
from tests.contract.certificates import Authority
from tests.contract.emails import a_rich_email_for
from tests.contract.servers import Does, HTTPServer, Listener

SECRET = "SG.Tr0ub4dor-and-3.correct-horse"

MEANINGS: dict[Does, type[ProviderError]] = {
    Does.RATE_LIMIT: RateLimited,
    Does.UNAVAILABLE: ProviderUnavailable,
    Does.BARE_500: OutcomeUnknown,
    Does.REFUSE_CREDENTIALS: Misconfigured,
    Does.REJECT: Rejected,
    Does.REFUSE_SENDER: SenderNotVerified,
    Does.GARBAGE: OutcomeUnknown,
    Does.HUGE: OutcomeUnknown,
    Does.TRUNCATED: OutcomeUnknown,
    Does.RESET: OutcomeUnknown,
    Does.CLOSE: OutcomeUnknown,
    Does.HANG: OutcomeUnknown,
    Does.DRIP: OutcomeUnknown,
}


@dataclass
class Received:
    """An email as the provider understood it. People are (address, name)."""

    attempt: str
    email: str
    sender: tuple[str, str]
    to: list[tuple[str, str]]
    cc: list[tuple[str, str]]
    reply_to: list[tuple[str, str]]
    envelope: set[str]
    subject: str
    text: str | None
    html: str | None
    headers: dict[str, str]
    files: list[tuple[str, str, bytes, str | None]] = field(default_factory=list)


class Driver(ABC):
    """One running provider. `on_the_wire`: it has a server; `modes`: what that can do."""

    name: str
    rich: str | None = None
    """Whose form the rich email is to fit, where it is not this provider's own."""
    types_by_extension = False
    on_the_wire = True
    modes: frozenset[Does] = frozenset(MEANINGS)
    server: Listener

    @abstractmethod
    def provider(self, world: World) -> Provider:
        """An adapter that talks to the server."""

    def provider_at(self, port: int, world: World) -> Provider:
        """An adapter that talks to another port of this machine, without TLS."""
        raise NotImplementedError

    def distrusting(self, world: World) -> Provider:
        """An adapter of a server whose certificate it has no reason to trust."""
        raise NotImplementedError

    def rich_email(self) -> Submission:
        """Every feature that the provider has."""
        return a_rich_email_for(self.rich or self.name)

    @staticmethod
    def type_of(filename: str) -> str:
        """What a provider that takes no types makes of a name."""
        return mimetypes.MimeTypes().guess_type("x" + splitext(filename)[1])[0] or "application/octet-stream"

    @classmethod
    def told(cls, content_type: str) -> str:
        """What of a file's type the provider can tell the recipient."""
        return content_type.partition(";")[0] if cls.types_by_extension else content_type

    @abstractmethod
    def behave(self, does: Does) -> None: ...

    @abstractmethod
    def received(self) -> list[Received]: ...

    @property
    def attempts_on_the_wire(self) -> int:
        """How often an email was handed over, taken or not."""
        return self.server.emails

    def stop(self) -> None:
        self.server.stop()


class HTTPDriver(Driver):
    """A provider with an HTTP API. `sends` are the paths by which emails come."""

    credentials: ClassVar[dict[str, str]] = {"api_key": SECRET}
    sends: tuple[str, ...]
    server: HTTPServer

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.server = self.serve(authority)

    @abstractmethod
    def serve(self, authority: Authority) -> HTTPServer: ...

    @classmethod
    @abstractmethod
    def read(cls, path: str, headers: dict[str, str], body: bytes) -> Received:
        """The email of one request."""

    def provider(self, world: World) -> Provider:
        trusting = World(world.clock, world.wall_time, world.timeouts, self.authority.ca)
        return self.build(f"https://127.0.0.1:{self.server.port}", trusting)

    def provider_at(self, port: int, world: World) -> Provider:
        return self.build(f"http://127.0.0.1:{port}", world)

    def distrusting(self, world: World) -> Provider:
        return self.build(f"https://127.0.0.1:{self.server.port}", world)

    def build(self, base_url: str, world: World, **config: object) -> Provider:
        valid = registry.validate(self.name, {"base_url": base_url, **config}, self.credentials)
        return registry.build(self.name, f"the-{self.name}", *valid, world)

    def behave(self, does: Does) -> None:
        self.server.does = does

    @property
    def attempts_on_the_wire(self) -> int:
        return sum(path in self.sends for _, path, _, _ in self.server.requests)

    def received(self) -> list[Received]:
        return [
            self.read(path, headers, body)
            for _, path, headers, body in self.server.requests
            if path in self.sends
        ]


def read_mime(recipients: list[str], content: bytes) -> Received:
    """An email as a reader of MIME sees it, once it is plain that any reader can."""
    assert content.isascii()
    lines = content.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines), "a bare CR or LF"
    assert max(map(len, lines)) <= 998
    parsed = message_from_bytes(content, policy=policy.compat32)
    assert not parsed.defects

    def people(name: str) -> list[tuple[str, str]]:
        found = getaddresses([v.replace("\r\n", "") for v in parsed.get_all(name, [])])
        return [(address, str(make_header(decode_header(n)))) for n, address in found if address]

    texts: dict[str, str] = {}
    files: list[tuple[str, str, bytes, str | None]] = []
    for part in parsed.walk():
        assert not part.defects
        if part.is_multipart():
            continue
        raw = part.get_payload(decode=True)
        assert isinstance(raw, bytes)
        if part.get_content_disposition() is None:
            texts[part.get_content_type()] = raw.decode(part.get_content_charset() or "ascii").replace(
                "\r\n", "\n"
            )
        else:
            content_id = part["content-id"]
            kind = part["content-type"].split("name", 1)[0].replace("\r\n", "").strip("; ")
            files.append((_file_name(part), kind, raw, content_id.strip("<>") if content_id else None))
    return Received(
        attempt=parsed["x-mailmux-attempt"],
        email=parsed["x-mailmux-email"],
        sender=people("from")[0],
        to=people("to"),
        cc=people("cc"),
        reply_to=people("reply-to"),
        envelope=set(recipients),
        subject=_decoded(parsed["subject"]),
        text=texts.get("text/plain"),
        html=texts.get("text/html"),
        headers={name: _decoded(value) for name, value in parsed.items()},
        files=files,
    )


def _decoded(value: str) -> str:
    return str(make_header(decode_header(value.replace("\r\n", ""))))


def _file_name(part: ParsedMessage) -> str:
    """Unfolded, as a reader does with every field (RFC 5322, 2.2.3). Python's get_filename unquotes "<…>" as well."""
    found = part.get_param("filename", "", "content-disposition")
    name = (
        str(bytes(found[2], "raw-unicode-escape"), found[0] or "ascii")
        if isinstance(found, tuple)
        else str(found)
    )
    return name.replace("\r\n", "")
