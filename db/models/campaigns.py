"""Campaigns, and what is halted."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Numeric, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Stamp, UserRef


class Campaign(Base):
    """Emails that belong together. `next_slot`: when the next one may go, where it is throttled."""

    __tablename__ = "campaigns"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    name: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(10), server_default="active")
    status_reason: Mapped[str | None] = mapped_column(Text)
    per_minute: Mapped[int | None] = mapped_column(Integer)
    spend_cap: Mapped[Decimal | None] = mapped_column(Numeric(14, 8))
    max_complaints: Mapped[float] = mapped_column(server_default=text("0.001"))
    max_bounces: Mapped[float] = mapped_column(server_default=text("0.05"))
    min_sent: Mapped[int] = mapped_column(Integer, server_default=text("100"))
    next_slot: Mapped[Instant | None]
    created_at: Mapped[Stamp]
    updated_at: Mapped[Stamp]

    __table_args__ = (
        Index("ix_campaigns_user", "user_id", "id"),
        CheckConstraint("status IN ('active', 'paused', 'cancelled')", name="status"),
    )


class Halt(Base):
    """What is not sent for now: a campaign, or a user's emails, those of a type or of a lane. `user_id` null: whose
    ever; `value`: the campaign's id, the type or the lane.
    """

    __tablename__ = "halts"

    id: Mapped[Id]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(String(10))
    value: Mapped[str] = mapped_column(String(50), server_default="")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[Stamp]

    __table_args__ = (
        Index("uq_halts", "kind", "value", "user_id", unique=True),
        CheckConstraint("kind IN ('campaign', 'user', 'type', 'lane')", name="kind"),
    )
