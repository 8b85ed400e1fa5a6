"""Postmark: POST /email and /email/batch.

Sources: postmarkapp.com/developer/api/email-api for the form and its limits (50 recipients, 10 MB, bodies of 5 MB; of a
batch 500 emails and 50 MB, each with its own ErrorCode in an answer of 200), …/api/overview
for the error codes and for 429 and 503, …/user-guide/sending-email/sending-with-api for metadata (10 fields, names of
20 and values of 80 characters). An answer counts by its ErrorCode: 200 with another one than 0 was not taken. Where
only some of several recipients are inactive there, the email goes to the others, and the answer is a success.

No idempotency: our ids travel as metadata, which every event repeats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm, Search
from domain.errors import (
    Misconfigured,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RecipientSuppressed,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.message import Attachment, Lane, Submission
from providers.base import UNREADABLE, id_in
from providers.calls import BatchProvider, Part, each
from providers.exchange import Request, Response
from providers.fields import OURS, SecretKey, short
from providers.mailboxes import written
from providers.origins import BaseURL
from providers.partial import LISTED, taken_but_for
from providers.payloads import bodies, compact, content_of, recipients, with_metadata
from providers.postmark_account import PostmarkAccount
from providers.postmark_search import PostmarkSearch
from providers.postmark_webhook import WebhookSecret, webhook
from providers.webhooks import word
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_MOST_FIELDS, _LONGEST_NAME, _LONGEST_VALUE = 10, 20, 80
_LONGEST_TAG = 1000
_LONGEST_BODY = 5_000_000  # bytes
# "Message OK, but will not deliver to these inactive addresses: a@b.example, c@d.example. Inactive recipients are …"
_INACTIVE = re.compile(r"inactive addresses\b:?(.*?)(?:\bInactive recipients\b|\Z)", re.DOTALL)
_BETWEEN = re.compile(r"[\s,;:]+")  # addresses; an answer may be long, and is looked at once
Stream = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")]
TypeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")]


class Config(BaseModel):
    """`message_stream` for transactional email; `broadcast_stream` for bulk, which all marketing is, else that goes the
    same way. `streams`: by the name of an email type, the stream that its emails go by instead.

    `server_tracks_opens`: the server's own setting is on, and no email can switch that off. Say that it is off, and
    emails that may not be tracked go by this account too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.postmarkapp.com"
    message_stream: Stream = "outbound"
    broadcast_stream: Stream | None = None
    streams: Annotated[dict[TypeName, Stream], Field(max_length=50)] = {}
    server_tracks_opens: bool = True


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    server_token: SecretKey


def capabilities(config: Config) -> Capabilities:
    return Capabilities(
        max_recipients=50,
        max_bytes=10_000_000,
        max_tags=1,
        tag=short(_LONGEST_TAG, 1),
        metadata=MetadataForm(
            _MOST_FIELDS - len(OURS), short(_LONGEST_NAME, 1), short(_LONGEST_VALUE), reserved=OURS
        ),
        tracking_opens_off=not config.server_tracks_opens,
        batch=500,
        batch_bytes=50_000_000,
        search=Search.EMAIL,
    )


_MAINTENANCE = 100
# What an ErrorCode means. Every other one says that the request was wrong: Rejected.
_CODES: Mapping[int, type[ProviderError]] = {
    10: Misconfigured,  # bad or missing server token
    _MAINTENANCE: ProviderUnavailable,
    400: SenderNotVerified,  # sender signature not found
    401: SenderNotVerified,  # sender signature not confirmed
    405: Misconfigured,  # not allowed to send: out of credits
    406: RecipientSuppressed,  # inactive recipient: on the stream's suppression list
    411: Unsupported,  # a type of attachment that this provider does not carry
    412: Misconfigured,  # account pending approval
    413: Misconfigured,  # account may not send
    429: RateLimited,
    1226: Misconfigured,  # the message stream is archived
    1235: Misconfigured,  # no such message stream
}


class PostmarkProvider(PostmarkAccount, PostmarkSearch, BatchProvider):
    # 500 is documented as "an issue with Postmark's servers" and says nothing of the email: it stays OutcomeUnknown.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        token = credentials.server_token.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(token,))
        self._config = config
        named = (config.message_stream, config.broadcast_stream, *config.streams.values())
        self._streams = tuple(dict.fromkeys(stream for stream in named if stream is not None))
        self._fields = {"Accept": "application/json", "X-Postmark-Server-Token": token}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        return self.post("/email", self.part(submission, attempt_id).own)

    def part(self, submission: Submission, attempt_id: UUID) -> Part:
        return Part(compact(self._payload(submission, attempt_id)).encode("utf-8"))

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        return self.post("/email/batch", b"[" + b",".join(parts) + b"]")

    def answers(self, response: Response, count: int) -> Sequence[Response]:  # noqa: ARG002
        return each(response, self.json(response))

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        message, envelope = submission.message, submission.envelope
        told = bodies(message, "TextBody", "HtmlBody")
        if not told:
            raise Unsupported(self.name, "cannot carry an empty body")
        if any(len(body.encode()) > _LONGEST_BODY for body in told.values()):
            raise Unsupported(self.name, "cannot carry a body of more than 5 MB")
        payload: dict[str, Any] = {"From": written(envelope.sender)}
        payload |= {kind.title(): ", ".join(people) for kind, people in recipients(envelope, written).items()}
        if envelope.reply_to:
            payload["ReplyTo"] = ", ".join(written(a) for a in envelope.reply_to)
        payload |= {"Subject": message.subject, **told}
        if message.headers:
            payload["Headers"] = [{"Name": name, "Value": value} for name, value in message.headers]
        if message.attachments:
            payload["Attachments"] = [self._attachment(a) for a in message.attachments]
        if submission.tracking.opens is not None:
            payload["TrackOpens"] = submission.tracking.opens
        if submission.tracking.clicks is not None:
            payload["TrackLinks"] = "HtmlAndText" if submission.tracking.clicks else "None"
        if submission.tags:
            payload["Tag"] = submission.tags[0]
        payload["Metadata"] = with_metadata(submission, attempt_id)
        payload["MessageStream"] = self._stream(submission)
        return payload

    def _stream(self, submission: Submission) -> str:
        config = self._config
        usual = config.broadcast_stream if submission.lane is Lane.BULK else None
        return config.streams.get(submission.email_type) or usual or config.message_stream

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        file = {
            "Name": attachment.filename,
            "Content": content_of(self.name, attachment, content_ids_inline_only=False),
            "ContentType": attachment.content_type,
        }
        return {**file, "ContentID": f"cid:{attachment.content_id}"} if attachment.content_id else file

    def parse(self, response: Response) -> SendResult:
        """The ErrorCode is left out where Postmark took the email and will be late."""
        answer = dict(self.json(response))
        code = _code(answer.get("ErrorCode", 0))
        if code:
            raise self._meaning(code, f"{response.status}: ErrorCode {code}", response)
        if code is None:
            raise ValueError("an ErrorCode that is none")
        message_id = id_in(answer["MessageID"])
        said = word(answer.get("Message")) or ""
        if (inactive := _INACTIVE.search(said)) is None:
            return SendResult(message_id)
        named = [
            (found, LISTED) for part in _BETWEEN.split(inactive[1]) if "@" in (found := part.strip("<>."))
        ]
        why = "inactive: on the stream's suppression list"
        return taken_but_for(message_id, named, why, listed=True, others=not named)

    def explain(self, response: Response) -> str | None:
        error = self.json(response)
        return f"ErrorCode {error['ErrorCode']}: {error['Message']}"

    def classify(self, response: Response, said: str) -> ProviderError | None:
        """422 for all that is wrong with a request, whosesoever fault it is: the ErrorCode says whose. Maintenance has
        one at whatever status.
        """
        try:
            code = _code(self.json(response)["ErrorCode"])
        except UNREADABLE:
            return None
        if code is None or (response.status != 422 and code != _MAINTENANCE):
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


def build(name: str, config: Config, credentials: Credentials, world: World) -> PostmarkProvider:
    return PostmarkProvider(name, config, credentials, world)
