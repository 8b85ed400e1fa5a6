"""People, their keys, and what they asked for once."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKey,
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
    """`link_secret` proves the links by which recipients unsubscribe. `password_link`: the SHA-256 of a token that sets
    the password once, until `password_link_ends_at`. `test_of`: this is the account of that user's test keys.
    """

    __tablename__ = "users"

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(20), server_default="member")
    link_secret: Mapped[bytes] = mapped_column(LargeBinary, server_default=text("mm_secret()"))
    created_at: Mapped[Stamp]
    password_link: Mapped[str | None] = mapped_column(String(64), unique=True)
    password_link_ends_at: Mapped[Instant | None]
    test_of: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), unique=True)


class ApiKey(Base):
    """`key` is the SHA-256 of the secret part; `public_id` is the part that may be shown. `kind`: key, or session, made
    by signing in from the address `came_from` with the program `name`.
    """

    __tablename__ = "api_keys"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    key: Mapped[str] = mapped_column(Text)
    public_id: Mapped[str] = mapped_column(String(16), unique=True)
    name: Mapped[Name] = mapped_column(String(100), server_default="")
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    senders: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    networks: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    per_minute: Mapped[int | None]
    created_at: Mapped[Stamp]
    expires_at: Mapped[Instant | None]
    revoked_at: Mapped[Instant | None]
    kind: Mapped[str] = mapped_column(String(10), server_default="key")
    came_from: Mapped[str | None] = mapped_column(String(45))

    __table_args__ = (
        Index("ix_api_keys_user", "user_id"),
        CheckConstraint("kind IN ('key', 'session')", name="kind"),
    )


class SignInTries(Base):
    """How often somebody tried to sign in since `since`: to an account, or from an address (`subject`, a SHA-256)."""

    __tablename__ = "sign_in_tries"

    subject: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    since: Mapped[Stamp]
    tries: Mapped[int]


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
