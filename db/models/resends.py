"""Which emails were sent again."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Stamp


class Resend(Base):
    """An email that takes another one's place. An email is sent again once; then its successor may be."""

    __tablename__ = "resends"

    resend_of: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID]
    created_at: Mapped[Stamp]

    __table_args__ = (Index("uq_resends_job", "job_id", unique=True),)
