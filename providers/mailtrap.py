"""Mailtrap, email sending API: POST /api/send and /api/batch.

Sources: Mailtrap's API document (mailtrap/mailtrap-docs and the SDKs: form, one category, custom variables of at
most 1000 bytes in JSON, 1000 recipients, 10 MB; one message id per recipient) and "Webhooks" (signature of the raw
body; a list of events, or JSON lines); "Rate limits" (150 requests in 10 seconds, no header documented). Headers
"must be encoded" where they hold characters beyond ASCII; several reply-to addresses have no field, and travel as
the header.

There is no call that only checks a token on the host that sends: an email without anything in it is refused in
either case, for the token or for what it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm
from domain.errors import OutcomeUnknown, ProviderError, Rejected, SenderNotVerified
from domain.message import Attachment, Disposition, Submission
from providers.calls import BatchProvider, Part, each
from providers.exchange import Request, Response
from providers.fields import OURS, SecretKey, short
from providers.mailboxes import in_ascii
from providers.mailtrap_webhook import WebhookSecret, webhook
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
    with_metadata,
)
from providers.words import clean
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_STREAMS = {"transactional": "https://send.api.mailtrap.io", "bulk": "https://bulk.api.mailtrap.io"}
_SANDBOX = "https://sandbox.api.mailtrap.io"
_VARIABLES_BYTES, _LONGEST_TAG = 1000, 255
_SENDER = re.compile(
    r"domain\b.*\bnot (?:allowed|verified|authori[sz]ed)|demo domain|domain .*isn't", re.IGNORECASE
)


class Config(BaseModel):
    """`inbox_id`: emails go to this inbox of Mailtrap's own sandbox, and to nobody. `base_url` replaces the host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: Literal["transactional", "bulk"] = "transactional"
    inbox_id: int | None = Field(default=None, ge=1)
    base_url: BaseURL | None = None


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_token: SecretKey


def capabilities(_config: Config) -> Capabilities:
    """Tracking is a setting of the domain there, not of an email."""
    return Capabilities(
        max_recipients=1000,
        max_bytes=10_000_000,
        max_tags=1,
        tag=short(_LONGEST_TAG, 1),
        metadata=MetadataForm(most_bytes=room_beside_ours(_VARIABLES_BYTES), reserved=OURS),
        tracking_opens=False,
        tracking_clicks=False,
        batch=500,
        batch_bytes=10_000_000,
    )


class MailtrapProvider(BatchProvider):
    # 500 "Internal server error" says nothing of the email: it stays OutcomeUnknown.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        token = credentials.api_token.get_secret_value()
        host = _STREAMS[config.stream] if config.inbox_id is None else _SANDBOX
        super().__init__(name, config.base_url or host, capabilities(config), world, secrets=(token,))
        inbox = "" if config.inbox_id is None else f"/{config.inbox_id}"
        self._path, self._batch_path = f"/api/send{inbox}", f"/api/batch{inbox}"
        self._fields = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        return self.post(self._path, self.part(submission, attempt_id).own)

    def part(self, submission: Submission, attempt_id: UUID) -> Part:
        return Part(compact(self._payload(submission, attempt_id)).encode("utf-8"))

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        body = b'{"requests":[' + b",".join(parts) + b"]}"
        return self.post(self._batch_path, body)

    def answers(self, response: Response, count: int) -> Sequence[Response]:  # noqa: ARG002
        return each(response, self.json(response)["responses"])

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        demand(self.name, submission)
        message, envelope = submission.message, submission.envelope
        payload: dict[str, Any] = {
            "from": person(envelope.sender),
            **recipients(envelope, person),
            "subject": message.subject,
            "custom_variables": with_metadata(submission, attempt_id),
        }
        payload |= bodies(message)
        headers = headers_once(self.name, submission, encoded_value)
        if len(envelope.reply_to) == 1:
            payload["reply_to"] = person(envelope.reply_to[0])
        elif envelope.reply_to:
            headers["Reply-To"] = ", ".join(in_ascii(a) for a in envelope.reply_to)
        if headers:
            payload["headers"] = headers
        if message.attachments:
            payload["attachments"] = [self._attachment(a) for a in message.attachments]
        if submission.tags:
            payload["category"] = submission.tags[0]
        return payload

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        file = {
            "filename": attachment.filename,
            "type": attachment.content_type,
            "content": content_of(self.name, attachment, content_ids_inline_only=False),
        }
        if attachment.disposition is Disposition.INLINE:
            file["disposition"] = "inline"
        return {**file, "content_id": attachment.content_id} if attachment.content_id else file

    def parse(self, response: Response) -> SendResult:
        """A 200 may carry a refusal. There is an id for each recipient: the first stands for the email."""
        answer = self.json(response)
        success, ids = answer["success"], answer.get("message_ids") or []
        errors = answer.get("errors")
        if success is False and errors and not ids:
            raise Rejected(
                self.name, f"{response.status}: {clean(self.explained(response) or '', self._secrets)}"
            )
        if errors or success is not True:
            raise OutcomeUnknown(
                self.name, f"{response.status}: an answer that is both a success and a failure"
            )
        return SendResult(str(ids[0])[:255] or None)

    def probe(self) -> Request:
        return self.post(self._path, b"{}")

    def passed(self, response: Response) -> Response:
        """Refused for what the empty email lacks is as good as a success: the token was looked at before."""
        if response.status in (400, 422) and self.explained(response) is not None:
            return response
        return super().passed(response)

    def explain(self, response: Response) -> str | None:
        answer = self.json(response)
        found = answer.get("errors") or answer["error"]
        return "; ".join(map(str, found[:5])) if isinstance(found, list) else str(found)

    def classify(self, response: Response, said: str) -> ProviderError | None:
        if response.status in (400, 401, 403, 422) and _SENDER.search(said):
            return SenderNotVerified(self.name, f"{response.status}: {said}")
        return None


def build(name: str, config: Config, credentials: Credentials, world: World) -> MailtrapProvider:
    return MailtrapProvider(name, config, credentials, world)
