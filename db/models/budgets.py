"""What may be spent."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Stamp


class Budget(Base):
    """What may be spent in a day or a month of its time zone. `user_id` null: of everybody's emails; `provider_id`
    null: by whatever provider. `imposed`: an operator's, on a user. `spent` is of the period that began at `began_at`.
    """

    __tablename__ = "budgets"

    id: Mapped[Id]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    provider_id: Mapped[UUID | None] = mapped_column(ForeignKey("providers.id"))
    imposed: Mapped[bool] = mapped_column(server_default=text("false"))
    period: Mapped[str] = mapped_column(String(10))
    amount: Mapped[Decimal] = mapped_column(Numeric(20, 8))
    currency: Mapped[str] = mapped_column(String(3))
    time_zone: Mapped[str] = mapped_column(String(64), server_default="UTC")
    spent: Mapped[Decimal] = mapped_column(Numeric(20, 8), server_default=text("0"))
    began_at: Mapped[Stamp]
    alerted_at: Mapped[Instant | None]
    stopped_at: Mapped[Instant | None]
    created_at: Mapped[Stamp]
    updated_at: Mapped[Stamp]

    __table_args__ = (
        Index("ix_budgets_user", "user_id", "id"),
        Index("ix_budgets_operators", "id", postgresql_where=text("user_id IS NULL OR imposed")),
        CheckConstraint("period IN ('day', 'month')", name="period"),
        CheckConstraint("amount >= 0 AND spent >= 0", name="amount"),
        CheckConstraint("NOT imposed OR user_id IS NOT NULL", name="imposed"),
    )
