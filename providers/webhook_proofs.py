"""How a webhook's calls are proved where a provider signs the raw body, or signs nothing at all.

What signs nothing is given credentials in the address that it calls: https://username:password@… (RFC 7617); Brevo and
SparkPost bear a token instead, where they are given one (RFC 6750).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from domain.events import Verified, WebhookRequest
from providers.webhooks import BasicAuthSecret, JSONWebhook, bearer_auth, hmac_hex

SigningKey = Annotated[SecretStr, Field(min_length=1, max_length=500)]


class CredentialsSecret(BasicAuthSecret):
    """A user and a password."""

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.username is None:
            raise ValueError("a username and a password")
        return self


class CredentialsWebhook(JSONWebhook[CredentialsSecret]):
    """Proved by the credentials alone."""

    def prove(self, request: WebhookRequest, secret: CredentialsSecret, now: datetime) -> Verified:  # noqa: ARG002
        secret.check_basic(request)
        return Verified()


class TokenSecret(BasicAuthSecret):
    """A token that the provider bears with each call, or a user and a password."""

    token: SecretStr | None = Field(default=None, min_length=16, max_length=500)

    @model_validator(mode="after")
    def _given(self) -> Self:
        if (self.username is None) == (self.token is None):
            raise ValueError("either a token, or a username and a password")
        return self


class TokenWebhook(JSONWebhook[TokenSecret]):
    """Proved by the token or the credentials alone."""

    def prove(self, request: WebhookRequest, secret: TokenSecret, now: datetime) -> Verified:  # noqa: ARG002
        if secret.token is not None:
            bearer_auth(request, secret.token.get_secret_value())
        secret.check_basic(request)
        return Verified()


class SigningSecret(BasicAuthSecret):
    """The secret that the provider signs with. Credentials beside it have to be right as well."""

    signing_secret: SigningKey | None = None

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.username is None and self.signing_secret is None:
            raise ValueError("a signing_secret, or a username and a password")
        return self


class SignedBodyWebhook(JSONWebhook[SigningSecret]):
    """Proved by the HMAC-SHA256 of the raw body in hexadecimal. It tells no time: repeats are known by the events."""

    signature: ClassVar[str]
    """The lower-case name of the header."""

    def prove(self, request: WebhookRequest, secret: SigningSecret, now: datetime) -> Verified:  # noqa: ARG002
        if secret.signing_secret is not None:
            key = secret.signing_secret.get_secret_value().encode()
            hmac_hex(request.headers.get(self.signature, ""), key, request.body)
        secret.check_basic(request)
        return Verified()
