"""SparkPost: POST /api/v1/transmissions.

Sources: SparkPost's API reference (transmissions: every recipient is told the whole To line as `header_to`, cc and
bcc are recipients like others, and the Cc line is a header; content: `inline_images` are named by their content id;
20 MB); its "Extended error codes" (SparkPost/support-docs, 2026-06) for the refusals; "cc/bcc with the REST API";
the event reference for the webhook. Rate limits come without a header ("wait 1 to 5 seconds").

All content is a template there: what two braces enclose is replaced, so an email with them goes elsewhere. An email
that the JSON form cannot hold (an inline file with a name of its own, a header twice) travels as MIME
(`email_rfc822`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm, Search, TextForm
from domain.errors import (
    Misconfigured,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.message import Disposition, Lane, RecipientKind, Submission
from providers import mime
from providers.base import UNREADABLE
from providers.exchange import Request, Response
from providers.fields import OURS, SecretKey
from providers.mailboxes import written
from providers.origins import BaseURL
from providers.partial import taken_for_some
from providers.payloads import (
    bodies,
    compact,
    content_of,
    demand,
    headers_once,
    room_beside_ours,
    tracking_wishes,
    with_metadata,
)
from providers.sparkpost_account import SparkPostAccount
from providers.sparkpost_search import SparkPostSearch
from providers.sparkpost_webhook import WebhookSecret, webhook
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_REGIONS = {"us": "https://api.sparkpost.com", "eu": "https://api.eu.sparkpost.com"}
_LARGEST = 20_000_000
_METADATA_BYTES = 9_000
_LONGEST_TAG = 64  # bytes
_HOUR, _DAY = 3600.0, 86_400.0


class Config(BaseModel):
    """`subaccount`: the id of the subaccount that emails go by. `base_url` replaces the region's.

    `initial_opens`: the webhook is sent initial_open events and no open events; the first open would count twice else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: Literal["us", "eu"] = "us"
    subaccount: int | None = Field(default=None, ge=1)
    base_url: BaseURL | None = None
    initial_opens: bool = False


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretKey


def capabilities(_config: Config) -> Capabilities:
    """The recipients are few because each of them bears the whole To line."""
    return Capabilities(
        max_recipients=500,
        max_bytes=_LARGEST,
        max_tags=1,
        tag=TextForm(
            rf"[\x00-\x7f]{{1,{_LONGEST_TAG}}}|.{{1,{_LONGEST_TAG // 4}}}",
            f"1 to {_LONGEST_TAG} characters of ASCII, or {_LONGEST_TAG // 4} of others: {_LONGEST_TAG} bytes",
        ),
        metadata=MetadataForm(most_bytes=room_beside_ours(_METADATA_BYTES), reserved=OURS),
        search=Search.EMAIL,
    )


class SparkPostProvider(SparkPostAccount, SparkPostSearch):
    # "5xx … a transient error that will work on retry" does not say that nothing was taken: only 503 is, by RFC 9110.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key = credentials.api_key.get_secret_value()
        base_url = config.base_url or _REGIONS[config.region]
        super().__init__(name, base_url, capabilities(config), world, secrets=(key,))
        self._fields = {"Authorization": key, "Accept": "application/json"}
        if config.subaccount is not None:
            self._fields["X-MSYS-SUBACCOUNT"] = str(config.subaccount)

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        body = compact(self._payload(submission, attempt_id)).encode("utf-8")
        if len(body) > _LARGEST:
            raise Unsupported(self.name, "cannot carry more than 20 MB")
        return self.post("/api/v1/transmissions", body)

    def _payload(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        demand(self.name, submission)
        if any("{{" in text for text in _templates(submission)):
            raise Unsupported(self.name, "cannot carry two opening braces, which begin a substitution")
        envelope = submission.envelope
        to_line = ", ".join(written(a) for a in envelope.of(RecipientKind.TO))
        people = [a for kind in RecipientKind for a in envelope.of(kind)]
        payload: dict[str, Any] = {
            "recipients": [{"address": {"email": a.email, "header_to": to_line}} for a in people],
            "content": self._content(submission)
            if _fits_the_form(submission)
            else self._mime(submission, attempt_id),
            "metadata": with_metadata(submission, attempt_id),
        }
        if submission.tags:
            payload["campaign_id"] = submission.tags[0]
        options = tracking_wishes(submission, "open_tracking", "click_tracking")
        if submission.lane is Lane.TRANSACTIONAL:
            options["transactional"] = True  # else SparkPost adds an unsubscribe header
        return {**payload, "options": options} if options else payload

    def _content(self, submission: Submission) -> dict[str, Any]:
        message, envelope = submission.message, submission.envelope
        content: dict[str, Any] = {"from": written(envelope.sender), "subject": message.subject}
        content |= bodies(message)
        if envelope.reply_to:
            content["reply_to"] = ", ".join(written(a) for a in envelope.reply_to)
        headers = headers_once(self.name, submission)
        if copies := envelope.of(RecipientKind.CC):
            headers["Cc"] = ", ".join(written(a) for a in copies)
        if headers:
            content["headers"] = headers
        for attachment in message.attachments:
            inline = attachment.disposition is Disposition.INLINE
            file = {
                "name": attachment.content_id if inline else attachment.filename,
                "type": attachment.content_type,
                "data": content_of(self.name, attachment),
            }
            content.setdefault("inline_images" if inline else "attachments", []).append(file)
        return content

    def _mime(self, submission: Submission, attempt_id: UUID) -> dict[str, Any]:
        data = mime.compose(submission, attempt_id, self._world.wall_time())
        return {"email_rfc822": data.decode("ascii")}

    def parse(self, response: Response) -> SendResult:
        results = self.json(response)["results"]
        taken, refused = int(results["total_accepted_recipients"]), int(results["total_rejected_recipients"])
        if taken < 1 <= refused:
            raise Rejected(self.name, "refused for every recipient")
        if taken < 1 or not isinstance(results["id"], str | int):
            raise ValueError("neither taken nor refused")
        message_id = str(results["id"])[:255]
        if refused:  # it does not say for whom
            return taken_for_some(message_id, f"taken for {taken} recipients, refused for {refused}")
        return SendResult(message_id or None)

    def explain(self, response: Response) -> str | None:
        return "; ".join(_words(e) for e in self.json(response)["errors"][:5]) or None

    def classify(self, response: Response, said: str) -> ProviderError | None:
        codes, detail, words_ = self._codes(response), f"{response.status}: {said}", said.lower()
        match response.status:
            case 420 if "2103" in codes:  # the domain for trying things out
                return SenderNotVerified(self.name, detail)
            case 420:
                waits = _DAY if "2102" in codes or "daily" in words_ else _HOUR
                return RateLimited(self.name, detail, self.retry_after(response) or waits)
            case 400 if "1502" in codes:
                return ProviderUnavailable(self.name, detail)
            case 400 | 403 | 422 if codes & {"7000", "7001", "7002"} or "sending domain" in words_:
                return SenderNotVerified(self.name, detail)
            case 400 if "1910" in codes:
                return Misconfigured(self.name, detail)
            case 422 if codes & {"2002", "2007", "3000", "3001", "10000", "10002"}:
                return Unsupported(self.name, detail)
        return None

    def _codes(self, response: Response) -> set[str]:
        try:
            return {str(e.get("code")) for e in self.json(response)["errors"]}
        except UNREADABLE:
            return set()


def _templates(submission: Submission) -> Iterator[str]:
    """What SparkPost replaces in."""
    message, envelope = submission.message, submission.envelope
    yield from (message.subject, message.text or "", message.html or "")
    yield from (value for _, value in message.headers)
    yield from (a.name for a in (envelope.sender, *envelope.reply_to))
    yield from (r.address.name for r in envelope.recipients)
    yield from (a.filename for a in message.attachments)


def _fits_the_form(submission: Submission) -> bool:
    message = submission.message
    names = [name.lower() for name, _ in message.headers]
    return len(set(names)) == len(names) and all(
        a.filename == a.content_id if a.disposition is Disposition.INLINE else not a.content_id
        for a in message.attachments
    )


def _words(error: Any) -> str:
    said = [str(error[part]) for part in ("message", "description") if error.get(part)]
    return ": ".join([*said, str(error["code"])]) if error.get("code") else ": ".join(said)


def build(name: str, config: Config, credentials: Credentials, world: World) -> SparkPostProvider:
    return SparkPostProvider(name, config, credentials, world)
