"""Twilio SendGrid, Web API v3: POST /v3/mail/send.

Sources: the official OpenAPI document (twilio/sendgrid-oai, tsg_mail_v3, 2026-01) for the form, its limits and its
refusals; twilio.com/docs/sendgrid/api-reference/mail-send/errors for what it refuses; …/how-to-use-the-sendgrid-v3-api/
rate-limits for X-RateLimit-Reset (Unix seconds). Found by django-anymail: the recipient is not told a text file's
character set. The 403 for an unverified sender is quoted in sendgrid-ruby#489.
No idempotency: our ids travel as custom_args, which every event of SendGrid's webhook repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm, Search, TextForm
from domain.errors import ProviderError, SenderNotVerified
from domain.message import Attachment, Disposition, Submission
from providers.base import number_in
from providers.calls import BatchProvider, Part
from providers.exchange import Request, Response
from providers.fields import SecretKey
from providers.filetypes import demand_unicode
from providers.mime import encoded_value
from providers.origins import BaseURL
from providers.payloads import (
    bodies,
    compact,
    content_of,
    demand,
    headers_once,
    person,
    recipients,
    room_beside_ours,
    tracking_wishes,
    with_metadata,
)
from providers.sendgrid_search import SendGridSearch
from providers.sendgrid_webhook import EVENT_FIELDS, WebhookSecret, webhook
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_MOST_CATEGORIES, _LONGEST_CATEGORY = 10, 255
_CUSTOM_ARGS_BYTES = 10_000


class Config(BaseModel):
    """`base_url` for subusers in the EU: https://api.eu.sendgrid.com. `sandbox_mode`: validate, deliver nothing.

    `shared_calls`: bulk emails with the same content may share a call; it is taken or refused as a whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.sendgrid.com"
    sandbox_mode: bool = False
    shared_calls: bool = False


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretKey


def capabilities(config: Config) -> Capabilities:
    return Capabilities(
        max_recipients=1000,
        max_bytes=31_457_280,  # 30 MB, the Mail Send overview's total size
        max_tags=_MOST_CATEGORIES,
        tag=TextForm(rf"[\x00-\x7f]{{1,{_LONGEST_CATEGORY}}}", f"1 to {_LONGEST_CATEGORY} characters of ASCII"),
        metadata=MetadataForm(
            most_bytes=room_beside_ours(_CUSTOM_ARGS_BYTES), reserved=EVENT_FIELDS
        ),
        repeated_addresses=False,
        reserved_headers=frozenset(
            {
                "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
                "to", "from", "subject", "reply-to", "cc", "bcc",
            }
        ),
        batch=1000 if config.shared_calls else 1,
        batch_bytes=20_000_000 if config.shared_calls else None,
        search=Search.EMAIL,
    )  # fmt: skip


class SendGridProvider(SendGridSearch, BatchProvider):
    # 500 is documented as "internal server error" and says nothing of the email: it stays OutcomeUnknown.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key = credentials.api_key.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(key,))
        self._config = config
        self._fields = {"Authorization": f"Bearer {key}", "Accept": "application/json"}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        body = compact(self._payload(submission, attempt_id)).encode("utf-8")
        return self.post("/v3/mail/send", body)

    def part(self, submission: Submission, attempt_id: UUID) -> Part:
        """What is of the recipients and of the attempt is apart from what all must have in common."""
        payload = self._payload(submission, attempt_id)
        (own,) = payload.pop("personalizations")
        people = frozenset(r.address.email.lower() for r in submission.envelope.recipients)
        return Part(compact(own).encode("utf-8"), compact(payload).encode("utf-8"), people)

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        body = b'{"personalizations":[' + b",".join(parts) + b"]," + shared[1:]
        return self.post("/v3/mail/send", body)

    def answers(self, response: Response, count: int) -> Sequence[Response]:
        return [response] * count

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        """text/plain comes first. SendGrid wants header values beyond ASCII encoded (RFC 2047)."""
        demand(self.name, submission)
        message, envelope = submission.message, submission.envelope
        payload: dict[str, Any] = {
            "personalizations": [
                {**recipients(envelope, person), "custom_args": with_metadata(submission, attempt_id)}
            ],
            "from": person(envelope.sender),
            "subject": message.subject,
            "content": [
                {"type": kind, "value": body}
                for kind, body in bodies(message, "text/plain", "text/html").items()
            ],
        }
        if envelope.reply_to:
            payload["reply_to_list"] = [person(a) for a in envelope.reply_to]
        if message.headers:
            payload["headers"] = headers_once(self.name, submission, encoded_value)
        if message.attachments:
            payload["attachments"] = [self._attachment(a) for a in message.attachments]
        if submission.tags:
            payload["categories"] = list(dict.fromkeys(submission.tags))
        if tracking := tracking_wishes(submission, "open_tracking", "click_tracking"):
            payload["tracking_settings"] = {name: {"enable": wish} for name, wish in tracking.items()}
        if self._config.sandbox_mode:
            payload["mail_settings"] = {"sandbox_mode": {"enable": True}}
        return payload

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        demand_unicode(self.name, attachment)
        file = {
            "content": content_of(self.name, attachment, content_ids_inline_only=False),
            "filename": attachment.filename,
            "type": attachment.content_type,
        }
        if attachment.disposition is Disposition.INLINE:
            file["disposition"] = "inline"
        return {**file, "content_id": attachment.content_id} if attachment.content_id else file

    def parse(self, response: Response) -> SendResult:
        """202 and an empty body; the id is a header. 200 means "valid, not queued", and only in sandbox mode."""
        if response.status != (200 if self._config.sandbox_mode else 202) and not (
            self._config.sandbox_mode and response.status == 202
        ):
            raise ValueError("a success that SendGrid does not document")
        if response.body.strip() and (self.json(response) or {}).get("errors"):
            raise ValueError("a success that tells of errors")  # nor is a page from something between us one
        return SendResult(response.headers.get("x-message-id", "").strip()[:255] or None)

    def explain(self, response: Response) -> str | None:
        return "; ".join(_words(e) for e in self.json(response)["errors"][:5]) or None

    def classify(self, response: Response, said: str) -> ProviderError | None:
        if response.status in (400, 403) and "verified sender" in said.lower():
            return SenderNotVerified(self.name, f"{response.status}: {said}")
        return None

    def reset_after(self, response: Response) -> float | None:
        moment = number_in(response.headers.get("x-ratelimit-reset"), digits=11)
        return None if moment is None else self.seconds_until(response, datetime.fromtimestamp(moment, UTC))


def _words(error: Any) -> str:
    field = error.get("field")
    return (
        f"{field}: {error['message']}"
        if isinstance(field, str) and field != "null"
        else str(error["message"])
    )


def build(name: str, config: Config, credentials: Credentials, world: World) -> SendGridProvider:
    return SendGridProvider(name, config, credentials, world)
