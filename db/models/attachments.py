"""Files of emails: what is kept, under which names, and which emails carry it. Contents are in the store."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Stamp, UserRef


class Blob(Base):
    """A content in the store, once per user and SHA-256. It is there before its first `Attachment` is.

    `used_at`: when it was last asked for; nothing is taken away that was asked for within a day.
    """

    __tablename__ = "blobs"

    user_id: Mapped[UserRef] = mapped_column(primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[Stamp]
    used_at: Mapped[Stamp]

    __table_args__ = (Index("ix_blobs_used_at", "used_at"),)


class Attachment(Base):
    """A content under a name and a type, with the id that its owner knows it by."""

    __tablename__ = "attachments"

    id: Mapped[Id]
    user_id: Mapped[UUID]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    filename: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[Stamp]
    used_at: Mapped[Stamp]

    __table_args__ = (
        Index("uq_attachments_content", "user_id", "hash", "filename", "content_type", unique=True),
        Index("ix_attachments_user_id", "user_id", "id"),
        Index("ix_attachments_used_at", "used_at"),
        ForeignKeyConstraint(["user_id", "hash"], ["blobs.user_id", "blobs.hash"]),
    )


class AttachmentUpload(Base):
    """An upload that was announced, to an address of its own; `attachment_id` is the file that it became."""

    __tablename__ = "attachment_uploads"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    filename: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str | None] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    attachment_id: Mapped[UUID | None]
    created_at: Mapped[Stamp]
    expires_at: Mapped[Instant]

    __table_args__ = (Index("ix_attachment_uploads_expires_at", "expires_at"),)


class EmailAttachment(Base):
    """That an email carries a content, which stays as long as this row. How it carries it is in the email's row."""

    __tablename__ = "email_attachments"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID]

    __table_args__ = (Index("ix_email_attachments_content", "user_id", "hash"),)
