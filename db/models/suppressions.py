"""Who is not written to any more."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Index, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Stamp, UserRef


class Suppression(Base):
    """An address of a user's list, in lower case. `scope`: all, marketing or type:NAME. `source`: who put it there."""

    __tablename__ = "suppressions"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    address: Mapped[str] = mapped_column(String(320))
    scope: Mapped[str] = mapped_column(String(60))
    cause: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(120), server_default="")
    detail: Mapped[str | None] = mapped_column(Text)
    email_id: Mapped[UUID | None]
    expires_at: Mapped[Instant | None]
    created_at: Mapped[Stamp]

    __table_args__ = (
        Index("uq_suppressions_address", "user_id", "address", "scope", unique=True),
        Index("ix_suppressions_user_time", "user_id", "created_at"),
        Index("ix_suppressions_user_id", "user_id", "id"),
        Index("ix_suppressions_cause", "user_id", "cause", "id"),
        Index("ix_suppressions_scope", "user_id", "scope", "id"),
    )


class SoftBounce(Base):
    """How often an address has bounced softly since `since`."""

    __tablename__ = "soft_bounces"

    user_id: Mapped[UserRef] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(320), primary_key=True)
    since: Mapped[Stamp]
    strikes: Mapped[int] = mapped_column(SmallInteger)
