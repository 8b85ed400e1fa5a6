"""Whose traces are to be taken away, and how far that has come."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Json, Stamp, UserRef


class Erasure(Base):
    """Everything about an address, of one user, or of `everybody`.

    `subject`: the address's keyed hash (mm_erased), by which a repeat is known. `address` itself is there only until
    the work is done. `place`: where the work goes on; `found`: what was taken away, counted.
    """

    __tablename__ = "erasures"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    everybody: Mapped[bool] = mapped_column(server_default=text("false"))
    subject: Mapped[str] = mapped_column(String(80))
    address: Mapped[str | None] = mapped_column(String(320))
    place: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    found: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    asked_at: Mapped[Stamp]
    due_at: Mapped[Stamp]
    done_at: Mapped[Instant | None]

    __table_args__ = (
        Index("ix_erasures_user", "user_id", "id"),
        Index(
            "uq_erasures_open", "user_id", "subject", "everybody", unique=True,
            postgresql_where=text("done_at IS NULL"),
        ),
        Index("ix_erasures_due", "due_at", postgresql_where=text("done_at IS NULL")),
        CheckConstraint("(address IS NULL) = (done_at IS NOT NULL)", name="address"),
    )  # fmt: skip


class ErasedContent(Base):
    """A body that an erased email had; it goes too, unless an email of somebody else's has it as well."""

    __tablename__ = "erased_contents"

    erasure_id: Mapped[UUID] = mapped_column(ForeignKey("erasures.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
