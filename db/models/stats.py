"""What was sent and what became of it, added up by the quarter hour, and what is still to be added."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Table,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base
from domain.stats import BLOCK_MINUTES, DAY_MINUTES, SLOT_MINUTES, STEPS


class StatsDue(Base):
    """Attempts that are counted once more (`change` 1) or less (-1) as a measure; written with what they report."""

    __tablename__ = "stats_due"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    measure: Mapped[str] = mapped_column(String(20))
    change: Mapped[int] = mapped_column(SmallInteger)
    attempts: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))


COUNTS = (
    "accepted", "recipients", "not_sent", "unknown", "delivered", "hard_bounced", "soft_bounced", "complained",
    "opened", "clicked",
)  # fmt: skip
LATENCIES = tuple(f"latency_{step}" for step in range(STEPS))


class EmailStats(Base):
    """Sums of the `grain` minutes from `slot` on, of one provider's emails and one `value` of a `dimension`.

    Everything is in it three times: by the quarter hour and by two hours, of which days of any time zone are made, and
    by the day of UTC, for long times.

    `latency_N` counts accepted emails by the steps of domain.stats.step_of, null where there are none: a row holds
    few of them.
    """

    __table__ = Table(
        "email_stats",
        Base.metadata,
        Column("user_id", Uuid, ForeignKey("users.id"), primary_key=True),
        Column("dimension", String(20), primary_key=True),
        Column("grain", SmallInteger, primary_key=True),
        Column("slot", TIMESTAMP(timezone=True), primary_key=True),
        Column("value", String(255), primary_key=True),
        Column("provider_id", Uuid, primary_key=True),
        Column("currency", String(3), primary_key=True),
        *(Column(name, Integer, server_default=text("0"), nullable=False) for name in COUNTS),
        Column("spend", Numeric(18, 8), server_default=text("0"), nullable=False),
        *(Column(name, Integer) for name in LATENCIES),
        Index("ix_email_stats_slot", "slot", postgresql_using="brin"),
        CheckConstraint(f"grain IN ({SLOT_MINUTES}, {BLOCK_MINUTES}, {DAY_MINUTES})", name="grain"),
        postgresql_with={"fillfactor": "80"},
    )
