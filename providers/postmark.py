"""Postmark: POST /email and /email/batch, and its webhooks.

Sources: postmarkapp.com/developer/api/email-api for the form and its limits (50 recipients, 10 MB; of a batch 500
emails and 50 MB, each with its own ErrorCode in an answer of 200), …/api/overview
for the error codes and for 429 and 503, …/user-guide/sending-email/sending-with-api for metadata (10 fields, names of
20 and values of 80 characters), …/webhooks/* for the events, …/api/bounce-api#bounce-types for the kinds of bounce. An
answer counts by its ErrorCode: 200 with another one than 0 was not taken. Where only some of several recipients are
inactive there, the email goes to the others, and the answer is a success.

No idempotency: our ids travel as metadata, which every event repeats.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import (
    Misconfigured,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, Verified, WebhookRequest
from domain.message import Attachment, Disposition, Lane, RecipientKind, Submission
from providers.calls import BatchProvider, Part, each
from providers.exchange import Request, Response
from providers.fields import ATTEMPT, EMAIL, SecretKey, labels
from providers.mailboxes import written
from providers.origins import BaseURL
from providers.payloads import compact
from providers.webhooks import BasicAuthSecret, JSONWebhook, attempt_of, enhanced_code, instant, texts, word
from providers.world import World

_MOST_FIELDS, _LONGEST_NAME, _LONGEST_VALUE = 10, 20, 80
_LONGEST_TAG = 1000
_TAG = "tag of ours"  # a name that no metadata can have there
Stream = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")]


class Config(BaseModel):
    """`message_stream` for transactional email; `broadcast_stream` for bulk, else that goes the same way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.postmarkapp.com"
    message_stream: Stream = "outbound"
    broadcast_stream: Stream | None = None


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    server_token: SecretKey


def capabilities(_config: Config) -> Capabilities:
    return Capabilities(max_recipients=50, max_bytes=10_000_000, batch=500, batch_bytes=50_000_000)


# What an ErrorCode means. Every other one says that the request was wrong: Rejected.
_CODES: Mapping[int, type[ProviderError]] = {
    10: Misconfigured,  # bad or missing server token
    100: ProviderUnavailable,  # maintenance
    400: SenderNotVerified,  # sender signature not found
    401: SenderNotVerified,  # sender signature not confirmed
    405: Misconfigured,  # not allowed to send: out of credits
    411: Unsupported,  # a type of attachment that this provider does not carry
    412: Misconfigured,  # account pending approval
    413: Misconfigured,  # account may not send
    429: RateLimited,
    1226: Misconfigured,  # the message stream is archived
    1235: Misconfigured,  # no such message stream
}


class PostmarkProvider(BatchProvider):
    # 500 is documented as "an issue with Postmark's servers" and says nothing of the email: it stays OutcomeUnknown.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        token = credentials.server_token.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(token,))
        self._config = config
        self._fields = {"Accept": "application/json", "X-Postmark-Server-Token": token}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        return self._post("/email", self._encoded(submission, attempt_id))

    def part(self, submission: Submission, attempt_id: UUID) -> Part:
        return Part(self._encoded(submission, attempt_id))

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        return self._post("/email/batch", b"[" + b",".join(parts) + b"]")

    def answers(self, response: Response, count: int) -> Sequence[Response]:  # noqa: ARG002
        return each(response, self.json(response))

    def _post(self, path: str, body: bytes) -> Request:
        return Request("POST", path, {**self._fields, "Content-Type": "application/json"}, body)

    def _encoded(self, submission: Submission, attempt_id: UUID) -> bytes:
        return compact(self._payload(submission, attempt_id)).encode("utf-8")

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        message, envelope = submission.message, submission.envelope
        if not (message.text or message.html):
            raise Unsupported(self.name, "cannot carry an empty body")
        payload: dict[str, Any] = {"From": written(envelope.sender)}
        for field, kind in (("To", RecipientKind.TO), ("Cc", RecipientKind.CC), ("Bcc", RecipientKind.BCC)):
            if people := envelope.of(kind):
                payload[field] = ", ".join(written(a) for a in people)
        if envelope.reply_to:
            payload["ReplyTo"] = ", ".join(written(a) for a in envelope.reply_to)
        payload["Subject"] = message.subject
        payload |= {k: v for k, v in (("TextBody", message.text), ("HtmlBody", message.html)) if v}
        if message.headers:
            payload["Headers"] = [{"Name": name, "Value": value} for name, value in message.headers]
        if message.attachments:
            payload["Attachments"] = [self._attachment(a) for a in message.attachments]
        if submission.tracking.opens is not None:
            payload["TrackOpens"] = submission.tracking.opens
        if submission.tracking.clicks is not None:
            payload["TrackLinks"] = "HtmlAndText" if submission.tracking.clicks else "None"
        found = labels(submission, attempt_id, _TAG, lambda text: len(str(text)) <= _LONGEST_TAG)
        tag = found.pop(_TAG, None)
        if tag is not None:
            payload["Tag"] = tag
        payload["Metadata"] = _metadata(found)
        payload["MessageStream"] = self._stream(submission)
        return payload

    def _stream(self, submission: Submission) -> str:
        bulk = self._config.broadcast_stream
        return bulk if bulk is not None and submission.lane is Lane.BULK else self._config.message_stream

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        if not attachment.content:
            raise Unsupported(self.name, "cannot carry an empty attachment")
        if not attachment.filename:
            raise Unsupported(self.name, "cannot carry an attachment without a name")
        if attachment.disposition is Disposition.INLINE and not attachment.content_id:
            raise Unsupported(self.name, "cannot carry an inline file without a content id")
        file = {
            "Name": attachment.filename,
            "Content": b64encode(attachment.content).decode("ascii"),
            "ContentType": attachment.content_type,
        }
        if attachment.content_id:
            file["ContentID"] = f"cid:{attachment.content_id}"
        return file

    def parse(self, response: Response) -> SendResult:
        """The ErrorCode is left out where Postmark took the email and will be late."""
        answer = dict(self.json(response))
        code = _code(answer.get("ErrorCode", 0))
        if code:
            raise self._meaning(code, f"{response.status}: ErrorCode {code}", response)
        message_id = answer["MessageID"]
        if code != 0 or not isinstance(message_id, str) or not message_id:
            raise ValueError("no MessageID")
        return SendResult(message_id[:255])

    def probe(self) -> Request:
        return Request("GET", "/server", self._fields)

    def recognise(self, response: Response) -> Checkup:
        try:
            server = self.json(response)
            sandbox = server.get("DeliveryType") == "Sandbox"
            if not isinstance(server["ID"], int):
                raise TypeError("no id")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise Misconfigured(self.name, "the address does not answer as Postmark does") from error
        return Checkup(
            notes=("this server is a sandbox: Postmark delivers nothing from it",) if sandbox else ()
        )

    def explain(self, response: Response) -> str | None:
        try:
            error = self.json(response)
            return f"ErrorCode {error['ErrorCode']}: {error['Message']}"
        except (ValueError, TypeError, LookupError):
            return None

    def classify(self, response: Response, said: str) -> ProviderError | None:
        """422 for all that is wrong with a request, whosesoever fault it is: the ErrorCode says whose."""
        if response.status != 422:
            return None
        try:
            code = _code(self.json(response)["ErrorCode"])
        except (TypeError, LookupError, ValueError):
            return None
        if code is None:
            return None
        return self._meaning(code, f"{response.status}: {said}", response)

    def _meaning(self, code: int, detail: str, response: Response) -> ProviderError:
        meaning = _CODES.get(code, Rejected)
        if issubclass(meaning, RateLimited):
            return RateLimited(self.name, detail, self.retry_after(response))
        return meaning(self.name, detail)


def _code(value: object) -> int | None:
    """A number, or one as text; None for what is neither."""
    text = word(value) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _metadata(found: Mapping[str, str]) -> dict[str, str]:
    """Our ids, and the user's metadata where it fits whole: it is ours to keep, so Postmark need not."""
    ours = {name: found[name] for name in (ATTEMPT, EMAIL)}
    fits = len(found) <= _MOST_FIELDS and all(
        1 <= len(name) <= _LONGEST_NAME and len(value) <= _LONGEST_VALUE for name, value in found.items()
    )
    return dict(found) if fits else ours


class WebhookSecret(BasicAuthSecret):
    """Postmark signs nothing: it gives a user and a password, which stand in the address that it calls."""

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.username is None:
            raise ValueError("a username and a password")
        return self


_Meaning = tuple[EventType, RejectReason | None, BounceClass | None]
_HARD, _SOFT = BounceClass.HARD, BounceClass.SOFT
_RECORDS: Mapping[str, _Meaning] = {
    "Delivery": (EventType.DELIVERED, None, None),
    "Open": (EventType.OPENED, None, None),
    "Click": (EventType.CLICKED, None, None),
}
# `Type` of a bounce or a complaint, and `SuppressionReason` of a changed subscription.
_CAUSES: Mapping[str, _Meaning] = {
    "HardBounce": (EventType.BOUNCED, RejectReason.BOUNCED, _HARD),
    "SoftBounce": (EventType.BOUNCED, RejectReason.BOUNCED, _SOFT),
    "VirusNotification": (EventType.BOUNCED, RejectReason.OTHER, _SOFT),
    "Transient": (EventType.DEFERRED, None, None),
    "DnsError": (EventType.DEFERRED, None, None),
    "OpenRelayTest": (EventType.DEFERRED, None, None),
    "Unsubscribe": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED, None),
    "ManualSuppression": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED, None),
    "Subscribe": (EventType.SUBSCRIBED, None, None),
    "AutoResponder": (EventType.AUTORESPONDED, None, None),
    "AddressChange": (EventType.AUTORESPONDED, None, None),
    "ChallengeVerification": (EventType.AUTORESPONDED, None, None),
    "SpamNotification": (EventType.COMPLAINED, RejectReason.SPAM, None),
    "SpamComplaint": (EventType.COMPLAINED, RejectReason.SPAM, None),
    "BadEmailAddress": (EventType.REJECTED, RejectReason.INVALID, None),
    "ManuallyDeactivated": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "Unconfirmed": (EventType.REJECTED, None, None),
    "Blocked": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "DMARCPolicy": (EventType.REJECTED, RejectReason.BLOCKED, None),
    "SMTPApiError": (EventType.FAILED, None, None),
    "TemplateRenderingFailed": (EventType.FAILED, None, None),
    "Unknown": (EventType.UNKNOWN, None, None),
}
_UNKNOWN: _Meaning = (EventType.UNKNOWN, None, None)


class Webhook(JSONWebhook[WebhookSecret]):
    """One event per call. Without a signature there is no time in it to judge: a repeat is known by its key."""

    def prove(self, request: WebhookRequest, secret: WebhookSecret, now: datetime) -> Verified:  # noqa: ARG002
        secret.check_basic(request)
        return Verified()

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        kind, reason, bounce = _meaning(item)
        times = (item.get(name) for name in ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt"))
        metadata = texts(item.get("Metadata"))
        tag = item.get("Tag")
        yield DeliveryEvent(
            type=kind,
            event_id=word(item.get("ID")),
            occurred_at=next((at for at in map(instant, times) if at is not None), None),
            recipient=word(item.get("Email")) or word(item.get("Recipient")),
            attempt_id=attempt_of(metadata),
            provider_message_id=word(item.get("MessageID")),
            reject_reason=reason,
            bounce=bounce,
            status_code=enhanced_code(item.get("Details"), item.get("Description")),
            description=word(item.get("Description")),
            mta_response=word(item.get("Details")),
            click_url=word(item.get("OriginalLink")),
            user_agent=word(item.get("UserAgent")),
            tags=(tag,) if isinstance(tag, str) and tag else (),
            metadata={k: v for k, v in metadata.items() if k not in (ATTEMPT, EMAIL)},
        )


def _meaning(item: Mapping[str, Any]) -> _Meaning:
    match item.get("RecordType"):
        case "Bounce":
            return _CAUSES.get(str(item.get("Type")), (EventType.BOUNCED, None, _SOFT))
        case "SpamComplaint":
            return _CAUSES["SpamComplaint"]
        case "SubscriptionChange" if item.get("SuppressSending"):
            return _CAUSES.get(str(item.get("SuppressionReason")), (EventType.UNSUBSCRIBED, None, None))
        case "SubscriptionChange":
            return _CAUSES["Subscribe"]
        case record:
            return _RECORDS.get(str(record), _UNKNOWN)


def webhook(_name: str, _config: Config, secrets: Sequence[WebhookSecret], _world: World) -> Webhook:
    return Webhook(secrets)


def build(name: str, config: Config, credentials: Credentials, world: World) -> PostmarkProvider:
    return PostmarkProvider(name, config, credentials, world)
