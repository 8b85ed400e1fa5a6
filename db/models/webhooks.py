"""Where users want to be told what becomes of their emails, and what they are told."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Index, SmallInteger, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Json, Stamp, UserRef


class WebhookEndpoint(Base):
    """An address that is called. `types` empty: every type. `secret`: sealed; the `old_secret` signs beside it until
    `old_secret_until`. `failing_since`: when the first try failed after the last that went well. `notice_owed`: it was
    disabled by us, and its owner is not written to of it yet.
    """

    __tablename__ = "webhook_endpoints"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    types: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    secret: Mapped[str] = mapped_column(Text)
    old_secret_until: Mapped[Instant | None]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    disabled_at: Mapped[Instant | None]
    failing_since: Mapped[Instant | None]
    notice_owed: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Stamp]
    updated_at: Mapped[Stamp]

    __table_args__ = (
        Index("ix_webhook_endpoints_user", "user_id"),
        Index("ix_webhook_endpoints_owed", "id", postgresql_where=text("notice_owed")),
    )


class WebhookMessage(Base):
    """A thing to tell one endpoint. A line of an email's timeline (`job_id`, `status_id`), or what `payload` says.

    While it is being told `due_at` lies ahead, so that one that nobody finished is told again.
    """

    __tablename__ = "webhook_messages"

    id: Mapped[Id]
    endpoint_id: Mapped[UUID]
    type: Mapped[str] = mapped_column(String(50))
    job_id: Mapped[UUID | None]
    status_id: Mapped[UUID | None]
    payload: Mapped[Json | None] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(String(10), server_default="waiting")
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    due_at: Mapped[Stamp]
    created_at: Mapped[Stamp]
    told_at: Mapped[Instant | None]
    answer: Mapped[int | None] = mapped_column(SmallInteger)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_webhook_messages_due", "endpoint_id", "due_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_webhook_messages_endpoint", "endpoint_id", "id"),
        Index("ix_webhook_messages_failed", "endpoint_id", "id", postgresql_where=text("state = 'failed'")),
        Index("uq_webhook_messages_line", "endpoint_id", "status_id", unique=True,
              postgresql_where=text("status_id IS NOT NULL")),
        CheckConstraint("state IN ('waiting', 'told', 'failed')", name="state"),
    )  # fmt: skip
