"""Brevo (once Sendinblue), API v3: POST /v3/smtp/email.

Sources: Brevo's API document (swagger_definition.yml, 2024-05) for the form, the extensions that attachments may
have, names of at most 70 characters and the error codes; developers.brevo.com/docs: "Idempotent requests" (the key
is a UUID in the email's own `headers`, holds 30 minutes, and a repeat is answered with duplicate_parameter), "API
rate limits" (x-sib-ratelimit-reset, seconds), "Transactional webhooks". Found by django-anymail and not in any
document: Brevo drops a name that has both letters beyond ASCII and commas and the like, unless it comes encoded; it
sends header values, and the name of a reply-to, beyond ASCII raw, whether they came encoded or not.

The idempotency key is the attempt's id, so a repeat means that the attempt was taken before; its id is then not
told.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm
from domain.errors import Misconfigured, ProviderError, Rejected, SenderNotVerified, Unsupported
from domain.message import Address, Attachment, Submission
from providers.base import UNREADABLE, id_in, number_in
from providers.brevo_account import BrevoAccount
from providers.brevo_webhook import WebhookSecret, webhook
from providers.calls import RepeatableProvider
from providers.exchange import Request, Response
from providers.fields import ASCII_TEXT, OURS, SecretKey
from providers.filetypes import demand_agreement, extension_of
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
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_LONGEST_NAME = 70  # characters
_LONGEST_CUSTOM = 900  # bytes of X-Mailin-custom, which is one line of the email
_SPECIAL = re.compile(r'[()<>\[\]:;@\\,."]')
_EXTENSIONS = frozenset(
    {
        "xlsx", "xls", "ods", "docx", "docm", "doc", "csv", "pdf", "txt", "gif", "jpg", "jpeg", "png", "tif", "tiff",
        "rtf", "bmp", "cgm", "css", "shtml", "html", "htm", "zip", "xml", "ppt", "pptx", "tar", "ez", "ics", "mobi",
        "msg", "pub", "eps", "odt", "mp3", "m4a", "m4v", "wma", "ogg", "flac", "wav", "aif", "aifc", "aiff", "mp4",
        "mov", "avi", "mkv", "mpeg", "mpg", "wmv", "pkpass", "xlsm",
    }
)  # fmt: skip
_OF_THE_ACCOUNT = frozenset(
    {
        "unauthorized", "permission_denied", "reseller_permission_denied", "account_under_validation",
        "not_enough_credits", "method_not_allowed",
    }
)  # fmt: skip
_SENDER = re.compile(
    r"sender.*\b(?:not|un)[ -]?(?:valid|verified|authori[sz]ed|authenticated)|validate your sender"
)


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.brevo.com"


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretKey


def capabilities(_config: Config) -> Capabilities:
    """Tracking is a setting of the account there, not of an email."""
    return Capabilities(
        max_recipients=99,
        max_bytes=20_000_000,
        max_reply_to=1,
        metadata=MetadataForm(
            name=ASCII_TEXT, value=ASCII_TEXT, most_bytes=room_beside_ours(_LONGEST_CUSTOM), reserved=OURS
        ),
        inline_images=False,
        tracking_opens=False,
        tracking_clicks=False,
        reserved_headers=frozenset({"x-mailin-custom", "x-mailin-tag", "idempotencykey"}),
        repeatable_seconds=1800,
    )


class BrevoProvider(BrevoAccount, RepeatableProvider):
    # 5xx are not documented for this call: they stay OutcomeUnknown.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key = credentials.api_key.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(key,))
        self._fields = {"api-key": key, "Accept": "application/json"}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        body = compact(self._payload(submission, attempt_id)).encode("utf-8")
        return self.post("/v3/smtp/email", body)

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        demand(self.name, submission)
        message, envelope = submission.message, submission.envelope
        custom = with_metadata(submission, attempt_id)
        payload: dict[str, Any] = {
            "sender": self._person(envelope.sender),
            **recipients(envelope, self._person),
            "subject": message.subject,
            "headers": {
                **headers_once(self.name, submission, self._in_ascii),
                "X-Mailin-custom": compact(custom),
                "idempotencyKey": str(attempt_id),
            },
        }
        payload |= bodies(message, "textContent", "htmlContent")
        if envelope.reply_to:
            if not envelope.reply_to[0].name.isascii():
                raise Unsupported(self.name, "cannot carry a reply-to name beyond ASCII")
            payload["replyTo"] = self._person(envelope.reply_to[0])
        if message.attachments:
            payload["attachment"] = [self._attachment(a) for a in message.attachments]
        if submission.tags:
            payload["tags"] = list(dict.fromkeys(submission.tags))
        return payload

    def _person(self, address: Address) -> dict[str, str]:
        name = address.name
        if not name.isascii() and _SPECIAL.search(name):
            name = encoded_value(name)
        if len(name) > _LONGEST_NAME:
            raise Unsupported(self.name, f"cannot carry a name of more than {_LONGEST_NAME} characters")
        return person(Address(address.email, name))

    def _in_ascii(self, value: str) -> str:
        if not value.isascii():
            raise Unsupported(self.name, "cannot carry a header value beyond ASCII")
        return value

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        if extension_of(attachment.filename) not in _EXTENSIONS:
            raise Unsupported(self.name, "cannot carry an attachment with this extension")
        demand_agreement(self.name, attachment)
        return {"name": attachment.filename, "content": content_of(self.name, attachment)}

    def took(self, response: Response) -> bool:
        return super().took(response) or self._code(response) == "duplicate_parameter"

    def parse(self, response: Response) -> SendResult:
        if not super().took(response):
            return SendResult(None)  # taken before, under an id that is not told again
        if response.status not in (201, 202):
            raise ValueError("a success that Brevo does not document")
        return SendResult(id_in(self.json(response)["messageId"]))

    def explain(self, response: Response) -> str | None:
        error = self.json(response)
        return f"{error['code']}: {error['message']}"

    def classify(self, response: Response, said: str) -> ProviderError | None:
        code, detail = self._code(response), f"{response.status}: {said}"
        if not 400 <= response.status < 500 or response.status == 429:
            return None
        if code in _OF_THE_ACCOUNT:
            return Misconfigured(self.name, detail)
        if _SENDER.search(said.lower()):
            return SenderNotVerified(self.name, detail)
        if code == "invalid_parameter" and "attachment" in said.lower():
            return Unsupported(self.name, detail)
        if response.status == 406 and code == "not_acceptable":
            return Rejected(self.name, detail)
        return None

    def reset_after(self, response: Response) -> float | None:
        return number_in(response.headers.get("x-sib-ratelimit-reset"))

    def _code(self, response: Response) -> str:
        try:
            return str(self.json(response)["code"])
        except UNREADABLE:
            return ""


def build(name: str, config: Config, credentials: Credentials, world: World) -> BrevoProvider:
    return BrevoProvider(name, config, credentials, world)
