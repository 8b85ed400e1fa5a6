"""What the suite needs to know of one provider: how to start its server, build the adapter, and read what came.

A new adapter adds a driver here, and passes the suite.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message as ParsedMessage
from email.utils import getaddresses
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
from domain.ports import Provider
from providers import memory, registry
from providers.world import World
from tests.contract.certificates import Authority
from tests.contract.servers import Does, Listener, SendGridServer
from tests.contract.smtp_server import SMTPServer

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


class SendGridDriver(Driver):
    name = "sendgrid"

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.server: SendGridServer = SendGridServer(SECRET, authority.server_context())

    def provider(self, world: World) -> Provider:
        return self._build(f"https://127.0.0.1:{self.server.port}", World(
            world.clock, world.wall_time, world.timeouts, self.authority.ca
        ))  # fmt: skip

    def provider_at(self, port: int, world: World) -> Provider:
        return self._build(f"http://127.0.0.1:{port}", world)

    def distrusting(self, world: World) -> Provider:
        return self._build(f"https://127.0.0.1:{self.server.port}", world)

    def _build(self, base_url: str, world: World) -> Provider:
        config, credentials = registry.validate("sendgrid", {"base_url": base_url}, {"api_key": SECRET})
        return registry.build("sendgrid", "the-sendgrid", config, credentials, world)

    def behave(self, does: Does) -> None:
        self.server.does = does

    @property
    def attempts_on_the_wire(self) -> int:
        return sum(path == "/v3/mail/send" for _, path, _, _ in self.server.requests)

    def received(self) -> list[Received]:
        return [
            self._read(json.loads(body))
            for _, path, _, body in self.server.requests
            if path == "/v3/mail/send"
        ]

    @staticmethod
    def _read(payload: dict) -> Received:  # type: ignore[type-arg]
        def people(found: list[dict[str, str]]) -> list[tuple[str, str]]:
            return [(p["email"], p.get("name", "")) for p in found]

        (one,) = payload["personalizations"]
        content = {c["type"]: c["value"] for c in payload["content"]}
        groups = [people(one.get(kind, [])) for kind in ("to", "cc", "bcc")]
        return Received(
            attempt=one["custom_args"]["mailmux_attempt"],
            email=one["custom_args"]["mailmux_email"],
            sender=people([payload["from"]])[0],
            to=groups[0],
            cc=groups[1],
            reply_to=people(payload.get("reply_to_list", [])),
            envelope={address for group in groups for address, _ in group},
            subject=payload["subject"],
            text=content.get("text/plain"),
            html=content.get("text/html"),
            headers={n: str(make_header(decode_header(v))) for n, v in payload.get("headers", {}).items()},
            files=[
                (a["filename"], a["type"], b64decode(a["content"], validate=True), a.get("content_id"))
                for a in payload.get("attachments", [])
            ],
        )


class SMTPDriver(Driver):
    name = "smtp"
    modes = frozenset(MEANINGS) - {Does.BARE_500}  # every 5yz of SMTP is a refusal

    def __init__(self, authority: Authority, tls: str = "starttls", pipelining: bool = False) -> None:
        self.authority, self.tls = authority, tls
        context = authority.server_context() if tls != "none" else None
        self.account = ("shop", SECRET) if tls != "none" else None
        features = ("SIZE 30000000", "8BITMIME", *(["PIPELINING"] if pipelining else []))
        self.server: SMTPServer = SMTPServer(context, tls, self.account, features)

    def provider(self, world: World) -> Provider:
        return self.build(world, ca_pem=self.authority.pem if self.tls != "none" else None)

    def provider_at(self, port: int, world: World) -> Provider:
        return self.build(world, port=port, tls="none", credentials={})

    def distrusting(self, world: World) -> Provider:
        return self.build(world)

    def build(self, world: World, credentials: dict[str, str] | None = None, **settings: object) -> Provider:
        config = {"host": "127.0.0.1", "port": self.server.port, "tls": self.tls, **settings}
        if credentials is None:
            credentials = {"username": "shop", "password": SECRET} if self.account else {}
        valid = registry.validate("smtp", config, credentials)
        return registry.build("smtp", "the-smtp", *valid, world)

    def behave(self, does: Does) -> None:
        self.server.does = does

    @property
    def attempts_on_the_wire(self) -> int:
        verb = "AUTH" if self.server.does is Does.REFUSE_CREDENTIALS else "MAIL"
        return sum(c.startswith(verb) for c in self.server.commands)

    def received(self) -> list[Received]:
        return [self._read(recipients, content) for _, recipients, content in self.server.messages]

    def stop(self) -> None:
        super().stop()
        assert self.server.violations == []

    @staticmethod
    def _read(recipients: list[str], content: bytes) -> Received:
        assert content.isascii()
        lines = content.split(b"\r\n")
        assert not any(b"\r" in line or b"\n" in line for line in lines), "a bare CR or LF"
        assert max(map(len, lines)) <= 998
        parsed = message_from_bytes(content, policy=policy.compat32)
        assert not parsed.defects

        def people(name: str) -> list[tuple[str, str]]:
            found = getaddresses([v.replace("\r\n", "") for v in parsed.get_all(name, [])])
            return [(address, str(make_header(decode_header(n)))) for n, address in found]

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


class ImplicitTLSDriver(SMTPDriver):
    name = "smtp over implicit TLS"

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority, "implicit")


class PipelinedDriver(SMTPDriver):
    name = "smtp with PIPELINING"

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority, pipelining=True)


class MemoryDriver(Driver):
    name = "memory"
    on_the_wire = False
    modes = frozenset(
        {
            Does.RATE_LIMIT,
            Does.UNAVAILABLE,
            Does.REFUSE_CREDENTIALS,
            Does.REJECT,
            Does.REFUSE_SENDER,
            Does.HANG,
        }
    )
    _answers: ClassVar[dict[Does, memory.Answer]] = {
        Does.RATE_LIMIT: memory.Answer.RATE_LIMITED,
        Does.UNAVAILABLE: memory.Answer.UNAVAILABLE,
        Does.REFUSE_CREDENTIALS: memory.Answer.MISCONFIGURED,
        Does.REJECT: memory.Answer.REJECTED,
        Does.REFUSE_SENDER: memory.Answer.SENDER_NOT_VERIFIED,
        Does.HANG: memory.Answer.UNKNOWN,
        Does.ACCEPT: memory.Answer.ACCEPTED,
    }

    def __init__(self, _authority: Authority) -> None:
        self._config = memory.Config()
        self._built: list[memory.MemoryProvider] = []

    def provider(self, world: World) -> Provider:
        self._built.append(memory.MemoryProvider("the-memory", self._config))
        return self._built[-1]

    def behave(self, does: Does) -> None:
        self._config = memory.Config(answer=self._answers[does], retry_after=7)

    @property
    def attempts_on_the_wire(self) -> int:
        return sum(len(p.calls) for p in self._built)

    def received(self) -> list[Received]:
        return [self._read(s) for p in self._built for s in p.sent]

    @staticmethod
    def _read(sent: memory.Sent) -> Received:
        message, envelope = sent.submission.message, sent.submission.envelope

        def people(kind: str) -> list[tuple[str, str]]:
            return [(r.address.email, r.address.name) for r in envelope.recipients if r.kind == kind]

        return Received(
            attempt=str(sent.attempt_id),
            email=str(sent.submission.id),
            sender=(envelope.sender.email, envelope.sender.name),
            to=people("to"),
            cc=people("cc"),
            reply_to=[(a.email, a.name) for a in envelope.reply_to],
            envelope={r.address.email for r in envelope.recipients},
            subject=message.subject,
            text=message.text,
            html=message.html,
            headers=dict(message.headers),
            files=[(a.filename, a.content_type, a.content, a.content_id) for a in message.attachments],
        )

    def stop(self) -> None:
        for provider in self._built:
            provider.close()


def _decoded(value: str) -> str:
    return str(make_header(decode_header(value.replace("\r\n", ""))))


def _file_name(part: ParsedMessage) -> str:
    return part.get_filename("")


DRIVERS: dict[str, Callable[[Authority], Driver]] = {
    "sendgrid": SendGridDriver,
    "smtp": SMTPDriver,
    "smtp-implicit": ImplicitTLSDriver,
    "smtp-pipelined": PipelinedDriver,
    "memory": MemoryDriver,
}
