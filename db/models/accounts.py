"""People, their keys, and what they asked for once."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Json, Name, Stamp, UserRef


class User(Base):
    """`link_secret` proves the links by which recipients unsubscribe."""

    __tablename__ = "users"

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(20), server_default="member")
    link_secret: Mapped[bytes] = mapped_column(LargeBinary, server_default=text("mm_secret()"))
    created_at: Mapped[Stamp]


class ApiKey(Base):
    """`key` is the SHA-256 of the secret part; `public_id` is the part that may be shown."""

    __tablename__ = "api_keys"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    key: Mapped[str] = mapped_column(Text)
    public_id: Mapped[str] = mapped_column(String(16), unique=True)
    name: Mapped[Name] = mapped_column(String(100), server_default="")
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[Stamp]
    expires_at: Mapped[Instant | None]
    revoked_at: Mapped[Instant | None]

    __table_args__ = (Index("ix_api_keys_user", "user_id"),)


class IdempotencyKey(Base):
    """The answer that a repeated request gets. Inserted in the transaction that accepts the request's emails."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UserRef] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(String(100), primary_key=True)
    key: Mapped[str] = mapped_column(String(256), primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status_code: Mapped[int] = mapped_column(SmallInteger)
    response: Mapped[Json]
    created_at: Mapped[Stamp]
    expires_at: Mapped[Instant]

    __table_args__ = (Index("ix_idempotency_keys_expiry", "expires_at"),)
