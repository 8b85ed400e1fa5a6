"""How a webhook's calls are proved where a provider signs the body with an HMAC, or signs nothing at all.

What signs nothing is given credentials in the address that it calls: https://username:password@… (RFC 7617).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from domain.events import Verified, WebhookRequest
from providers.webhooks import JSONWebhook, basic_auth, hmac_hex

Username = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^:\x00-\x1f\x7f]+$")]
Password = Annotated[SecretStr, Field(min_length=1, max_length=500)]


class BasicAuthSecret(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    username: Username
    password: Password


class BasicAuthWebhook(JSONWebhook[BasicAuthSecret]):
    """Proved by the credentials alone."""

    def prove(self, request: WebhookRequest, secret: BasicAuthSecret, now: datetime) -> Verified:  # noqa: ARG002
        basic_auth(request, secret.username, secret.password.get_secret_value())
        return Verified()


class SigningSecret(BaseModel):
    """`username` and `password` where the address that the provider calls bears them: then both must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signing_secret: Annotated[SecretStr, Field(min_length=1, max_length=500)]
    username: Username | None = None
    password: Password | None = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password come together")
        return self


class SignedBodyWebhook(JSONWebhook[SigningSecret]):
    """Proved by the HMAC-SHA256 of the raw body, in hexadecimal. No time is signed: a repeat is known by its events."""

    signature: ClassVar[str]
    """The lower-case name of the header."""

    def prove(self, request: WebhookRequest, secret: SigningSecret, now: datetime) -> Verified:  # noqa: ARG002
        key = secret.signing_secret.get_secret_value().encode()
        hmac_hex(request.headers.get(self.signature, ""), key, request.body)
        if secret.username is not None and secret.password is not None:
            basic_auth(request, secret.username, secret.password.get_secret_value())
        return Verified()
