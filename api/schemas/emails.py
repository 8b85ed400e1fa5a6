"""Emails as they are shown."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
)

from api.fields import Cost, Out, Page, Timestamp
from domain.events import BounceClass, EventType, RejectReason
from domain.lifecycle import Status
from domain.message import (
    Disposition,
    Lane,
    OnUnknown,
    RecipientKind,
)


class EmailAccepted(Out):
    """The email is committed: it will be delivered, or accounted for."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"id": "01988b0e-5c0a-7e3c-9d6e-0b6a3d1f2a44", "status": "queued"}]},
    )

    id: UUID
    status: Status


class EmailDrawn(Out):
    """An email that was not accepted, as it would be; or the one that was, before, under the Idempotency-Key."""

    status: Status
    id: UUID | None = Field(default=None, description="Of the email that was accepted before.")
    replayed: bool = Field(default=False, description="Sending would only repeat an earlier answer.")
    subject: str | None = Field(
        description="Of an email that was accepted before, as it is kept; null, as `text` and `html`, where it is not."
    )
    text: str | None
    html: str | None
    decision: dict[str, Any] | None = Field(
        description="As POST /v1/routing/preview has it: every provider's figures, the reason of every exclusion. "
        "null: nothing would be sent."
    )


class CancelledMany(Out):
    """What was taken back. `has_more`: more of them waited than are taken back at once; ask again."""

    cancelled: int = Field(description="Emails taken back; of a dry run, those that would be.")
    has_more: bool


class RescheduledMany(Out):
    """What is sent at another time now. `has_more`: more of them wait than are moved at once; ask again."""

    rescheduled: int = Field(description="Emails with a new time; of a dry run, those that would have.")
    expire_before: int = Field(description="Emails left as they are, because they expire before that time.")
    has_more: bool


class Unsent(Out):
    """An email that was not sent again, and why."""

    id: UUID
    detail: str


class ResentMany(Out):
    """What is sent again. `has_more`: ask again with `next_cursor`, there may be more."""

    resent: int = Field(
        description="New emails; of a dry run, those that would be made, if nothing refuses them."
    )
    refused: list[Unsent] = Field(description="Those that would not be accepted today, and why.")
    has_more: bool
    next_cursor: str | None


class AddressOut(Out):
    email: str
    name: str


class RecipientOut(AddressOut):
    """Somebody who receives it. `status`: the email's, as far as nothing more is known of this recipient."""

    kind: RecipientKind
    status: Status


class RecipientFate(AddressOut):
    """Somebody who receives it, and what became of their copy.

    `unresolved`: the provider tells what happened to the email, but not to which of its recipients.
    """

    kind: RecipientKind
    status: Status | Literal["unresolved"]
    bounce: BounceClass | None = Field(description="Of a bounce: hard (the address is wrong) or soft.")


class TimelineEntry(Out):
    """A visible change or a provider's event, and why. `status`: the email's, after it."""

    status: Status
    at: Timestamp
    reason: str | None
    attempt_id: UUID | None
    event: EventType | None


class EventOut(Out):
    """What a provider told later. `recipient` null: it did not say whose copy it was."""

    id: UUID
    type: EventType
    provider: str
    attempt_id: UUID
    recipient: str | None
    occurred_at: Timestamp | None = Field(description="By the provider's clock.")
    received_at: Timestamp
    bounce: BounceClass | None
    reject_reason: RejectReason | None
    status_code: str | None = Field(description="RFC 3463, such as 5.1.1.")
    description: str | None
    mta_response: str | None = Field(description="What the mailbox host said.")
    click_url: str | None
    user_agent: str | None
    machine: str | None = Field(
        description="A sign that no person opened it or followed the link, but a program: `head`, `prefetch`, "
        "`no_user_agent`, `user_agent`, `privacy_proxy`."
    )


class AttemptOut(Out):
    """One try at one provider. `outcome` null: it is under way, or nobody can say how it ended."""

    id: UUID
    provider_id: UUID
    provider: str
    outcome: Literal["accepted", "not_sent", "unknown"] | None
    error: str | None
    detail: str | None
    provider_message_id: str | None
    latency_ms: float | None
    estimated_cost: Cost
    currency: str
    recipients: int
    opened_at: Timestamp
    settled_at: Timestamp | None
    decision: dict[str, Any] = Field(
        description="Why this provider: what was left out and for which reason; `explanation` says it in words."
    )


class EmailSummary(Out):
    """An email, as lists show it."""

    id: UUID
    status: Status
    status_reason: str | None
    email_type: str
    lane: Lane
    sender: AddressOut = Field(serialization_alias="from")
    recipients: list[RecipientOut]
    subject: str
    tags: list[str]
    metadata: dict[str, str]
    provider: str | None = Field(description="Name of the provider that accepted it.")
    created_at: Timestamp
    send_at: Timestamp | None
    expires_at: Timestamp | None
    sent_at: Timestamp | None
    campaign_id: UUID | None


class EmailFile(Out):
    """A file of an email. `GET /v1/attachments/{id}` tells where it can be read, as long as it is kept."""

    id: UUID
    filename: str
    content_type: str
    size: int = Field(description="Bytes, before encoding.")
    sha256: str
    disposition: Disposition
    content_id: str | None


class EmailOut(EmailSummary):
    """An email, with everything that happened to it."""

    on_unknown: OnUnknown
    resend_of: UUID | None = Field(description="The email whose place it takes.")
    resent_as: UUID | None = Field(description="The email that takes its place.")
    attachments: list[EmailFile]
    recipients: list[RecipientFate]  # type: ignore[assignment]  # more is told of one email than in lists
    timeline: list[TimelineEntry]
    attempts: list[AttemptOut]
    events: list[EventOut]


class EmailPage(Page[EmailSummary]):
    """Emails, newest first."""
