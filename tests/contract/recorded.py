"""Recorded webhooks and requests, where they are: what a provider posted, and what another library made of an email."""

from __future__ import annotations

import json
import mimetypes
import os
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from email import message_from_string
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import idna

from domain.events import DeliveryEvent, WebhookRequest
from domain.message import Address, Attachment, Disposition, Submission, Tracking
from tests.contract.emails import an_email

CONTRACTS = Path(
    os.environ.get("MAILMUX_CONTRACTS") or Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts"
)


def samples(provider: str) -> list[Path]:
    return sorted((CONTRACTS / "webhooks" / provider).glob("*.json"))


def request_of(sample: Mapping[str, Any]) -> WebhookRequest:
    body = sample["body"]
    raw = b64decode(body) if sample.get("body_encoding") == "base64" else body.encode()
    headers = {name.lower(): value for name, value in sample["headers"].items()}
    return WebhookRequest(f"https://mailmux.example{sample['path']}", headers, raw)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def compared(event: DeliveryEvent) -> dict[str, Any]:
    """Our event under the other library's names, without what that one does not have."""
    return {
        "event_type": event.type.value,
        "recipient": event.recipient,
        "message_id": event.provider_message_id,
        "reject_reason": event.reject_reason.value if event.reject_reason else None,
        "timestamp": event.occurred_at,
        "event_id": event.event_id,
        "metadata": dict(event.metadata),
        "tags": list(event.tags),
        "description": event.description,
        "mta_response": event.mta_response,
        "click_url": event.click_url,
        "user_agent": event.user_agent,
    }


def expected(sample: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for event in sample["expected_events"]:
        fields = {name: event[name] for name in event if name not in ("esp_name", "class")}
        fields["timestamp"] = datetime.fromisoformat(fields["timestamp"]) if fields["timestamp"] else None
        found.append(fields)
    return found


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (mine[name], theirs[name]) for name in theirs if mine.get(name) != theirs[name]}


def is_ours(message: Mapping[str, Any]) -> bool:
    """Whether our API could have been given this email: no merging, no scheduling at the provider, no parts but text,
    HTML and named files, no Message-ID or recipients from elsewhere.
    """
    foreign = set(message) - {
        "class", "subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "content_subtype", "extra_headers",
        "alternatives", "attachments", "tags", "metadata", "track_clicks", "track_opens",
    }  # fmt: skip
    kinds = [a["mimetype"] for a in message.get("alternatives", [])]
    nameless = any(not a.get("filename") for a in message.get("attachments", []))
    headers = {n.lower(): v for n, v in message.get("extra_headers", {}).items()}
    return (
        not foreign
        and kinds in ([], ["text/html"])
        and not nameless
        and not headers.keys() & {"message-id", "to", "cc"}
        and all(isinstance(v, str) for v in headers.values())
        and bool(message.get("to") or message.get("cc") or message.get("bcc"))
    )


def submission_of(message: Mapping[str, Any]) -> Submission:
    """The recorded email, as our API would have made it: domains in ASCII, Reply-To not among the headers."""
    headers = dict(message.get("extra_headers", {}))
    reply_to = message.get("reply_to") or [v for n, v in headers.items() if n.lower() == "reply-to"]
    is_html = message.get("content_subtype") == "html"
    alternatives = message.get("alternatives", [])
    html = message["body"] if is_html else alternatives[0]["content"] if alternatives else None
    return an_email(
        sender=_people([message["from_email"]])[0],
        to=_people(message.get("to", [])),
        cc=_people(message.get("cc", [])),
        bcc=_people(message.get("bcc", [])),
        reply_to=_people(reply_to),
        subject=message["subject"],
        text=None if is_html else message["body"],
        html=html,
        headers=tuple((n, str(v)) for n, v in headers.items() if n.lower() != "reply-to"),
        attachments=tuple(map(_attachment, message.get("attachments", []))),
        tags=tuple(message.get("tags", [])),
        metadata={k: str(v) for k, v in message.get("metadata", {}).items()},
        tracking=Tracking(message.get("track_opens"), message.get("track_clicks")),
    )


def _people(values: list[str]) -> tuple[Address, ...]:
    # One of the samples lacks its closing bracket, which its maker's parser forgives.
    found = getaddresses([v + ">" * ("<" in v and ">" not in v) for v in values])
    return tuple(Address(_in_ascii(email), name) for name, email in found)


def _in_ascii(email: str) -> str:
    local, _, domain = email.rpartition("@")
    return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode()}"


def _attachment(recorded: Mapping[str, Any]) -> Attachment:
    if "mime_part" in recorded:
        inline = str(recorded["disposition"] or "").startswith("inline")
        content = b64decode(recorded["payload_base64"])
        content_id = (recorded["content_id"] or "").strip("<>") or None
        disposition = Disposition.INLINE if inline else Disposition.ATTACHMENT
        charset = message_from_string(recorded["mime_part"]).get_content_charset()
        kind = f"{recorded['content_type']}; charset={charset}" if charset else recorded["content_type"]
        return Attachment(recorded["filename"], kind, content, disposition, content_id)
    content, kind = recorded["content"], recorded["mimetype"] or mimetypes.guess_type(recorded["filename"])[0]
    raw = content.encode() if isinstance(content, str) else b64decode(content["$bytes_base64"])
    return Attachment(recorded["filename"], kind or "application/octet-stream", raw)
