"""Mailjet, Send API v3.1: POST /v3.1/send.

Sources: Mailjet's guides "Send API v3.1" (form, the headers that may not be set, error codes, at most 50 recipients
and 50 files) and "Event tracking" (the webhook; credentials in its address); dev.mailjet.com: "Status codes". A 200
carries a Status for each message, and so does a refusal: one that has both a success and an error was taken for
some recipients. The 429 has no form of Mailjet's. Found by django-anymail: a text file is sent as UTF-8 whatever its
type says.

Our ids travel as EventPayload, which every event repeats, and the attempt's as CustomID too, by which GET
/v3/REST/message finds it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.capabilities import Capabilities, MetadataForm, Search
from domain.errors import (
    Unsupported,
)
from domain.message import Address, Disposition, Submission
from providers.calls import BatchProvider, Part, each
from providers.exchange import Request, Response
from providers.fields import OURS, SecretKey, short
from providers.filetypes import demand_unicode, without_charset
from providers.mailjet_account import MailjetAccount
from providers.mailjet_answers import MailjetAnswers
from providers.mailjet_search import MailjetSearch
from providers.mailjet_webhook import WebhookSecret, webhook
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
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_MOST = 50  # recipients, files, headers
_PAYLOAD_BYTES = 2_000
_LONGEST_TAG = 255
_FORBIDDEN_HEADERS = frozenset(
    {
        "delivered-to", "domainkey-status", "received-spf", "user-agent", "x-mailer", "x-feedback-id", "list-id",
        "x-csa-complaints", "x-mailjet-prio", "x-mailjet-debug", "x-mailjet-trackopen", "x-mailjet-trackclick",
        "x-mailjet-segmentation", "x-mailjet-campaign", "x-mj-customid", "x-mj-eventpayload", "x-mj-vars",
        "x-mj-templateerrordeliver", "x-mj-templateerrorreporting", "x-mj-templatelanguage", "x-mj-templateid",
        "x-mj-workflowid", "x-mj-mid", "x-mj-errormessage", "x-mj-statisticscontactslistid",
    }
)  # fmt: skip


class Config(BaseModel):
    """`base_url` for accounts in the US: https://api.us.mailjet.com. `sandbox_mode`: validate, deliver nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.mailjet.com"
    sandbox_mode: bool = False


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretKey
    secret_key: SecretKey


def capabilities(_config: Config) -> Capabilities:
    return Capabilities(
        max_recipients=_MOST,
        max_bytes=15_000_000,
        max_reply_to=1,
        max_tags=1,
        tag=short(_LONGEST_TAG),
        metadata=MetadataForm(most_bytes=room_beside_ours(_PAYLOAD_BYTES), reserved=OURS),
        reserved_headers=_FORBIDDEN_HEADERS,
        batch=50,
        batch_bytes=15_000_000,
        search=Search.ATTEMPT,
    )


class MailjetProvider(MailjetAnswers, MailjetAccount, MailjetSearch, BatchProvider):
    # 500 comes with an identifier for Mailjet's own log and says nothing of the email: it stays OutcomeUnknown.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key, secret = credentials.api_key.get_secret_value(), credentials.secret_key.get_secret_value()
        basic = b64encode(f"{key}:{secret}".encode()).decode("ascii")
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(key, secret, basic))
        self._config = config
        self._fields = {"Authorization": f"Basic {basic}", "Accept": "application/json"}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        return self.join([self.part(submission, attempt_id).own], b"", "")

    def part(self, submission: Submission, attempt_id: UUID) -> Part:
        return Part(compact(self._message(submission, attempt_id)).encode("utf-8"))

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        end = b'],"SandboxMode":true}' if self._config.sandbox_mode else b"]}"
        return self.post("/v3.1/send", b'{"Messages":[' + b",".join(parts) + end)

    def answers(self, response: Response, count: int) -> Sequence[Response]:  # noqa: ARG002
        """The result of each message, as it would stand alone; each has a status of its own in its errors."""
        messages = self.json(response)["Messages"]
        return each(response, [{"Messages": [message]} for message in messages], status=200)

    def _message(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        demand(self.name, submission)
        message, envelope = submission.message, submission.envelope
        if max(len(message.attachments), len(message.headers)) > _MOST:
            raise Unsupported(self.name, f"cannot carry more than {_MOST} files or headers")
        found: dict[str, Any] = {
            "From": _person(envelope.sender),
            **{kind.title(): people for kind, people in recipients(envelope, _person).items()},
            "Subject": message.subject,
            "CustomID": str(attempt_id),
            "EventPayload": compact(with_metadata(submission, attempt_id)),
        }
        found |= bodies(message, "TextPart", "HTMLPart")
        if envelope.reply_to:
            found["ReplyTo"] = _person(envelope.reply_to[0])
        if message.headers:
            found["Headers"] = headers_once(self.name, submission, encoded_value)
        for attachment in message.attachments:
            demand_unicode(self.name, attachment)
            inline = attachment.disposition is Disposition.INLINE
            file = {
                "ContentType": without_charset(attachment.content_type),
                "Filename": attachment.filename,
                "Base64Content": content_of(self.name, attachment),
            }
            if inline:
                file["ContentID"] = attachment.content_id or ""
            found.setdefault("InlinedAttachments" if inline else "Attachments", []).append(file)
        if submission.tags:
            found["CustomCampaign"] = submission.tags[0]
        for name, wish in tracking_wishes(submission, "TrackOpens", "TrackClicks").items():
            found[name] = "enabled" if wish else "disabled"
        return found


def _person(address: Address) -> dict[str, str]:
    return person(address, "Email", "Name")


def build(name: str, config: Config, credentials: Credentials, world: World) -> MailjetProvider:
    return MailjetProvider(name, config, credentials, world)
