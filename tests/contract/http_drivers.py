"""Drivers of further providers with HTTP APIs."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from email.header import decode_header, make_header
from email.utils import getaddresses
from typing import Any, ClassVar

from domain.ports import Provider
from providers.world import World
from tests.contract.certificates import Authority
from tests.contract.driver import SECRET, HTTPDriver, Received, read_mime
from tests.contract.http_servers import MailgunServer, ResendServer, SESServer, read_form
from tests.contract.servers import HTTPServer

Person = tuple[str, str]


def people(values: list[str]) -> list[Person]:
    """Mailboxes as they stand in JSON or a form: Unicode, or with encoded words in their names."""
    return [(email, _decoded(name)) for name, email in getaddresses(values)]


def _decoded(text: str) -> str:
    return str(make_header(decode_header(text))) if "=?" in text else text


class ResendDriver(HTTPDriver):
    name = "resend"
    sends = ("/emails",)

    def serve(self, authority: Authority) -> HTTPServer:
        return ResendServer(SECRET, authority.server_context())

    @classmethod
    def read(cls, path: str, headers: dict[str, str], body: bytes) -> Received:  # noqa: ARG003
        payload = json.loads(body)
        tags = {tag["name"]: tag["value"] for tag in payload["tags"]}
        assert headers["idempotency-key"] == tags["mailmux_attempt"]
        groups = [people(payload.get(kind, [])) for kind in ("to", "cc", "bcc")]
        return Received(
            attempt=tags["mailmux_attempt"],
            email=tags["mailmux_email"],
            sender=people([payload["from"]])[0],
            to=groups[0],
            cc=groups[1],
            reply_to=people(payload.get("reply_to", [])),
            envelope={email for group in groups for email, _ in group},
            subject=payload["subject"],
            text=payload.get("text"),
            html=payload.get("html"),
            headers=payload.get("headers", {}),
            files=[
                (
                    f["filename"],
                    f["content_type"],
                    b64decode(f["content"], validate=True),
                    f.get("content_id"),
                )
                for f in payload.get("attachments", [])
            ],
        )


class MailgunDriver(HTTPDriver):
    name = "mailgun"
    sends = ("/v3/sender.example/messages", "/v3/sender.example/messages.mime")

    def serve(self, authority: Authority) -> HTTPServer:
        basic = b64encode(f"api:{SECRET}".encode()).decode()
        return MailgunServer(basic, authority.server_context())

    @classmethod
    def read(cls, path: str, headers: dict[str, str], body: bytes) -> Received:
        parts = read_form(headers["content-type"], body)

        def all_of(name: str) -> list[str]:
            return [value.decode("utf-8") for n, _, _, value in parts if n == name]

        def one(name: str) -> str | None:
            found = all_of(name)
            assert len(found) <= 1
            return found[0] if found else None

        attempt, email = one("v:mailmux_attempt"), one("v:mailmux_email")
        assert attempt is not None
        assert email is not None
        if path.endswith(".mime"):
            (content,) = (value for n, _, _, value in parts if n == "message")
            received = read_mime(all_of("to"), content)
            assert (received.attempt, received.email) == (attempt, email)
            return received
        groups = [people(all_of(kind)) for kind in ("to", "cc", "bcc")]
        return Received(
            attempt=attempt,
            email=email,
            sender=people(all_of("from"))[0],
            to=groups[0],
            cc=groups[1],
            reply_to=people(all_of("h:Reply-To")),
            envelope={email for group in groups for email, _ in group},
            subject=one("subject") or "",
            text=one("text"),
            html=one("html"),
            headers={n.removeprefix("h:"): v.decode("utf-8") for n, _, _, v in parts if n.startswith("h:")},
            files=[
                (file or "", kind or "", value, file if n == "inline" else None)
                for n, file, kind, value in parts
                if n in ("attachment", "inline")
            ],
        )


class SESDriver(HTTPDriver):
    name = "ses"
    sends = ("/v2/email/outbound-emails",)
    credentials: ClassVar[dict[str, str]] = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": SECRET}
    content = "raw"

    def serve(self, authority: Authority) -> HTTPServer:
        return SESServer("AKIAEXAMPLE", authority.server_context())

    def build(self, base_url: str, world: World, **config: object) -> Provider:
        return super().build(base_url, world, content=self.content, **config)

    @classmethod
    def read(cls, path: str, headers: dict[str, str], body: bytes) -> Received:  # noqa: ARG003
        payload = json.loads(body)
        tags = {tag["Name"]: tag["Value"] for tag in payload["EmailTags"]}
        destination = payload["Destination"]
        if "Raw" in payload["Content"]:
            content = b64decode(payload["Content"]["Raw"]["Data"], validate=True)
            received = read_mime([a for group in destination.values() for a in group], content)
            assert (received.attempt, received.email) == (tags["mailmux_attempt"], tags["mailmux_email"])
            return received
        return cls._read_parts(payload, tags)

    @staticmethod
    def _read_parts(payload: dict[str, Any], tags: dict[str, str]) -> Received:
        simple, destination = payload["Content"]["Simple"], payload["Destination"]
        groups = [people(destination.get(f"{kind}Addresses", [])) for kind in ("To", "Cc", "Bcc")]
        bodies = {kind: part["Data"] for kind, part in simple["Body"].items()}
        return Received(
            attempt=tags["mailmux_attempt"],
            email=tags["mailmux_email"],
            sender=people([payload["FromEmailAddress"]])[0],
            to=groups[0],
            cc=groups[1],
            reply_to=people(payload.get("ReplyToAddresses", [])),
            envelope={email for group in groups for email, _ in group},
            subject=simple["Subject"]["Data"],
            text=bodies.get("Text"),
            html=bodies.get("Html"),
            headers={h["Name"]: _decoded(h["Value"]) for h in simple.get("Headers", [])},
            files=[
                (
                    f["FileName"],
                    f["ContentType"],
                    b64decode(f["RawContent"], validate=True),
                    f.get("ContentId"),
                )
                for f in simple.get("Attachments", [])
            ],
        )


class SESInPartsDriver(SESDriver):
    content = "simple"
