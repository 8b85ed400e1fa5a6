"""Drivers of further providers that take an email as JSON."""

from __future__ import annotations

import json
from base64 import b64decode
from email.header import decode_header, make_header
from typing import Any, ClassVar

from domain.ports import Provider
from providers.world import World
from tests.contract.certificates import Authority
from tests.contract.driver import SECRET, HTTPDriver, Received, read_mime
from tests.contract.http_drivers import Person, people
from tests.contract.json_servers import (
    BrevoServer,
    JSONServer,
    MailerSendServer,
    MailjetServer,
    MailtrapServer,
    SparkPostServer,
)


def named(found: list[dict[str, str]], email: str = "email", name: str = "name") -> list[Person]:
    """Mailboxes as objects; a name may come as encoded words."""
    return [(p[email], decoded(p.get(name, ""))) for p in found]


def decoded(text: str) -> str:
    return str(make_header(decode_header(text))) if "=?" in text else text


class JSONDriver(HTTPDriver):
    kind_of_server: type[JSONServer]

    def serve(self, authority: Authority) -> JSONServer:
        return self.kind_of_server(SECRET, authority.server_context())

    @classmethod
    def read(cls, path: str, headers: dict[str, str], body: bytes) -> Received:  # noqa: ARG003
        assert headers["content-type"] == "application/json"
        return cls.understand(json.loads(body))

    @classmethod
    def understand(cls, payload: dict[str, Any]) -> Received:
        """What arrived, as the provider's document says."""
        raise NotImplementedError


class BrevoDriver(JSONDriver):
    name = "brevo"
    sends = ("/v3/smtp/email",)
    kind_of_server = BrevoServer
    types_by_extension = True

    @classmethod
    def understand(cls, payload: dict[str, Any]) -> Received:
        headers = dict(payload["headers"])
        custom = json.loads(headers.pop("X-Mailin-custom"))
        assert headers.pop("idempotencyKey") == custom["mailmux_attempt"]
        groups = [named(payload.get(kind, [])) for kind in ("to", "cc", "bcc")]
        return Received(
            attempt=custom["mailmux_attempt"],
            email=custom["mailmux_email"],
            sender=named([payload["sender"]])[0],
            to=groups[0],
            cc=groups[1],
            reply_to=named([payload["replyTo"]] if "replyTo" in payload else []),
            envelope={email for group in groups for email, _ in group},
            subject=payload["subject"],
            text=payload.get("textContent"),
            html=payload.get("htmlContent"),
            headers=headers,
            files=[
                (f["name"], cls.type_of(f["name"]), b64decode(f["content"], validate=True), None)
                for f in payload.get("attachment", [])
            ],
        )


class SparkPostDriver(JSONDriver):
    name = "sparkpost"
    sends = ("/api/v1/transmissions",)
    kind_of_server = SparkPostServer

    @classmethod
    def understand(cls, payload: dict[str, Any]) -> Received:
        content, ours = payload["content"], payload["metadata"]
        addresses = [r["address"] for r in payload["recipients"]]
        (to_line,) = {a["header_to"] for a in addresses}
        if "email_rfc822" in content:
            received = read_mime([a["email"] for a in addresses], content["email_rfc822"].encode("ascii"))
            assert received.to == people([to_line])
            assert (received.attempt, received.email) == (ours["mailmux_attempt"], ours["mailmux_email"])
            return received
        headers = dict(content.get("headers", {}))
        inline = [(f["name"], f) for f in content.get("inline_images", [])]
        others = [(None, f) for f in content.get("attachments", [])]
        return Received(
            attempt=ours["mailmux_attempt"],
            email=ours["mailmux_email"],
            sender=people([content["from"]])[0],
            to=people([to_line]),
            cc=people([headers.pop("Cc")]) if "Cc" in headers else [],
            reply_to=people([content["reply_to"]]) if "reply_to" in content else [],
            envelope={a["email"] for a in addresses},
            subject=content["subject"],
            text=content.get("text"),
            html=content.get("html"),
            headers=headers,
            files=[
                (f["name"], f["type"], b64decode(f["data"], validate=True), cid)
                for cid, f in (*inline, *others)
            ],
        )


class SparkPostMIMEDriver(SparkPostDriver):
    """With an inline file that has a name of its own, which the form has no place for."""

    rich = "sparkpost in MIME"


class MailjetDriver(JSONDriver):
    name = "mailjet"
    sends = ("/v3.1/send",)
    credentials: ClassVar[dict[str, str]] = {"api_key": "shop", "secret_key": SECRET}
    kind_of_server = MailjetServer

    @classmethod
    def told(cls, content_type: str) -> str:
        """Mailjet itself says that a text is UTF-8."""
        return content_type.partition("; charset=")[0]

    @classmethod
    def understand(cls, payload: dict[str, Any]) -> Received:
        (message,) = payload["Messages"]
        ours = json.loads(message["EventPayload"])
        assert message["CustomID"] == ours["mailmux_attempt"]

        def told(kind: str) -> list[Person]:
            return named(message.get(kind, []), "Email", "Name")

        return Received(
            attempt=ours["mailmux_attempt"],
            email=ours["mailmux_email"],
            sender=named([message["From"]], "Email", "Name")[0],
            to=told("To"),
            cc=told("Cc"),
            reply_to=named([message["ReplyTo"]] if "ReplyTo" in message else [], "Email", "Name"),
            envelope={email for kind in ("To", "Cc", "Bcc") for email, _ in told(kind)},
            subject=message["Subject"],
            text=message.get("TextPart"),
            html=message.get("HTMLPart"),
            headers={n: decoded(v) for n, v in message.get("Headers", {}).items()},
            files=[
                (
                    f["Filename"],
                    f["ContentType"],
                    b64decode(f["Base64Content"], validate=True),
                    f.get("ContentID"),
                )
                for field in ("Attachments", "InlinedAttachments")
                for f in message.get(field, [])
            ],
        )


class MailerSendDriver(JSONDriver):
    name = "mailersend"
    sends = ("/v1/email",)
    credentials: ClassVar[dict[str, str]] = {"api_token": SECRET}
    kind_of_server = MailerSendServer
    types_by_extension = True

    def build(self, base_url: str, world: World, **config: object) -> Provider:
        return super().build(base_url, world, custom_headers=True, **config)

    @classmethod
    def understand(cls, payload: dict[str, Any]) -> Received:
        ours = dict(tag.split(":", 1) for tag in payload["tags"] if tag.startswith("mailmux_"))
        groups = [named(payload.get(kind, [])) for kind in ("to", "cc", "bcc")]
        return Received(
            attempt=ours["mailmux_attempt"],
            email=ours["mailmux_email"],
            sender=named([payload["from"]])[0],
            to=groups[0],
            cc=groups[1],
            reply_to=named([payload["reply_to"]] if "reply_to" in payload else []),
            envelope={email for group in groups for email, _ in group},
            subject=payload["subject"],
            text=payload.get("text"),
            html=payload.get("html"),
            headers={h["name"]: decoded(h["value"]) for h in payload.get("headers", [])},
            files=[
                (
                    f["filename"],
                    cls.type_of(f["filename"]),
                    b64decode(f["content"], validate=True),
                    f.get("id"),
                )
                for f in payload.get("attachments", [])
            ],
        )


class MailtrapDriver(JSONDriver):
    name = "mailtrap"
    sends = ("/api/send",)
    credentials: ClassVar[dict[str, str]] = {"api_token": SECRET}
    kind_of_server = MailtrapServer

    def received(self) -> list[Received]:
        assert isinstance(self.server, MailtrapServer)
        return [self.understand(payload) for payload in self.server.payloads]

    @classmethod
    def understand(cls, payload: dict[str, Any]) -> Received:
        ours, headers = payload["custom_variables"], dict(payload.get("headers", {}))
        groups = [named(payload.get(kind, [])) for kind in ("to", "cc", "bcc")]
        several = headers.pop("Reply-To", None)
        return Received(
            attempt=ours["mailmux_attempt"],
            email=ours["mailmux_email"],
            sender=named([payload["from"]])[0],
            to=groups[0],
            cc=groups[1],
            reply_to=people([several])
            if several
            else named([payload["reply_to"]] if "reply_to" in payload else []),
            envelope={email for group in groups for email, _ in group},
            subject=payload["subject"],
            text=payload.get("text"),
            html=payload.get("html"),
            headers={n: decoded(v) for n, v in headers.items()},
            files=[
                (f["filename"], f["type"], b64decode(f["content"], validate=True), f.get("content_id"))
                for f in payload.get("attachments", [])
            ],
        )
