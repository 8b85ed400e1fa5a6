"""MailerSend: POST /v1/email.

Sources: developers.mailersend.com: "Email" (the form; 50 to, 10 cc, 10 bcc; 5 tags; a recipient's name may not
contain ; or ,; `headers` only on some plans; the type of a file goes by its extension; warnings of suppressed
recipients), "General" (the statuses, x-apiquota-reset), "Webhooks" (both payload versions, and the signature).
MailerSend documents 408 as an error of its own system: so it proves nothing, whatever RFC 9110 says. The codes #MS…
stand in the messages of its answers.

It has no metadata: our ids travel as two of an email's five tags, which every event repeats.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm, TextForm
from domain.errors import (
    OutcomeUnknown,
    ProviderError,
    RateLimited,
    RecipientSuppressed,
    SenderNotVerified,
    Unsupported,
)
from domain.message import Attachment, Disposition, RecipientKind, Submission
from providers.base import UNREADABLE
from providers.exchange import Request, Response
from providers.fields import ATTEMPT, EMAIL, OURS, SecretToken
from providers.filetypes import demand_agreement
from providers.mailersend_account import MailerSendAccount
from providers.mailersend_warnings import reasons_of, suppressed
from providers.mailersend_webhook import WebhookSecret, webhook
from providers.mime import encoded_value
from providers.origins import BaseURL
from providers.partial import taken_but_for
from providers.payloads import (
    bodies,
    compact,
    content_of,
    demand,
    headers_once,
    person,
    tracking_wishes,
)
from providers.webhooks import instant
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_MOST = {RecipientKind.TO: 50, RecipientKind.CC: 10, RecipientKind.BCC: 10}
_MOST_TAGS = 5
_OWN_FIELDS = frozenset({"in-reply-to", "references", "precedence"})
_HOUR = 3600.0


class Config(BaseModel):
    """`custom_headers`: the account's plan has them; the others refuse an email with headers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.mailersend.com"
    custom_headers: bool = False


class Credentials(BaseModel):
    """The token of a sending domain is a long one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_token: SecretToken


def capabilities(config: Config) -> Capabilities:
    return Capabilities(
        max_recipients=sum(_MOST.values()),
        max_bytes=25_000_000,
        max_reply_to=1,
        max_tags=_MOST_TAGS - len(OURS),
        tag=TextForm(rf"(?!{ATTEMPT}:|{EMAIL}:).+", "other than our ids"),
        metadata=MetadataForm(most=0),
        only_headers=None if config.custom_headers else _OWN_FIELDS,
    )


class MailerSendProvider(MailerSendAccount):
    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        token = credentials.api_token.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(token,))
        self._fields = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._custom_headers = config.custom_headers

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        body = compact(self._payload(submission, attempt_id)).encode("utf-8")
        return self.post("/v1/email", body)

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        demand(self.name, submission)
        message, envelope = submission.message, submission.envelope
        payload: dict[str, Any] = {"from": person(envelope.sender)}
        for kind, most in _MOST.items():
            people = envelope.of(kind)
            if len(people) > most:
                raise Unsupported(self.name, f"cannot carry more than {most} {kind} recipients")
            if any(c in a.name for a in people for c in ";,"):
                raise Unsupported(self.name, "cannot carry a recipient's name with ; or ,")
            if people:
                payload[kind.value] = [person(a) for a in people]
        if envelope.reply_to:
            payload["reply_to"] = person(envelope.reply_to[0])
        payload["subject"] = message.subject
        payload |= bodies(message)
        payload |= self._headers(submission)
        if message.attachments:
            payload["attachments"] = [self._attachment(a) for a in message.attachments]
        ours = [f"{ATTEMPT}:{attempt_id}", f"{EMAIL}:{submission.id}"]
        theirs = list(dict.fromkeys(submission.tags))
        payload["tags"] = [*theirs, *ours]
        if settings := tracking_wishes(submission, "track_opens", "track_clicks"):
            payload["settings"] = settings
        return payload

    def _headers(self, submission: Submission) -> dict[str, Any]:
        """Three headers have fields of their own, which all plans have."""
        found: dict[str, Any] = {}
        others: list[dict[str, str]] = []
        for name, value in headers_once(self.name, submission).items():
            match name.lower():
                case "in-reply-to":
                    found["in_reply_to"] = value
                case "references":
                    found["references"] = value.split()
                case "precedence" if value.lower() == "bulk":
                    found["precedence_bulk"] = True
                case _ if not self._custom_headers:
                    raise Unsupported(self.name, "cannot carry a precedence other than bulk")
                case _:
                    others.append({"name": name, "value": encoded_value(value)})
        return {**found, "headers": others} if others else found

    def _attachment(self, attachment: Attachment) -> dict[str, str]:
        demand_agreement(self.name, attachment)
        inline = attachment.disposition is Disposition.INLINE
        file = {
            "filename": attachment.filename,
            "content": content_of(self.name, attachment, content_ids_inline_only=False),
            "disposition": "inline" if inline else "attachment",
        }
        return {**file, "id": attachment.content_id} if attachment.content_id else file

    def parse(self, response: Response) -> SendResult:
        """202 and an empty body; the id is a header. A body holds warnings: recipients that MailerSend suppresses."""
        if response.status != 202:
            raise ValueError("a success that MailerSend does not document")
        message_id = response.headers.get("x-message-id", "").strip()[:255] or None
        if not response.body.strip():
            return SendResult(message_id)
        warnings = self.json(response)["warnings"]
        kinds = {str(w["type"]) for w in warnings}
        if "ALL_SUPPRESSED" in kinds:
            raise RecipientSuppressed(self.name, f"every recipient is suppressed: {reasons_of(warnings)}")
        if "SOME_SUPPRESSED" in kinds:  # so the others are not: it was taken, whatever else it warns of
            more = "".join(f"; {kind}" for kind in sorted(kinds - {"SOME_SUPPRESSED"}))
            said = f"some recipients are suppressed: {reasons_of(warnings)}{more}"
            named, others = suppressed(w for w in warnings if w["type"] == "SOME_SUPPRESSED")
            return taken_but_for(message_id, named, said, listed=True, others=others)
        if kinds:
            raise OutcomeUnknown(
                self.name, f"taken with warnings ({', '.join(sorted(kinds))}): {reasons_of(warnings)}"
            )
        return SendResult(message_id)

    def explain(self, response: Response) -> str | None:
        error = self.json(response)
        fields = error.get("errors") or {}
        found = [f"{field}: {texts_[0]}" for field, texts_ in list(fields.items())[:5]]
        return "; ".join(found) or str(error["message"])

    def classify(self, response: Response, said: str) -> ProviderError | None:
        detail = f"{response.status}: {said}"
        match response.status:
            case 408:
                return OutcomeUnknown(self.name, detail)
            case 429 if "#MS42901" in said:
                return RateLimited(self.name, detail, self.retry_after(response) or _HOUR)
            case 403 | 422 if "#MS42207" in said or re.search(r"domain must be verified", said):
                return SenderNotVerified(self.name, detail)
            case 403 | 422 if "#MS42225" in said:  # whom a trial account may reach
                return Unsupported(self.name, detail)
            case 422 if self._about(response) <= {"attachments", "headers", "tags"}:
                return Unsupported(self.name, detail)
        return None

    def reset_after(self, response: Response) -> float | None:
        """x-apiquota-reset is the next midnight, for the day's quota only: a rate of so many a minute has none."""
        spent = response.headers.get("x-apiquota-remaining", "").strip() == "0"
        moment = instant(response.headers.get("x-apiquota-reset")) if spent else None
        return self.seconds_until(response, moment) if moment is not None else None

    def _about(self, response: Response) -> set[str]:
        """The fields that a 422 blames; one that is in no email where it names none."""
        try:
            return {field.partition(".")[0] for field in self.json(response)["errors"]} or {""}
        except UNREADABLE:
            return {""}


def build(name: str, config: Config, credentials: Credentials, world: World) -> MailerSendProvider:
    return MailerSendProvider(name, config, credentials, world)
