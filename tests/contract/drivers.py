"""The providers that the suite runs through. A new adapter adds a driver to the table, and passes the suite."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from email.header import decode_header, make_header
from importlib.metadata import entry_points
from typing import ClassVar

from domain.ports import Provider
from providers import memory, registry
from providers.world import World
from tests.contract.certificates import Authority
from tests.contract.driver import MEANINGS, SECRET, Driver, HTTPDriver, Received, read_mime
from tests.contract.http_drivers import MailgunDriver, ResendDriver, SESDriver, SESInPartsDriver
from tests.contract.http_servers import TokenServer
from tests.contract.json_drivers import (
    BrevoDriver,
    MailerSendDriver,
    MailjetDriver,
    MailtrapDriver,
    SparkPostDriver,
    SparkPostMIMEDriver,
)
from tests.contract.postmark_driver import PostmarkDriver
from tests.contract.servers import Does, HTTPServer, SendGridServer
from tests.contract.smtp_server import SMTPServer


class SendGridDriver(HTTPDriver):
    name = "sendgrid"
    sends = ("/v3/mail/send",)

    def serve(self, authority: Authority) -> HTTPServer:
        return SendGridServer(SECRET, authority.server_context())

    @classmethod
    def read(cls, path: str, headers: dict[str, str], body: bytes) -> Received:  # noqa: ARG003
        payload = json.loads(body)

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
        return [read_mime(recipients, content) for _, recipients, content in self.server.messages]

    def stop(self) -> None:
        super().stop()
        assert self.server.violations == []


class ImplicitTLSDriver(SMTPDriver):
    name = "smtp over implicit TLS"

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority, "implicit")


class PipelinedDriver(SMTPDriver):
    name = "smtp with PIPELINING"

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority, pipelining=True)


class GmailDriver(SMTPDriver):
    """The preset, signing in with tokens."""

    name = "smtp with XOAUTH2"
    kind = "gmail"

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.tokens = TokenServer("refresh-token", authority.server_context())
        self.server.tokens = self.tokens.issued

    def provider(self, world: World) -> Provider:
        trusting = World(world.clock, world.wall_time, world.timeouts, self.authority.ca)
        return self._preset(trusting)

    def distrusting(self, world: World) -> Provider:
        return self._preset(world)

    def _preset(self, world: World, **config: object) -> Provider:
        settings = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "token_url": f"https://127.0.0.1:{self.tokens.port}/token",
            **config,
        }
        credentials = {
            "username": "shop",
            "client_id": "client",
            "client_secret": "client-secret",
            "refresh_token": "refresh-token",
        }
        valid = registry.validate(self.kind, settings, credentials)
        return registry.build(self.kind, f"the-{self.kind}", *valid, world)

    def stop(self) -> None:
        super().stop()
        self.tokens.stop()


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


class MicrosoftDriver(GmailDriver):
    name = "smtp with XOAUTH2 at Microsoft"
    kind = "microsoft365"


DRIVERS: dict[str, Callable[[Authority], Driver]] = {
    "brevo": BrevoDriver,
    "mailersend": MailerSendDriver,
    "mailjet": MailjetDriver,
    "mailtrap": MailtrapDriver,
    "sparkpost": SparkPostDriver,
    "sparkpost-in-mime": SparkPostMIMEDriver,
    "gmail": GmailDriver,
    "microsoft365": MicrosoftDriver,
    "mailgun": MailgunDriver,
    "postmark": PostmarkDriver,
    "resend": ResendDriver,
    "sendgrid": SendGridDriver,
    "ses": SESDriver,
    "ses-in-parts": SESInPartsDriver,
    "smtp": SMTPDriver,
    "smtp-implicit": ImplicitTLSDriver,
    "smtp-pipelined": PipelinedDriver,
    "memory": MemoryDriver,
    # Other packages' providers pass the same suite.
    **{entry.name: entry.load() for entry in entry_points(group="mailmux.contract_drivers")},
}
