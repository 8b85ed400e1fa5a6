"""SMTP accounts at the two big mailbox providers: what is known of them need not be set.

Sources: support.google.com/a/answer/176600 (smtp.gmail.com, 587 or 465), support.google.com/a/answer/166852 and
support.google.com/mail/answer/22839 (100 recipients a message by SMTP; 500 a day, 2,000 with Workspace; 25 MB);
learn.microsoft.com, "How to set up a multifunction device or application to send email using Microsoft 365"
(smtp.office365.com:587, 30 messages a minute, 3 connections) and "Exchange Online limits" (500 recipients, 35 MB).

Gmail rewrites a From that is not the account's own or one of its "Send mail as" aliases. Microsoft refuses basic
authentication (550 5.7.30) from the end of December 2026 unless a tenant turns it on: sign in with OAuth there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from providers import smtp_settings as smtp

_GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"
_MICROSOFT_TOKENS = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # an address
_DELEGATED = "https://outlook.office365.com/SMTP.Send offline_access"
_DELEGATED_READING = "https://outlook.office365.com/IMAP.AccessAsUser.All"
_APP_ONLY = "https://outlook.office365.com/.default"


class GmailConfig(smtp.Config):
    """Sign in with an app password, or with OAuth: client id, client secret and refresh token."""

    host: smtp.Host = "smtp.gmail.com"
    tls: Literal["starttls", "implicit"] = "starttls"
    max_recipients: Annotated[int, Field(ge=1, le=100)] = 100
    max_connections: Annotated[int, Field(ge=1, le=200)] = 10
    token_url: smtp.TokenURL = _GOOGLE_TOKENS


class MicrosoftConfig(smtp.Config):
    """Sign in with OAuth: as a person, with a refresh token, or as an application, without one (`tenant` is then
    the directory's id or domain); or with a password where the tenant still allows it.
    """

    host: smtp.Host = "smtp.office365.com"
    tls: Literal["starttls", "implicit"] = "starttls"
    max_recipients: Annotated[int, Field(ge=1, le=1000)] = 500
    max_bytes: Annotated[int, Field(ge=1024, le=157_286_400)] = 36_700_160
    max_connections: Annotated[int, Field(ge=1, le=200)] = 3
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")] = "common"

    def tokens_from(self) -> str | None:
        return self.token_url or _MICROSOFT_TOKENS.format(tenant=self.tenant)

    def scope_for(self, as_itself: bool, reads: bool) -> str:
        if self.oauth_scope or as_itself:
            return self.oauth_scope or _APP_ONLY
        return f"{_DELEGATED_READING} {_DELEGATED}" if reads else _DELEGATED


def disagreements(config: smtp.Config, credentials: smtp.Credentials) -> Iterator[tuple[str, str]]:
    """Unlike a relay, these know their senders by signing in only."""
    yield from smtp.disagreements(config, credentials)
    if not credentials.username:
        yield "credentials.username", "required: the account's address"
    if isinstance(config, MicrosoftConfig) and config.tenant == "common" and credentials.app_only:
        yield "config.tenant", "required where an application signs in as itself"
