"""Twilio SendGrid, Web API v3: POST /v3/mail/send.

Sources: the official OpenAPI document (twilio/sendgrid-oai, tsg_mail_v3, 2026-01) for the form, its limits and its
refusals; twilio.com/docs/sendgrid/api-reference/mail-send/errors for what it refuses; …/how-to-use-the-sendgrid-v3-api/
rate-limits for X-RateLimit-Reset (Unix seconds). The 403 for an unverified sender is quoted in sendgrid-ruby#489.
No idempotency: our ids travel as custom_args, which every event of SendGrid's webhook repeats.

Its webhook: …/for-developers/tracking-events/event for the events, …/getting-started-event-webhook-security-features
for the signature: ECDSA (P-256, SHA-256) over the timestamp and the raw body. It repeats a call for 24 hours.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Self
from uuid import UUID

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import Misconfigured, ProviderError, SenderNotVerified, Unsupported
from domain.events import (
    BounceClass,
    DeliveryEvent,
    EventType,
    Forged,
    RejectReason,
    Verified,
    WebhookRequest,
)
from domain.message import Address, Attachment, Disposition, RecipientKind, Submission
from providers.calls import BatchProvider, Part
from providers.exchange import Request, Response
from providers.fields import ATTEMPT, EMAIL, SecretKey
from providers.mime import encoded_value
from providers.origins import BaseURL
from providers.payloads import compact
from providers.webhooks import (
    BasicAuthSecret,
    JSONWebhook,
    attempt_of,
    enhanced_code,
    instant,
    lately,
    loads,
    texts,
    word,
    words,
)
from providers.world import World

_MOST_CATEGORIES, _LONGEST_CATEGORY = 10, 255
_CUSTOM_ARGS_BYTES = 10_000
# The names that an event of the webhook uses itself: a custom_arg of that name would write over it.
_EVENT_FIELDS = frozenset(
    {
        "asm_group_id", "attempt", "bounce_classification", "category", "cert_err", "email", "event", "ip",
        "newsletter", "pool", "reason", "response", "send_at", "sg_content_type", "sg_event_id",
        "sg_machine_open", "sg_message_id", "sg_template_id", "sg_template_name", "singlesend_id",
        "smtp-id", "status", "timestamp", "tls", "type", "unique_args", "url", "url_offset", "useragent", ATTEMPT,
        EMAIL,
    }
)  # fmt: skip


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
    theirs = {k: str(v) for k, v in submission.metadata.items() if k.lower() not in _EVENT_FIELDS}
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


class WebhookSecret(BasicAuthSecret):
    """`verification_key`: the public key that SendGrid shows once signing is on (Settings → Mail Settings)."""

    verification_key: str | None = Field(default=None, max_length=400)

    @field_validator("verification_key")
    @classmethod
    def _is_key(cls, value: str | None) -> str | None:
        if value is not None:
            _public_key(value)
        return value

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.verification_key is None and self.username is None:
            raise ValueError("a verification_key, or a username and a password, or both")
        return self


@lru_cache(maxsize=64)
def _public_key(text: str) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(b64decode("".join(text.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not a public key in base64, as SendGrid shows it") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError("not an ECDSA key on the curve P-256")
    return key


_REPEATS = timedelta(hours=25)
_TYPES = {
    "processed": EventType.QUEUED,
    "dropped": EventType.REJECTED,
    "deferred": EventType.DEFERRED,
    "delivered": EventType.DELIVERED,
    "bounce": EventType.BOUNCED,
    "blocked": EventType.BOUNCED,
    "open": EventType.OPENED,
    "click": EventType.CLICKED,
    "spamreport": EventType.COMPLAINED,
    "unsubscribe": EventType.UNSUBSCRIBED,
    "group_unsubscribe": EventType.UNSUBSCRIBED,
    "group_resubscribe": EventType.SUBSCRIBED,
}
# Why an email was dropped, from `type` or `reason`.
_REASONS = {
    "invalid": RejectReason.INVALID,
    "unsubscribed address": RejectReason.UNSUBSCRIBED,
    "bounce": RejectReason.BOUNCED,
    "bounced address": RejectReason.BOUNCED,
    "spam reporting address": RejectReason.SPAM,
    "blocked": RejectReason.BLOCKED,
    "expired": RejectReason.TIMED_OUT,
}


class Webhook(JSONWebhook[WebhookSecret]):
    def prove(self, request: WebhookRequest, secret: WebhookSecret, now: datetime) -> Verified:
        secret.check_basic(request)
        if secret.verification_key is not None:
            stamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
            given = request.headers.get("x-twilio-email-event-webhook-signature", "")
            try:
                signature = b64decode(given, validate=True)
                signed = stamp.encode("ascii") + request.body
                _public_key(secret.verification_key).verify(signature, signed, ec.ECDSA(hashes.SHA256()))
            except (ValueError, InvalidSignature) as error:
                raise Forged("the signature is missing or wrong") from error
            lately(stamp, now, _REPEATS)
        return Verified()

    def items(self, request: WebhookRequest) -> Iterable[Mapping[str, Any]]:
        if not isinstance(loads(request.body), list):
            raise ValueError("not a list")
        return super().items(request)

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        told = word(item.get("event"))
        kind = _TYPES.get(told or "", EventType.UNKNOWN)
        cause = word(item.get("type")) or word(item.get("reason")) or ""
        refusal = _REASONS.get(cause.lower(), RejectReason.OTHER) if kind is EventType.REJECTED else None
        answer = word(item.get("response")) or word(item.get("reason"))
        yield DeliveryEvent(
            type=kind,
            event_id=word(item.get("sg_event_id")),
            occurred_at=instant(item.get("timestamp")),
            recipient=word(item.get("email")),
            attempt_id=attempt_of(item),
            # The id of the answer to the send, and behind it which machine handled this recipient.
            provider_message_id=_MACHINE.sub("", word(item.get("sg_message_id")) or "") or None,
            reject_reason=refusal,
            bounce=_bounce(told, word(item.get("type"))) if kind is EventType.BOUNCED else None,
            status_code=word(item.get("status")) or enhanced_code(answer),
            description=word(item.get("reason")) if refusal is RejectReason.OTHER else None,
            mta_response=None if kind is EventType.REJECTED else answer,
            click_url=word(item.get("url")),
            user_agent=word(item.get("useragent")),
            tags=words(item.get("category")),
            metadata=texts({k: v for k, v in item.items() if k not in _EVENT_FIELDS}),
        )


_MACHINE = re.compile(r"\.?(?:filter|recvd)\w*[-.].*\Z")


def _bounce(event: str | None, cause: str | None) -> BounceClass:
    """`blocked`: the mailbox host refused it for now, or for its content or our reputation."""
    return BounceClass.SOFT if "blocked" in (event, cause) else BounceClass.HARD


def webhook(_name: str, _config: Config, secrets: Sequence[WebhookSecret], _world: World) -> Webhook:
    return Webhook(secrets)


def build(name: str, config: Config, credentials: Credentials, world: World) -> SendGridProvider:
    return SendGridProvider(name, config, credentials, world)
