"""What an account at an SMTP server is set by, and where settings and credentials do not go together."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from providers.fields import SecretKey, SecretToken
from providers.oauth import Client, Tokens
from providers.origins import BaseURL
from providers.report_mailbox import RETURN_PATH, ReportMailbox
from providers.world import World

_HOST = r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$|^[0-9A-Fa-f:.]{3,45}$"


Host = Annotated[str, Field(max_length=253, pattern=_HOST)]
TokenURL = BaseURL


class Config(BaseModel):
    """`tls` none sends in plain text, for a relay on a trusted network: it never signs in then.

    `return_path`: the address that bounces go to, instead of the sender's. `reports`: its mailbox, read for bounces and
    complaints. `token_url`, `oauth_scope`: where XOAUTH2's tokens are fetched, and what for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Host
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_pem: Annotated[str | None, Field(max_length=65_536)] = None
    local_hostname: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9._\[\]:-]+$")] = "[127.0.0.1]"
    max_connections: Annotated[int, Field(ge=1, le=200)] = 20
    messages_per_connection: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_recipients: Annotated[int, Field(ge=1, le=1000)] = 100
    max_bytes: Annotated[int, Field(ge=1024, le=157_286_400)] = 26_214_400
    return_path: Annotated[str | None, Field(max_length=254, pattern=RETURN_PATH)] = None
    reports: ReportMailbox | None = None
    token_url: TokenURL | None = None
    oauth_scope: Annotated[str | None, Field(max_length=1000, pattern=r"^[\x21-\x7e ]+$")] = None

    def tokens_from(self) -> str | None:
        """Where access tokens come from."""
        return self.token_url

    def scope_for(self, as_itself: bool, reads: bool) -> str:  # noqa: ARG002  # not everywhere do these matter
        """What to ask for: as an application that acts for itself, or for the person who agreed to it; `reads` the
        mailbox of reports too.
        """
        return self.oauth_scope or ""

    @field_validator("ca_pem")
    @classmethod
    def _readable(cls, pem: str | None) -> str | None:
        if pem is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
            except (ssl.SSLError, ValueError, TypeError):
                raise ValueError("not a list of PEM certificates") from None
        return pem


class Credentials(BaseModel):
    """A username with a password, or with an OAuth client for XOAUTH2; or nothing: a relay may know its senders by
    their network. Without a refresh token the client asks for tokens for itself. `reports_password`: of the mailbox of
    reports, where the account's OAuth client does not sign in to that too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: Annotated[str | None, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")] = None
    password: SecretStr | None = None
    client_id: SecretKey | None = None
    client_secret: SecretKey | None = None
    refresh_token: SecretToken | None = None
    reports_password: SecretStr | None = None

    @property
    def app_only(self) -> bool:
        return self.client_id is not None and self.refresh_token is None


def disagreements(config: Config, credentials: Credentials) -> Iterator[tuple[str, str]]:
    """Where settings and credentials do not go together: (path, message)."""
    password = credentials.password.get_secret_value() if credentials.password else ""
    oauth = credentials.client_id is not None
    if bool(credentials.username) != (bool(password) or oauth):
        yield "credentials", "username and password (or client_id) are given together or not at all"
    if password and oauth:
        yield "credentials.password", "either a password or an OAuth client"
    if oauth and not (credentials.client_secret or credentials.refresh_token):
        yield "credentials", "client_id needs a client_secret, a refresh_token or both"
    if not oauth and (credentials.client_secret or credentials.refresh_token):
        yield "credentials.client_id", "required with client_secret and refresh_token"
    if oauth and not config.tokens_from():
        yield "config.token_url", "required with an OAuth client"
    if (password or oauth) and config.tls == "none":
        yield "config.tls", "credentials are never sent without TLS: use starttls or implicit"
    if config.reports is None and credentials.reports_password:
        yield "credentials.reports_password", "given together with config.reports or not at all"
    if config.reports is not None and not (credentials.reports_password or oauth):
        yield "credentials.reports_password", "required with config.reports, unless an OAuth client signs in"
    if len(password) > 4096 or any(c in password for c in "\r\n\x00"):
        yield "credentials.password", "at most 4096 characters, without line breaks"


def tokens_of(name: str, config: Config, credentials: Credentials, world: World) -> Tokens | None:
    """Where the account signs in with OAuth: what fetches its tokens."""
    token_url = config.tokens_from()
    if credentials.client_id is None or token_url is None:
        return None
    client_id, client_secret, refresh_token = (
        secret.get_secret_value() if secret is not None else ""
        for secret in (credentials.client_id, credentials.client_secret, credentials.refresh_token)
    )
    reads = config.reports is not None and credentials.reports_password is None
    scope = config.scope_for(credentials.app_only, reads)
    return Tokens(name, Client(token_url, client_id, client_secret, refresh_token, scope), world)
