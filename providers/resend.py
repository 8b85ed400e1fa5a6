"""Resend: POST /emails and /emails/batch.

Sources: the official OpenAPI document (resend/resend-openapi, 2026-08) for the form; resend.com/docs/api-reference:
errors for their names, rate-limit for the rate headers, emails/send-email for the limits ("Max 50", "40MB per email,
after Base64 encoding of the attachments"); …/dashboard/emails/idempotency-keys: a key holds for 24 hours. It is the
attempt's id, so that the same call made again is the same email; of a batch (at most 100, no attachments) it covers
the whole call, in which only the emails at fault are refused, each by its `index` (x-batch-validation: permissive).
Our ids travel as tags, which every event repeats.

An attachment whose extension and type disagree is taken there, and then lost (as django-anymail found): refused here.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm
from domain.errors import Misconfigured, ProviderError, RateLimited, Rejected, SenderNotVerified, Unsupported
from domain.message import Attachment, Submission
from providers.base import LONGEST_WAIT, id_in, number_in
from providers.calls import BatchProvider, Part, each
from providers.exchange import Request, Response
from providers.fields import OURS, WORD, SecretKey, TagName, labels, word_beside
from providers.mailboxes import written
from providers.origins import BaseURL
from providers.payloads import bodies, compact, content_of, demand, headers_once, recipients
from providers.resend_account import ResendAccount
from providers.resend_webhook import WebhookSecret, webhook
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_MOST_TO = 50
_TYPES = mimetypes.MimeTypes()  # Python's own table: the machine's may differ from worker to worker
_SAME = {
    "text/xml": "application/xml",
    "text/javascript": "application/javascript",
    "image/jpg": "image/jpeg",
}


class Config(BaseModel):
    """`tag_name`: the name of the tag of Resend's that bears the email's first tag; the others have it with _2, _3 …"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.resend.com"
    tag_name: TagName = "tag"


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretKey


def capabilities(config: Config) -> Capabilities:
    """Tracking is a setting of the domain there, not of an email."""
    return Capabilities(
        max_recipients=_MOST_TO,
        max_bytes=40_000_000,
        tag=WORD,
        metadata=MetadataForm(name=word_beside(config.tag_name), value=WORD, reserved=OURS),
        tracking_opens=False,
        tracking_clicks=False,
        repeatable_seconds=86_400,
        batch=100,
        batch_bytes=40_000_000,
    )


class ResendProvider(ResendAccount, BatchProvider):
    # 500 application_error says nothing of the email: it stays OutcomeUnknown, as do both 409s. Of those one says
    # that this attempt was taken before with other bytes, the other that it is being taken just now.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key = credentials.api_key.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(key,))
        self._config = config
        self._fields = {"Authorization": f"Bearer {key}", "Accept": "application/json"}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        body = compact(self._payload(submission, attempt_id)).encode("utf-8")
        return self.post("/emails", body, Idempotency_Key=str(attempt_id))

    def part(self, submission: Submission, attempt_id: UUID) -> Part | None:
        if submission.message.attachments:
            return None
        return Part(compact(self._payload(submission, attempt_id)).encode("utf-8"))

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        body = b"[" + b",".join(parts) + b"]"
        return self.post("/emails/batch", body, Idempotency_Key=key, x_batch_validation="permissive")

    def answers(self, response: Response, count: int) -> Sequence[Response]:
        """`data` has the ids of those that were taken, in order; `errors` the places and faults of the others."""
        answer = self.json(response)
        faults = {int(e["index"]): str(e.get("message", "")) for e in answer.get("errors") or []}
        if len(faults) + len(answer["data"]) != count or not faults.keys() <= set(range(count)):
            raise ValueError("answers for another number of emails")
        refused = [
            {"statusCode": 422, "name": "validation_error", "message": faults[i]} for i in sorted(faults)
        ]
        taken, others = iter(each(response, answer["data"])), iter(each(response, refused, status=422))
        return [next(others if place in faults else taken) for place in range(count)]

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        demand(self.name, submission)
        message, envelope = submission.message, submission.envelope
        payload: dict[str, Any] = {
            "from": written(envelope.sender),
            "subject": message.subject,
            **recipients(envelope, written),
        }
        if envelope.reply_to:
            payload["reply_to"] = [written(a) for a in envelope.reply_to]
        payload |= bodies(message)
        if message.headers:
            payload["headers"] = headers_once(self.name, submission)
        if message.attachments:
            payload["attachments"] = [self._attachment(a) for a in message.attachments]
        found = labels(submission, attempt_id, self._config.tag_name)
        payload["tags"] = [{"name": name, "value": value} for name, value in found.items()]
        return payload

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        file = {
            "content": content_of(self.name, attachment, content_ids_inline_only=False),
            "filename": attachment.filename,
            "content_type": attachment.content_type,
        }
        if not _agrees(attachment):
            raise Unsupported(self.name, "cannot carry an attachment whose extension and type disagree")
        return {**file, "content_id": attachment.content_id} if attachment.content_id else file

    def parse(self, response: Response) -> SendResult:
        return SendResult(id_in(self.json(response)["id"]))

    def explain(self, response: Response) -> str | None:
        error = self.json(response)
        return f"{error['name']}: {error['message']}"

    def classify(self, response: Response, said: str) -> ProviderError | None:
        kind, detail = self._kind(response), f"{response.status}: {said}"
        match response.status, kind:
            case 429, "daily_quota_exceeded":
                return RateLimited(self.name, detail, self.retry_after(response) or 3600.0)
            case 429, "monthly_quota_exceeded":
                return RateLimited(self.name, detail, LONGEST_WAIT)
            case 400 | 401 | 403 | 422, "invalid_api_key" | "missing_api_key" | "restricted_api_key":
                return Misconfigured(self.name, detail)
            case 400 | 422, "validation_error" if "api key is invalid" in said.lower():
                return Misconfigured(self.name, detail)
            case 403, "validation_error":
                # "The … domain is not verified" and "You can only send testing emails to your own address …".
                return SenderNotVerified(self.name, detail)
            case 451, "security_error":
                return Rejected(self.name, detail)
        return None

    def reset_after(self, response: Response) -> float | None:
        return number_in(response.headers.get("ratelimit-reset"))


def _agrees(attachment: Attachment) -> bool:
    """Whether the extension, where it is a known one, stands for the type."""
    kind = attachment.content_type.partition(";")[0].strip().lower()
    _, dot, extension = attachment.filename.rpartition(".")
    guess, _ = _TYPES.guess_type(f"x{dot}{extension if dot else ''}")
    return guess is None or _SAME.get(guess, guess) == _SAME.get(kind, kind)


def build(name: str, config: Config, credentials: Credentials, world: World) -> ResendProvider:
    return ResendProvider(name, config, credentials, world)
