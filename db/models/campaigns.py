"""Campaigns, and what is halted."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    String,
    Text,
    text,
)
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


class CampaignCount(Base):
    """How many emails of a campaign have a status (`slot` is the epoch), or were sent in the second from `slot` on."""

    __tablename__ = "campaign_counts"

    campaign_id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(50), primary_key=True)
    slot: Mapped[Instant] = mapped_column(primary_key=True)
    emails: Mapped[int] = mapped_column(Integer)

    __table_args__ = ({"postgresql_with": {"fillfactor": "80"}},)


class CampaignChange(Base):
    """What is still to be added to the counts; written by a trigger of email_jobs."""

    __tablename__ = "campaign_changes"

    campaign_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    status: Mapped[str] = mapped_column(String(50))
    slot: Mapped[Instant]
    change: Mapped[int] = mapped_column(Integer)


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
