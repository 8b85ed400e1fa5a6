"""Mailgun: POST /v3/{domain}/messages, and …/messages.mime for what its form cannot say.

Sources: Mailgun's own OpenAPI document (mailgun/mailgun-mcp-server, src/openapi.yaml, 2026-07) for the forms, "Send
options (parameters starting with o:, h:, v:, or t:) are limited to 16KB total", the plain "Forbidden" of a 401, and the
words of a 429; the user manual, "Sending messages": 25 MB and 1,000 recipients a call. The 403s "… is not allowed to
send" are quoted in many projects' issues (leemunroe/grunt-email-workflow#81 is one), and tell of the domain.

No idempotency: our ids travel as variables, which every event repeats.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.attempt import SendResult
from domain.capabilities import Capabilities, MetadataForm, Search, TextForm
from domain.errors import Misconfigured, ProviderError, RateLimited, SenderNotVerified, Unsupported
from domain.message import RecipientKind, Submission
from providers import mime
from providers.base import id_in
from providers.calls import BatchProvider, Part
from providers.exchange import Request, Response
from providers.fields import ATTEMPT, EMAIL, OURS, SecretKey
from providers.forms import File, multipart
from providers.mailboxes import written
from providers.mailgun_form import HEADERS_BYTES, fits_the_form, form_of
from providers.mailgun_search import MailgunSearch
from providers.mailgun_webhook import WebhookSecret, webhook
from providers.origins import BaseURL
from providers.payloads import compact
from providers.world import World

__all__ = ["Config", "Credentials", "WebhookSecret", "build", "capabilities", "webhook"]

_REGIONS = {"us": "https://api.mailgun.net", "eu": "https://api.eu.mailgun.net"}
# Of the 16 KB that all options may have: headers beyond their share travel in MIME, and what is left is for our ids,
# tags and the rest. An entry of metadata is longer as JSON than as an option.
_METADATA_BYTES = 16_000 - HEADERS_BYTES - 1_000
_MOST_TAGS, _LONGEST_TAG = 3, 128
# What the name of a form's field is written as where it has a quote or a percent sign is not agreed on (RFC 7578, 4.2).
_VARIABLE = TextForm(r"[\x20\x21\x23\x24\x26-\x5b\x5d-\x7e]+", 'of printable ASCII without ", % and \\')
_WAIT = re.compile(r"try again (?:after|in) (\d{1,6}) second", re.IGNORECASE)
_DOMAIN = r"^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$"


class Config(BaseModel):
    """`domain`: the domain at Mailgun that all emails go by; else each goes by its sender's.

    `test_mode`: Mailgun takes emails and delivers none. `base_url` replaces the region's. `shared_calls`: bulk emails
    with the same content may share a call; it is taken or refused as a whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: Literal["us", "eu"] = "us"
    domain: Annotated[str | None, Field(max_length=253, pattern=_DOMAIN)] = None
    base_url: BaseURL | None = None
    test_mode: bool = False
    shared_calls: bool = False


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretKey


def capabilities(config: Config) -> Capabilities:
    return Capabilities(
        max_recipients=1000,
        max_bytes=25_000_000,
        max_tags=_MOST_TAGS,
        tag=TextForm(rf"[\x00-\x7f]{{1,{_LONGEST_TAG}}}", f"1 to {_LONGEST_TAG} characters of ASCII"),
        metadata=MetadataForm(name=_VARIABLE, most_bytes=_METADATA_BYTES, reserved=OURS),
        batch=1000 if config.shared_calls else 1,
        batch_bytes=25_000_000 if config.shared_calls else None,
        search=Search.EMAIL,
    )


class MailgunProvider(MailgunSearch, BatchProvider):
    # 500 "Internal Server Error" says nothing of the email: it stays OutcomeUnknown.

    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key = credentials.api_key.get_secret_value()
        basic = b64encode(f"api:{key}".encode()).decode("ascii")
        base_url = config.base_url or _REGIONS[config.region]
        super().__init__(name, base_url, capabilities(config), world, secrets=(key, basic))
        self._config, self._domain = config, config.domain
        self._fields = {"Authorization": f"Basic {basic}", "Accept": "application/json"}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        envelope = submission.envelope
        plain = bool(envelope.of(RecipientKind.TO) and submission.message.subject) and fits_the_form(
            submission
        )
        parts = list(form_of(self.name, submission) if plain else self._mime(submission, attempt_id))
        parts += self._options(submission, attempt_id)
        kind, body = multipart(parts, f"form-{attempt_id.hex}")
        domain = quote(self._domain or envelope.sender.domain, safe="")
        path = f"/v3/{domain}/messages" if plain else f"/v3/{domain}/messages.mime"
        return Request("POST", path, {**self._fields, "Content-Type": kind}, body)

    def part(self, submission: Submission, attempt_id: UUID) -> Part | None:
        """Mailgun fills in what is of each recipient (recipient-variables), who sees no other."""
        recipients = submission.envelope.recipients
        alone = len(recipients) == 1 and recipients[0].kind is RecipientKind.TO
        if not (alone and submission.message.subject and fits_the_form(submission)):
            return None
        own = {f"v:{ATTEMPT}": str(attempt_id), f"v:{EMAIL}": str(submission.id)}
        parts = [p for p in form_of(self.name, submission) if p[0] != RecipientKind.TO.value]
        parts += self._options(submission, attempt_id)
        parts = [p for p in parts if p[0] not in own]
        if any(isinstance(value, str) and "%recipient" in value for _, value in parts):
            return None  # it would be filled in
        parts += [(name, f"%recipient.{name.removeprefix('v:')}%") for name in own]
        _, common = multipart(parts, f"form-{sha256(repr(parts).encode()).hexdigest()[:32]}")
        address = recipients[0].address
        values = {name.removeprefix("v:"): value for name, value in own.items()}
        domain = quote(self._domain or submission.envelope.sender.domain, safe="")
        return Part(
            compact([written(address), address.email, values]).encode("utf-8"),
            f"/v3/{domain}/messages\n".encode() + common,
            frozenset({address.email.lower()}),
        )

    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request:  # noqa: ARG002
        path, _, common = shared.partition(b"\n")
        boundary = common.partition(b"\r\n")[0].removeprefix(b"--").decode()
        people = [json.loads(part) for part in parts]
        own: list[tuple[str, str | File]] = [("to", to) for to, _, _ in people]
        own.append(("recipient-variables", compact({address: values for _, address, values in people})))
        kind, body = multipart(own, boundary)
        body = body.removesuffix(f"--{boundary}--\r\n".encode()) + common
        return Request("POST", path.decode(), {**self._fields, "Content-Type": kind}, body)

    def answers(self, response: Response, count: int) -> Sequence[Response]:
        return [response] * count

    def _mime(self, submission: Submission, attempt_id: UUID) -> Iterator[tuple[str, str | File]]:
        addresses = dict.fromkeys(r.address.email for r in submission.envelope.recipients)
        yield from (("to", address) for address in addresses)
        data = mime.compose(submission, attempt_id, self._world.wall_time())
        yield "message", File("message.eml", "message/rfc822", data)

    def _options(self, submission: Submission, attempt_id: UUID) -> list[tuple[str, str | File]]:
        """What is not content."""
        options: list[tuple[str, str | File]] = [
            (f"v:{ATTEMPT}", str(attempt_id)),
            (f"v:{EMAIL}", str(submission.id)),
        ]
        wishes = (
            ("o:tracking-clicks", submission.tracking.clicks),
            ("o:tracking-opens", submission.tracking.opens),
        )
        options += [(name, "yes" if wish else "no") for name, wish in wishes if wish is not None]
        if self._config.test_mode:
            options.append(("o:testmode", "yes"))
        options += [("o:tag", tag) for tag in dict.fromkeys(submission.tags)]
        return options + [(f"v:{name}", value) for name, value in submission.metadata.items()]

    def parse(self, response: Response) -> SendResult:
        if response.body.strip() == b"Mailgun Magnificent API":  # what it says at an address that is none
            raise Misconfigured(self.name, "the address is Mailgun's, but not that of its API")
        return SendResult(id_in(self.json(response)["id"]))

    def explain(self, response: Response) -> str | None:
        try:
            said = self.json(response)
        except ValueError:
            plain = response.media_type in ("text/plain", "") and len(response.body) <= 1000
            return response.body.decode("utf-8", "replace") or None if plain else None
        return str(said["message"]) if isinstance(said, dict) else str(said)

    def classify(self, response: Response, said: str) -> ProviderError | None:
        words, detail = said.lower(), f"{response.status}: {said}"
        if response.status not in (400, 402, 403, 404, 421, 429):
            return None
        if response.status == 429 or "limit exceeded" in words:
            wait = _WAIT.search(said)
            return RateLimited(self.name, detail, float(wait[1]) if wait else self.retry_after(response))
        if response.status == 404 and "domain not found" in words and not self._domain:
            return SenderNotVerified(self.name, detail)
        if "unverified" in words or "sandbox subdomains" in words:
            return SenderNotVerified(self.name, detail)
        if (
            "not allowed to send" in words
            or "free accounts are for test" in words
            or "activate your" in words
        ):
            return Misconfigured(self.name, detail)
        if response.status == 400 and ("too large" in words or "limited to 16kb" in words):
            return Unsupported(self.name, detail)
        return None


def build(name: str, config: Config, credentials: Credentials, world: World) -> MailgunProvider:
    return MailgunProvider(name, config, credentials, world)
