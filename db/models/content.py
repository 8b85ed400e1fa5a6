"""What an email says, and how its kind is to be treated."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Json, Name, ProviderRef, Stamp, UserRef


class Domain(Base):
    """A domain that a user sends from. `report`: what the last check found (domain.sender_domains). `token` stands in
    the DNS where it is theirs: `proved_at` since when, `missing_since` since when it does not any more.
    """

    __tablename__ = "domains"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    name: Mapped[str] = mapped_column(String(253))
    token: Mapped[str] = mapped_column(
        String(32), server_default=text("replace((gen_random_uuid())::text, '-'::text, ''::text)")
    )
    proved_at: Mapped[Instant | None]
    missing_since: Mapped[Instant | None]
    report: Mapped[Json | None]
    checked_at: Mapped[Instant | None]
    due_at: Mapped[Stamp]
    created_at: Mapped[Stamp]

    __table_args__ = (
        UniqueConstraint("user_id", "name", name="uq_domains_user"),
        Index("ix_domains_due", "due_at"),
        Index("ix_domains_name", "name"),
        Index("ix_domains_proved", "name", postgresql_where=text("proved_at IS NOT NULL")),
    )


class SenderDomain(Base):
    """A sender domain at a provider. Where it is not verified, as a check or a refused email showed, nothing is sent
    from it there before `retry_at`.
    """

    __tablename__ = "sender_domains"

    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(String(255), primary_key=True)
    verified: Mapped[bool]
    detail: Mapped[str] = mapped_column(Text, server_default="")
    checked_at: Mapped[Stamp]
    retry_at: Mapped[Instant | None]


class EmailType(Base):
    """A declared kind of email. `user_id` null: exists for everybody."""

    __tablename__ = "email_types"

    id: Mapped[Id]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(50))
    category: Mapped[str] = mapped_column(String(20))
    lane: Mapped[str] = mapped_column(String(20))
    on_unknown: Mapped[str] = mapped_column(String(10), server_default="hold")
    policy: Mapped[str] = mapped_column(String(20), server_default="balanced")
    urgent: Mapped[bool] = mapped_column(server_default=text("false"))
    unsubscribe_scope: Mapped[str] = mapped_column(String(10), server_default="marketing")
    deliver_at_least: Mapped[float | None] = mapped_column(Double)
    taken_within: Mapped[float | None] = mapped_column(Double)  # seconds
    at_budget: Mapped[str] = mapped_column(String(10), server_default="defer")
    created_at: Mapped[Stamp]

    __table_args__ = (
        Index(
            "uq_email_types_shared",
            "name",
            unique=True,
            postgresql_where=text("user_id IS NULL"),
        ),
        Index("uq_email_types_user", "user_id", "name", unique=True),
        CheckConstraint("policy IN ('cheapest', 'balanced', 'most_reliable')", name="policy"),
        CheckConstraint("deliver_at_least BETWEEN 0.5 AND 0.9999", name="deliver_at_least"),
        CheckConstraint("taken_within BETWEEN 0.05 AND 10", name="taken_within"),
        CheckConstraint("at_budget IN ('defer', 'fail', 'ignore')", name="at_budget"),
        CheckConstraint("unsubscribe_scope IN ('marketing', 'type')", name="unsubscribe_scope"),
        CheckConstraint("category <> 'marketing' OR lane = 'bulk'", name="marketing_is_bulk"),
    )


class EmailTypeProvider(Base):
    """A provider that emails of a type may go by. A type that has none of these goes by any."""

    __tablename__ = "email_type_providers"

    type_id: Mapped[UUID] = mapped_column(ForeignKey("email_types.id", ondelete="CASCADE"), primary_key=True)
    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True, index=True)


class EmailTemplate(Base):
    """`template_body`: that of the published version, whose parts are in `email_template_versions`."""

    __tablename__ = "email_templates"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    template_name: Mapped[Name]
    template_body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Stamp]
    published_version: Mapped[int | None]
    updated_at: Mapped[Stamp]

    __table_args__ = (Index("uq_email_templates_user_name", "user_id", "template_name", unique=True),)


class EmailTemplateVersion(Base):
    """What a template said at some time. Written once, never changed."""

    __tablename__ = "email_template_versions"

    template_id: Mapped[UUID] = mapped_column(
        ForeignKey("email_templates.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subject: Mapped[str] = mapped_column(Text)
    text: Mapped[str | None] = mapped_column(Text)
    html: Mapped[str | None] = mapped_column(Text)
    mjml: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Stamp]


class EmailContent(Base):
    """A body, once per user, day and SHA-256 of its canonical form, however many emails carry it.

    The day is in the hash, so that a body that is old is no longer wanted by any new email.
    """

    __tablename__ = "email_contents"

    user_id: Mapped[UserRef] = mapped_column(primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    text: Mapped[str | None] = mapped_column(Text)
    html: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Stamp]

    __table_args__ = (Index("ix_email_contents_created", "created_at", postgresql_using="brin"),)
