"""Amazon SES, API v2: SendEmail, with raw MIME or, where the account is set so, in parts.

Sources: botocore's own model of sesv2 for the form, its limits and the errors of SendEmail; docs.aws.amazon.com/ses,
"Amazon SES email sending errors", "Errors related to the sending quotas" (a Throttling error; wait up to ten minutes)
and "Service quotas" (50 recipients; 40 MB a message). SES has no SMTPUTF8 and breaks 8-bit parts when it tracks: what
we compose is 7-bit. Message-ID and Date are replaced by its own.

No idempotency: our ids travel as message tags, which every event repeats, and as headers of the email.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm
from domain.errors import (
    Misconfigured,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.message import Attachment, Disposition, RecipientKind, Submission
from providers import mime
from providers.base import id_in
from providers.exchange import Request, Response
from providers.fields import OURS, WORD, SecretKey, SecretToken, TagName, labels, word_beside
from providers.mailboxes import in_ascii
from providers.origins import BaseURL
from providers.ses_account import SESAccount
from providers.ses_errors import MEANINGS
from providers.ses_signing import Signer
from providers.ses_webhook import WebhookSecret, webhook
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_MOST_TAGS, _MOST_OF_TAGS = 50, 20  # message tags in all; as many of them for the email's tags
_FIELDS = {
    RecipientKind.TO: "ToAddresses",
    RecipientKind.CC: "CcAddresses",
    RecipientKind.BCC: "BccAddresses",
}
_QUOTA_WAIT = 600.0  # seconds
_TOO_LARGE = re.compile(r"length is more than|size .*exceed|too large", re.IGNORECASE)


class Config(BaseModel):
    """`configuration_set`: whose event destinations and settings hold. `content`: how an email is handed over.

    `tag_name`: the message tag that bears the email's first tag; the others have it with _2, _3 … `base_url` replaces
    the region's endpoint.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: Annotated[str, Field(pattern=r"^[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}$")] = "us-east-1"
    configuration_set: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None
    content: Literal["raw", "simple"] = "raw"
    tag_name: TagName = "tag"
    base_url: BaseURL | None = None


class Credentials(BaseModel):
    """Of an IAM user or role that may ses:SendEmail; `session_token` only with temporary ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    access_key_id: SecretKey
    secret_access_key: SecretKey
    session_token: SecretToken | None = None


def capabilities(config: Config) -> Capabilities:
    return Capabilities(
        max_recipients=50,
        max_bytes=40_000_000,
        max_tags=_MOST_OF_TAGS,
        tag=WORD,
        metadata=MetadataForm(
            _MOST_TAGS - _MOST_OF_TAGS - len(OURS), word_beside(config.tag_name), WORD, reserved=OURS
        ),
    )


class SESProvider(SESAccount):
    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key, secret = (
            credentials.access_key_id.get_secret_value(),
            credentials.secret_access_key.get_secret_value(),
        )
        token = credentials.session_token.get_secret_value() if credentials.session_token else None
        self._signer = Signer(config.region, config.base_url, key, secret, token)
        super().__init__(name, self._signer.endpoint, capabilities(config), world, (key, secret, token or ""))
        self._config = config

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        config = self._config
        asked: dict[str, Any] = {
            "Destination": self._destination(submission),
            "EmailTags": [
                {"Name": n, "Value": v} for n, v in labels(submission, attempt_id, config.tag_name).items()
            ],
        }
        if config.configuration_set:
            asked["ConfigurationSetName"] = config.configuration_set
        if tracking := _tracking(submission):
            asked["ConfigurationOverrides"] = {"Tracking": tracking}
        if config.content == "raw":
            data = mime.compose(submission, attempt_id, self._world.wall_time())
            asked["Content"] = {"Raw": {"Data": data}}
        else:
            asked |= self._parts(submission)
        return self._signer.request("send_email", **asked)

    def _destination(self, submission: Submission) -> dict[str, list[str]]:
        """With raw MIME the envelope only; its headers name the people."""
        write = in_ascii if self._config.content == "simple" else (lambda address: address.email)
        found = {field: [write(a) for a in submission.envelope.of(kind)] for kind, field in _FIELDS.items()}
        return {field: people for field, people in found.items() if people}

    def _parts(self, submission: Submission) -> dict[str, Any]:
        message, envelope = submission.message, submission.envelope
        body = {
            kind: {"Data": text, "Charset": "UTF-8"}
            for kind, text in (("Text", message.text), ("Html", message.html))
            if text is not None
        }
        simple: dict[str, Any] = {"Subject": {"Data": message.subject, "Charset": "UTF-8"}, "Body": body}
        if message.headers:
            simple["Headers"] = [
                {"Name": name, "Value": mime.encoded_value(value)} for name, value in message.headers
            ]
        if message.attachments:
            simple["Attachments"] = [_file(a) for a in message.attachments]
        if problem := _beyond(simple):
            raise Unsupported(self.name, f"cannot carry {problem} with its content in parts")
        asked: dict[str, Any] = {"FromEmailAddress": in_ascii(envelope.sender), "Content": {"Simple": simple}}
        if envelope.reply_to:
            asked["ReplyToAddresses"] = [in_ascii(a) for a in envelope.reply_to]
        return asked

    def parse(self, response: Response) -> SendResult:
        return SendResult(id_in(self.json(response)["MessageId"]))

    def explain(self, response: Response) -> str | None:
        body = self.json(response)
        said = body.get("message") or body.get("Message") or ""
        code = self._code(response)
        return f"{code}: {said}" if code and said else code or (str(said) or None)

    def classify(self, response: Response, said: str) -> ProviderError | None:
        meaning, detail = MEANINGS.get(self._code(response)), f"{response.status}: {said}"
        words = said.lower()
        if meaning is None or (response.status >= 500 and meaning is not ProviderUnavailable):
            return None
        if meaning is RateLimited:
            quota = "quota" in words or self._code(response) == "LimitExceededException"
            return RateLimited(
                self.name, detail, self.retry_after(response) or (_QUOTA_WAIT if quota else None)
            )
        if meaning is Rejected and "not verified" in words:
            return SenderNotVerified(self.name, detail)
        if meaning is Rejected and "configuration set" in words and "exist" in words:
            return Misconfigured(self.name, detail)
        if meaning is Rejected and ("paused" in words or "suspended" in words or "disabled" in words):
            return Misconfigured(self.name, detail)
        if meaning is Rejected and _TOO_LARGE.search(said):
            return Unsupported(self.name, detail)
        return meaning(self.name, detail)


def _tracking(submission: Submission) -> dict[str, str]:
    wishes = {
        "OpenTrackingEnabled": submission.tracking.opens,
        "ClickTrackingEnabled": submission.tracking.clicks,
    }
    return {name: "ENABLED" if wish else "DISABLED" for name, wish in wishes.items() if wish is not None}


def _beyond(simple: Mapping[str, Any]) -> str | None:
    """What the model of Content.Simple does not allow; of what is too long boto3 says nothing."""
    headers, files = simple.get("Headers", ()), simple.get("Attachments", ())
    if len(headers) > 15:
        return "more than 15 headers"
    if not all(h["Value"] for h in headers):
        return "an empty header"
    if any(len(h["Value"]) > 995 for h in headers):
        return "a header of more than 995 characters"
    if any(not 1 <= len(f["FileName"]) <= 255 for f in files):
        return "a file name of more than 255 characters, or none"
    if any(len(f["ContentType"]) > 78 or len(f.get("ContentId", "")) > 78 for f in files):
        return "a content type or content id of more than 78 characters"
    return None


def _file(attachment: Attachment) -> dict[str, Any]:
    inline = attachment.disposition is Disposition.INLINE
    file: dict[str, Any] = {
        "RawContent": attachment.content,
        "FileName": attachment.filename,
        "ContentType": attachment.content_type,
        "ContentDisposition": "INLINE" if inline else "ATTACHMENT",
        "ContentTransferEncoding": "BASE64",
    }
    if attachment.content_id:
        file["ContentId"] = attachment.content_id
    return file


def build(name: str, config: Config, credentials: Credentials, world: World) -> SESProvider:
    return SESProvider(name, config, credentials, world)
