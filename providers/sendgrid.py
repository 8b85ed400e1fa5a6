"""Twilio SendGrid, Web API v3: POST /v3/mail/send.

Sources: the official OpenAPI document (twilio/sendgrid-oai, tsg_mail_v3, 2026-01) for the form, its limits and its
refusals; twilio.com/docs/sendgrid/api-reference/mail-send/errors for what it refuses; …/how-to-use-the-sendgrid-v3-api/
rate-limits for X-RateLimit-Reset (Unix seconds). The 403 for an unverified sender is quoted in sendgrid-ruby#489.
No idempotency: our ids travel as custom_args, which every event of SendGrid's webhook repeats.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import Misconfigured, ProviderError, SenderNotVerified, Unsupported
from domain.message import Address, Attachment, Disposition, RecipientKind, Submission
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain, absolute
from providers.calls import BatchProvider, Part
from providers.exchange import Request, Response
from providers.fields import ATTEMPT, EMAIL, SecretKey
from providers.mime import encoded_value
from providers.origins import BaseURL
from providers.payloads import compact
from providers.sendgrid_webhook import EVENT_FIELDS, WebhookSecret, webhook
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_MOST_CATEGORIES, _LONGEST_CATEGORY = 10, 255
_CUSTOM_ARGS_BYTES = 10_000

_PURPOSES = {
    "mail_cname": RecordKind.RETURN_PATH, "mail_server": RecordKind.RETURN_PATH, "subdomain_spf": RecordKind.SPF,
    "dkim": RecordKind.DKIM, "dkim1": RecordKind.DKIM, "dkim2": RecordKind.DKIM,
}  # fmt: skip


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
        repeated_addresses=False,
        reserved_headers=frozenset(
            {
                "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
                "to", "from", "subject", "reply-to", "cc", "bcc",
            }
        ),
        batch=1000 if config.shared_calls else 1,
        batch_bytes=20_000_000 if config.shared_calls else None,
    )  # fmt: skip


class SendGridProvider(BatchProvider):
    # 500 is documented as "internal server error" and says nothing of the email: it stays OutcomeUnknown.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key = credentials.api_key.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(key,))
        self._config = config
        self._fields = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        body = compact(self._payload(submission, attempt_id)).encode("utf-8")
        return Request("POST", "/v3/mail/send", self._fields, body)

    def part(self, submission: Submission, attempt_id: UUID) -> Part:
        """What is of the recipients and of the attempt is apart from what all must have in common."""
        payload = self._payload(submission, attempt_id)
        (own,) = payload.pop("personalizations")
        people = frozenset(r.address.email.lower() for r in submission.envelope.recipients)
        return Part(compact(own).encode("utf-8"), compact(payload).encode("utf-8"), people)

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        body = b'{"personalizations":[' + b",".join(parts) + b"]," + shared[1:]
        return Request("POST", "/v3/mail/send", self._fields, body)

    def answers(self, response: Response, count: int) -> Sequence[Response]:
        return [response] * count

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        message, envelope = submission.message, submission.envelope
        if not envelope.of(RecipientKind.TO):
            raise Unsupported(self.name, "cannot carry an email without a To recipient")
        if not message.subject:
            raise Unsupported(self.name, "cannot carry an email without a subject")
        recipients: dict[str, Any] = {
            kind.value: [_person(a) for a in envelope.of(kind)] for kind in RecipientKind if envelope.of(kind)
        }
        payload: dict[str, Any] = {
            "personalizations": [{**recipients, "custom_args": _custom_args(submission, attempt_id)}],
            "from": _person(envelope.sender),
            "subject": message.subject,
            "content": self._content(submission),
        }
        if envelope.reply_to:
            payload["reply_to_list"] = [_person(a) for a in envelope.reply_to]
        if message.headers:
            payload["headers"] = self._headers(submission)
        if message.attachments:
            payload["attachments"] = [self._attachment(a) for a in message.attachments]
        if categories := _categories(submission):
            payload["categories"] = categories
        if tracking := _tracking(submission):
            payload["tracking_settings"] = tracking
        if self._config.sandbox_mode:
            payload["mail_settings"] = {"sandbox_mode": {"enable": True}}
        return payload

    def _content(self, submission: Submission) -> list[dict[str, str]]:
        """text/plain comes first, and no value may be empty."""
        parts = (("text/plain", submission.message.text), ("text/html", submission.message.html))
        content = [{"type": kind, "value": value} for kind, value in parts if value]
        if not content:
            raise Unsupported(self.name, "cannot carry an empty body")
        return content

    def _headers(self, submission: Submission) -> dict[str, str]:
        """A JSON object holds a name once, and SendGrid wants values beyond ASCII encoded (RFC 2047)."""
        headers = {name: encoded_value(value) for name, value in submission.message.headers}
        if len({name.lower() for name in headers}) < len(submission.message.headers):
            raise Unsupported(self.name, "cannot carry a header twice")
        return headers

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        if not attachment.content:
            raise Unsupported(self.name, "cannot carry an empty attachment")
        file = {
            "content": b64encode(attachment.content).decode("ascii"),
            "filename": attachment.filename,
            "type": attachment.content_type,
        }
        if attachment.disposition is Disposition.INLINE:
            file["disposition"] = "inline"
        if attachment.content_id:
            file["content_id"] = attachment.content_id
        return file

    def parse(self, response: Response) -> SendResult:
        """202 and an empty body; the id is a header. 200 means "valid, not queued", and only in sandbox mode."""
        if response.status != (200 if self._config.sandbox_mode else 202) and not (
            self._config.sandbox_mode and response.status == 202
        ):
            raise ValueError("a success that SendGrid does not document")
        if response.body.strip():
            self.json(response)  # a page from something between us is no acceptance
        return SendResult(response.headers.get("x-message-id", "").strip()[:255] or None)

    def probe(self) -> Request:
        return Request("GET", "/v3/scopes", {k: v for k, v in self._fields.items() if k != "Content-Type"})

    def recognise(self, response: Response) -> Checkup:
        try:
            scopes = self.json(response)["scopes"]
            may_send = "mail.send" in scopes
        except (ValueError, TypeError, LookupError) as error:
            raise Misconfigured(self.name, "the address does not answer as SendGrid does") from error
        if not may_send:
            raise Misconfigured(self.name, "the API key may not send (it lacks the scope mail.send)")
        return Checkup()

    def find_domain(self, name: str) -> SenderDomain | None:
        """By domain authentication. Single senders may be allowed as well, so a domain without it says nothing."""
        path = f"/v3/whitelabel/domains?domain={quote(name, safe='')}&limit=50"
        if (found := self.ask_domain(Request("GET", path, self.probe().headers))) is None:
            return None
        own = [d for d in found if d["domain"].lower() == name]
        if not own:
            return None
        best = max(own, key=lambda d: bool(d["valid"]))
        records = tuple(
            DomainRecord(_PURPOSES[which], r["type"].upper(), absolute(r["host"], name), r["data"])
            for which, r in best["dns"].items() if which in _PURPOSES
        )  # fmt: skip
        return SenderDomain(
            bool(best["valid"]), records, absolute(best["subdomain"], name) if best.get("subdomain") else None
        )

    def explain(self, response: Response) -> str | None:
        try:
            errors = self.json(response)["errors"]
            return "; ".join(_words(e) for e in errors[:5]) or None
        except (ValueError, TypeError, LookupError, AttributeError):
            return None

    def classify(self, response: Response, said: str) -> ProviderError | None:
        if response.status in (400, 403) and "verified sender" in said.lower():
            return SenderNotVerified(self.name, f"{response.status}: {said}")
        return None

    def reset_after(self, response: Response) -> float | None:
        value = response.headers.get("x-ratelimit-reset", "").strip()
        if not (value.isascii() and value.isdigit() and len(value) <= 11):
            return None
        return self.seconds_until(response, datetime.fromtimestamp(int(value), UTC))


def _words(error: Any) -> str:
    field = error.get("field")
    return (
        f"{field}: {error['message']}"
        if isinstance(field, str) and field != "null"
        else str(error["message"])
    )


def _person(address: Address) -> dict[str, str]:
    return {"email": address.email, "name": address.name} if address.name else {"email": address.email}


def _custom_args(submission: Submission, attempt_id: UUID) -> dict[str, str]:
    """Our ids, and the user's metadata where it fits whole: it is ours to keep, so SendGrid need not."""
    ours = {ATTEMPT: str(attempt_id), EMAIL: str(submission.id)}
    theirs = {k: str(v) for k, v in submission.metadata.items() if k.lower() not in EVENT_FIELDS}
    together = {**theirs, **ours}
    return together if len(json.dumps(together).encode()) <= _CUSTOM_ARGS_BYTES else ours


def _categories(submission: Submission) -> list[str]:
    """The tags, where they fit all (ASCII only): they are ours to keep, so SendGrid need not."""
    tags = list(dict.fromkeys(submission.tags))
    fits = len(tags) <= _MOST_CATEGORIES and all(
        1 <= len(t) <= _LONGEST_CATEGORY and t.isascii() for t in tags
    )
    return tags if fits else []


def _tracking(submission: Submission) -> dict[str, dict[str, bool]]:
    """Only what the sender asked for: else the account's own settings hold."""
    wishes = {"click_tracking": submission.tracking.clicks, "open_tracking": submission.tracking.opens}
    return {name: {"enable": wish} for name, wish in wishes.items() if wish is not None}


def build(name: str, config: Config, credentials: Credentials, world: World) -> SendGridProvider:
    return SendGridProvider(name, config, credentials, world)
