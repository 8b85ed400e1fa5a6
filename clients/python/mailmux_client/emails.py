"""Sending emails, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypedDict, cast
from uuid import uuid4

from mailmux_client.shapes import (
    BatchAccepted,
    CancelledMany,
    EmailAccepted,
    EmailOut,
    EmailSummary,
    RescheduledMany,
    ResentMany,
)
from mailmux_client.transport import Transport, segment


class Mailbox(TypedDict):
    email: str
    name: NotRequired[str]


Address = str | Mailbox


class Emails:
    def __init__(self, transport: Transport) -> None:
        self._ask = transport

    def send(
        self,
        *,
        sender: Address,
        to: Sequence[Address],
        idempotency_key: str | None = None,
        send_at: datetime | str | None = None,
        expires_at: datetime | str | None = None,
        **fields: Any,
    ) -> EmailAccepted:
        """Hand over one email. `fields`: as POST /v1/emails takes them (subject, text, html, template, variables, cc,
        bcc, reply_to, headers, tags, metadata, email_type, routing, track, on_unknown, …).

        Without an `idempotency_key` one is made, so that a repeat after a lost answer sends nothing twice.
        """
        body = {"from": sender, "to": list(to), **fields, **_times(send_at=send_at, expires_at=expires_at)}
        key = idempotency_key or str(uuid4())
        return cast(EmailAccepted, self._ask.ask("POST", "/v1/emails", body, idempotency_key=key))

    def send_batch(
        self,
        emails: Sequence[Mapping[str, Any]],
        *,
        defaults: Mapping[str, Any] | None = None,
        permissive: bool = False,
        idempotency_key: str | None = None,
    ) -> BatchAccepted:
        """Hand over up to 1,000 emails; all are accepted or none, unless `permissive`."""
        body = {
            "mode": "permissive" if permissive else "strict",
            "defaults": dict(defaults or {}),
            "emails": [dict(e) for e in emails],
        }
        key = idempotency_key or str(uuid4())
        return cast(BatchAccepted, self._ask.ask("POST", "/v1/emails/batch", body, idempotency_key=key))

    def get(self, email_id: str) -> EmailOut:
        """One email with its timeline, its attempts and why each provider was chosen."""
        return cast(EmailOut, self._ask.ask("GET", f"/v1/emails/{segment(email_id)}"))

    def list(self, **filters: Any) -> Iterator[EmailSummary]:
        """Emails, newest first: status, email_type, lane, recipient, tag, provider, metadata ("name:value"),
        created_after, created_before.
        """
        return self._ask.pages("/v1/emails", _times(**filters))

    def cancel(self, email_id: str) -> EmailAccepted:
        """Take an email back that still waits. Raises MailmuxError 409 where it is too late."""
        return cast(EmailAccepted, self._ask.ask("POST", f"/v1/emails/{segment(email_id)}/cancel"))

    def cancel_many(self, *, dry_run: bool = False, **filters: Any) -> CancelledMany:
        """Take back all waiting emails that the filters find, or count them."""
        body = {**_times(**filters), "dry_run": dry_run}
        return cast(CancelledMany, self._ask.ask("POST", "/v1/emails/cancel", body))

    def reschedule(self, email_id: str, send_at: datetime | str) -> EmailAccepted:
        """Send a waiting email at another time."""
        path = f"/v1/emails/{segment(email_id)}/reschedule"
        return cast(EmailAccepted, self._ask.ask("POST", path, _times(send_at=send_at)))

    def reschedule_many(
        self, send_at: datetime | str, *, dry_run: bool = False, **filters: Any
    ) -> RescheduledMany:
        """Send all emails whose time has not come, and that the filters find, at another time; or count them."""
        body = {**_times(**filters, send_at=send_at), "dry_run": dry_run}
        return cast(RescheduledMany, self._ask.ask("POST", "/v1/emails/reschedule", body))

    def resend(self, email_id: str) -> EmailAccepted:
        """Send an email again. Raises MailmuxError 409 where it did not fail, or was sent again already."""
        return cast(EmailAccepted, self._ask.ask("POST", f"/v1/emails/{segment(email_id)}/resend"))

    def resend_many(self, *, dry_run: bool = False, cursor: str | None = None, **filters: Any) -> ResentMany:
        """Send again what failed and the filters find, up to 200 at once; or count them."""
        body = {**_times(**filters, cursor=cursor), "dry_run": dry_run}
        return cast(ResentMany, self._ask.ask("POST", "/v1/emails/resend", body))


def _times(**values: Any) -> dict[str, Any]:
    """Values as JSON takes them; None is left out. Raises ValueError for a time without a zone."""
    found = {}
    for name, value in values.items():
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise ValueError(f"{name} has no time zone")
            value = value.isoformat()
        if value is not None:
            found[name] = value
    return found
