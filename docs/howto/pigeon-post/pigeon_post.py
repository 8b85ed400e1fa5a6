"""Pigeon Post: POST /v1/mail. An example of a provider in a package of its own (docs/howto/add-a-provider.md).

Pigeon Post does not exist, so its facts have no source. Its form: `people` with a role each, one object of headers,
files in base64, `notes` for whatever the sender wants to find again.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.errors import ProviderError, SenderNotVerified
from domain.message import Submission
from providers.base import HTTPProvider
from providers.exchange import Request, Response
from providers.fields import SecretKey
from providers.origins import BaseURL
from providers.payloads import compact, headers_once, with_metadata
from providers.registry import ProviderKind
from providers.world import World


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseURL = "https://api.pigeon.example"


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretKey


def capabilities(_config: Config) -> Capabilities:
    return Capabilities(max_bytes=10_000_000, tracking_opens=False, tracking_clicks=False)


class PigeonPost(HTTPProvider):
    def __init__(self, name: str, config: Config, credentials: Credentials, world: World) -> None:
        key = credentials.api_key.get_secret_value()
        super().__init__(name, config.base_url, capabilities(config), world, secrets=(key,))
        self._fields = {"Authorization": f"Bearer {key}", "Accept": "application/json"}

    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        message, envelope = submission.message, submission.envelope
        people = [
            ("from", envelope.sender),
            *((recipient.kind.value, recipient.address) for recipient in envelope.recipients),
            *(("reply-to", address) for address in envelope.reply_to),
        ]
        payload: dict[str, Any] = {
            "people": [{"role": role, "email": a.email, "name": a.name} for role, a in people],
            "subject": message.subject,
            "text": message.text,
            "html": message.html,
            "headers": headers_once(self.name, submission),
            "files": [
                {
                    "name": f.filename,
                    "type": f.content_type,
                    "cid": f.content_id,
                    "data": b64encode(f.content).decode(),
                }
                for f in message.attachments
            ],
            "notes": with_metadata(submission, attempt_id),
        }
        fields = {**self._fields, "Content-Type": "application/json"}
        return Request("POST", "/v1/mail", fields, compact(payload).encode("utf-8"))

    def parse(self, response: Response) -> SendResult:
        return SendResult(str(self.json(response)["pigeon"]))

    def probe(self) -> Request:
        return Request("GET", "/v1/loft", self._fields)

    def explain(self, response: Response) -> str | None:
        try:
            return str(json.loads(response.body)["complaint"])
        except (ValueError, TypeError, LookupError):
            return None

    def classify(self, response: Response, said: str) -> ProviderError | None:
        if response.status == 403 and "unknown loft" in said:
            return SenderNotVerified(self.name, f"{response.status}: {said}")
        return None


def build(name: str, config: Config, credentials: Credentials, world: World) -> PigeonPost:
    return PigeonPost(name, config, credentials, world)


KIND = ProviderKind("pigeon", "Pigeon Post", Config, Credentials, build, capabilities)
