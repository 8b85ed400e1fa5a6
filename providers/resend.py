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
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup, SenderIdentity
from domain.errors import Misconfigured, ProviderError, RateLimited, Rejected, SenderNotVerified, Unsupported
from domain.message import Attachment, Disposition, RecipientKind, Submission
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain, absolute
from providers.base import LONGEST_WAIT
from providers.calls import BatchProvider, Part, each
from providers.exchange import Request, Response
from providers.fields import SecretKey, TagName, labels
from providers.mailboxes import written
from providers.origins import BaseURL
from providers.payloads import compact
from providers.resend_webhook import WebhookSecret, webhook
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_MOST_TO = 50
_TEXT = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")  # of a tag's name and value
_TYPES = mimetypes.MimeTypes()  # Python's own table: the machine's may differ from worker to worker
_SAME = {
    "text/xml": "application/xml",
    "text/javascript": "application/javascript",
    "image/jpg": "image/jpeg",
}

_PURPOSES = {"SPF": RecordKind.RETURN_PATH, "DKIM": RecordKind.DKIM, "Tracking": RecordKind.TRACKING}


class Config(BaseModel):
    """`tag_name`: the name of the tag of Resend's that bears the email's one tag."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.resend.com"
    tag_name: TagName = "tag"


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretKey


def capabilities(_config: Config) -> Capabilities:
    """Tracking is a setting of the domain there, not of an email."""
    return Capabilities(
        max_recipients=_MOST_TO,
        max_bytes=40_000_000,
        tracking_opens=False,
        tracking_clicks=False,
        repeatable_seconds=86_400,
        batch=100,
        batch_bytes=40_000_000,
    )


class ResendProvider(BatchProvider):
    # 500 application_error says nothing of the email: it stays OutcomeUnknown, as do both 409s. Of those one says
    # that this attempt was taken before with other bytes, the other that it is being taken just now.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key = credentials.api_key.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(key,))
        self._config = config
        self._fields = {"Authorization": f"Bearer {key}", "Accept": "application/json"}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        body = compact(self._payload(submission, attempt_id)).encode("utf-8")
        fields = {"Content-Type": "application/json", "Idempotency-Key": str(attempt_id)}
        return Request("POST", "/emails", {**self._fields, **fields}, body)

    def part(self, submission: Submission, attempt_id: UUID) -> Part | None:
        if submission.message.attachments:
            return None
        return Part(compact(self._payload(submission, attempt_id)).encode("utf-8"))

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        fields = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "x-batch-validation": "permissive",
        }
        return Request("POST", "/emails/batch", {**self._fields, **fields}, b"[" + b",".join(parts) + b"]")

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
        message, envelope = submission.message, submission.envelope
        if not envelope.of(RecipientKind.TO):
            raise Unsupported(self.name, "cannot carry an email without a To recipient")
        if not message.subject:
            raise Unsupported(self.name, "cannot carry an email without a subject")
        if not (message.text or message.html):
            raise Unsupported(self.name, "cannot carry an empty body")
        payload: dict[str, Any] = {"from": written(envelope.sender), "subject": message.subject}
        for kind in RecipientKind:
            if people := envelope.of(kind):
                payload[kind.value] = [written(a) for a in people]
        if envelope.reply_to:
            payload["reply_to"] = [written(a) for a in envelope.reply_to]
        payload |= {k: v for k, v in (("text", message.text), ("html", message.html)) if v}
        if message.headers:
            payload["headers"] = self._headers(submission)
        if message.attachments:
            payload["attachments"] = [self._attachment(a) for a in message.attachments]
        found = labels(submission, attempt_id, self._config.tag_name, _TEXT.match)
        payload["tags"] = [{"name": name, "value": value} for name, value in found.items()]
        return payload

    def _headers(self, submission: Submission) -> dict[str, str]:
        headers = dict(submission.message.headers)
        if len({name.lower() for name in headers}) < len(submission.message.headers):
            raise Unsupported(self.name, "cannot carry a header twice")
        return headers

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        if not attachment.content:
            raise Unsupported(self.name, "cannot carry an empty attachment")
        if not attachment.filename:
            raise Unsupported(self.name, "cannot carry an attachment without a name")
        if attachment.disposition is Disposition.INLINE and not attachment.content_id:
            raise Unsupported(self.name, "cannot carry an inline file without a content id")
        if not _agrees(attachment):
            raise Unsupported(self.name, "cannot carry an attachment whose extension and type disagree")
        file = {
            "content": b64encode(attachment.content).decode("ascii"),
            "filename": attachment.filename,
            "content_type": attachment.content_type,
        }
        if attachment.content_id:
            file["content_id"] = attachment.content_id
        return file

    def parse(self, response: Response) -> SendResult:
        message_id = self.json(response)["id"]
        if not isinstance(message_id, str) or not message_id:
            raise ValueError("no id")
        return SendResult(message_id)

    def probe(self) -> Request:
        return Request("GET", "/domains", self._fields)

    def may_only_send(self, response: Response) -> bool:
        return response.status in (401, 403) and self._kind(response) == "restricted_api_key"

    def recognise(self, response: Response) -> Checkup:
        try:
            found = self.json(response)["data"]
            identities = tuple(SenderIdentity(str(d["name"]), d["status"] == "verified") for d in found)
        except (ValueError, TypeError, LookupError) as error:
            raise Misconfigured(self.name, "the address does not answer as Resend does") from error
        return Checkup(identities)

    def find_domain(self, name: str) -> SenderDomain | None:
        """Resend takes emails of its domains only, so one that it does not know is not verified."""
        listed = self.ask_domain(self.probe())
        if listed is None:
            return None
        known = [d["id"] for d in listed["data"] if d["name"].lower() == name]
        if not known:
            return SenderDomain(verified=False)
        found = self.json(self.passed(self._origin.perform(
            Request("GET", f"/domains/{quote(known[0], safe='')}", self._fields))))  # fmt: skip
        records = tuple(
            DomainRecord(_PURPOSES[r["record"]], r["type"], absolute(r["name"], name), r["value"], r.get("priority"))
            for r in found["records"] if r["record"] in _PURPOSES
        )  # fmt: skip
        return SenderDomain(found["status"] == "verified", records)

    def explain(self, response: Response) -> str | None:
        try:
            error = self.json(response)
            return f"{error['name']}: {error['message']}"
        except (ValueError, TypeError, LookupError):
            return None

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
        value = response.headers.get("ratelimit-reset", "").strip()
        return float(value) if value.isascii() and value.isdigit() and len(value) <= 9 else None

    def _kind(self, response: Response) -> str:
        try:
            return str(self.json(response)["name"])
        except (ValueError, TypeError, LookupError):
            return ""


def _agrees(attachment: Attachment) -> bool:
    """Whether the extension, where it is a known one, stands for the type."""
    kind = attachment.content_type.partition(";")[0].strip().lower()
    _, dot, extension = attachment.filename.rpartition(".")
    guess, _ = _TYPES.guess_type(f"x{dot}{extension if dot else ''}")
    return guess is None or _SAME.get(guess, guess) == _SAME.get(kind, kind)


def build(name: str, config: Config, credentials: Credentials, world: World) -> ResendProvider:
    return ResendProvider(name, config, credentials, world)
