"""Emails, the queue that they wait in, and every try to deliver them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Index,
    LargeBinary,
    Sequence,
    SmallInteger,
    String,
    Text,
    Uuid,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Json, Money, ProviderRef, Stamp, UserRef

claim_tokens = Sequence("claim_tokens", metadata=Base.metadata)


class EmailJob(Base):
    """One accepted email: wide, written once, updated only when its visible status changes."""

    __tablename__ = "email_jobs"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    api_key_id: Mapped[UUID | None]
    recipient: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    envelope: Mapped[Json]
    email_type: Mapped[str] = mapped_column(String(50))
    lane: Mapped[str] = mapped_column(String(20))
    on_unknown: Mapped[str] = mapped_column(String(10))
    options: Mapped[Json]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    attributes: Mapped[Json] = mapped_column("metadata", JSONB)
    attachment_url: Mapped[str | None] = mapped_column(Text)
    provider_used: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(50))
    status_reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Stamp]
    send_at: Mapped[Instant | None]
    expires_at: Mapped[Instant | None]
    sent_at: Mapped[Instant | None]
    campaign_id: Mapped[UUID | None]

    __table_args__ = (
        # What lists are narrowed by, and never changes: found without going to the table, and a tenth of a µs an email.
        Index("ix_email_jobs_user_id", "user_id", "id", postgresql_include=["email_type", "lane"]),
        Index(
            "ix_email_jobs_campaign", "campaign_id", "id", postgresql_where=text("campaign_id IS NOT NULL")
        ),
        Index(
            "ix_email_jobs_recipients",
            literal_column("(envelope -> 'recipients')").label("recipients"),
            postgresql_using="gin",
            postgresql_ops={"recipients": "jsonb_path_ops"},
        ),
        Index("ix_email_jobs_tags", "tags", postgresql_using="gin", postgresql_where=text("tags <> '{}'")),
        Index(
            "ix_email_jobs_metadata",
            "metadata",
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
            postgresql_where=text("metadata <> '{}'"),
        ),
        {"postgresql_with": {"fillfactor": "60"}},  # its status changes in place
    )


class EmailByStatus(Base):
    """Emails of the statuses that few have, written by a trigger of `email_jobs`: what an index on the status would be,
    but that sending and delivering changes nothing here, and so costs an email no more than before.
    """

    __tablename__ = "emails_by_status"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(50), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(primary_key=True)


class EmailQueue(Base):
    """What still moves. The row is the work: narrow, and deleted when there is nothing more to do.

    `run` and `token` name the claim; `claims` counts claims that have not ended in order; `round` counts
    the passes over all providers; `held`: the outcome of an attempt is unknown, and `due_at` is when waiting
    for evidence ends; not `placed`: it belongs to a campaign, in whose pace it is to get its place when it is due.
    """

    __tablename__ = "email_queue"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    lane: Mapped[str] = mapped_column(String(20))
    due_at: Mapped[Instant]
    run: Mapped[UUID | None]
    token: Mapped[int | None] = mapped_column(BigInteger)
    claims: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    round: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    held: Mapped[bool] = mapped_column(server_default=text("false"))
    placed: Mapped[bool] = mapped_column(server_default=text("true"))

    __table_args__ = (
        Index("ix_email_queue_due", "lane", "due_at", postgresql_where=text("run IS NULL")),
        Index("ix_email_queue_user", "lane", "user_id", "due_at", postgresql_where=text("run IS NULL")),
        Index("ix_email_queue_suspects", "lane", postgresql_where=text("run IS NULL AND claims >= 2")),
        Index("ix_email_queue_run", "run", postgresql_where=text("run IS NOT NULL")),
        Index("ix_email_queue_held", "lane", "job_id", postgresql_where=text("held")),
        CheckConstraint("(run IS NULL) = (token IS NULL)", name="claim"),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class DeliveryAttempt(Base):
    """The ledger: a line per try, committed before the wire. `outcome` null: still open."""

    __tablename__ = "delivery_attempts"

    id: Mapped[Id]
    job_id: Mapped[UUID]
    provider_id: Mapped[UUID]
    run: Mapped[UUID]
    token: Mapped[int] = mapped_column(BigInteger)
    round: Mapped[int] = mapped_column(SmallInteger)
    recipients: Mapped[int]
    estimated_cost: Mapped[Money]
    currency: Mapped[str] = mapped_column(String(3))
    decision: Mapped[Json]
    opened_at: Mapped[Stamp]
    settled_at: Mapped[Instant | None]
    outcome: Mapped[str | None] = mapped_column(String(10))
    error: Mapped[str | None] = mapped_column(String(40))
    detail: Mapped[str | None] = mapped_column(Text)
    provider_message_id: Mapped[str | None] = mapped_column(Text)
    latency_ms: Mapped[float | None]

    __table_args__ = (
        Index("ix_delivery_attempts_job", "job_id"),
        Index("ix_delivery_attempts_open", "run", postgresql_where=text("outcome IS NULL")),
        Index("ix_delivery_attempts_unknown", "settled_at", postgresql_where=text("outcome = 'unknown'")),
        Index(
            "ix_delivery_attempts_recent",
            "opened_at",
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on", "pages_per_range": 32},
        ),
        Index(
            "ix_delivery_attempts_message",
            "provider_message_id",
            postgresql_using="hash",  # for a name of any length
            postgresql_where=text("provider_message_id IS NOT NULL"),
        ),
        CheckConstraint("outcome IN ('accepted', 'not_sent', 'unknown')", name="outcome"),
        CheckConstraint("(outcome IS NULL) = (settled_at IS NULL)", name="settled"),
    )


class ProviderCall(Base):
    """One request to a provider that carries several emails, or may be made again; committed before it is made.

    `attempt_ids` in the order of its emails. `repeatable_until`: how long the provider knows it by `key`.
    """

    __tablename__ = "provider_calls"

    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(256), primary_key=True)
    payload_hash: Mapped[bytes] = mapped_column(LargeBinary)
    attempt_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    opened_at: Mapped[Stamp]
    repeatable_until: Mapped[Instant | None]
    repeats: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    repeated_at: Mapped[Instant | None]

    __table_args__ = (
        Index("ix_provider_calls_attempts", "attempt_ids", postgresql_using="gin"),
        Index("ix_provider_calls_opened", "opened_at", postgresql_using="brin"),
    )


class EmailStatus(Base):
    """The timeline of an email: a line per visible change, with its reason. Its beginning is the job's own row."""

    __tablename__ = "email_status"

    email_job_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[Id]
    status: Mapped[str] = mapped_column(String(50))
    timestamp: Mapped[Stamp]
    reason: Mapped[str | None] = mapped_column(Text)
    attempt_id: Mapped[UUID | None]
    detail: Mapped[Json | None] = mapped_column(JSONB)
