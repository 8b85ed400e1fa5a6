"""Providers, what they may send, what they cost and how they do."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Json, Money, Name, ProviderRef, Stamp


class Provider(Base):
    """An account at a provider. `user_id` null: shared by all. `api_key` holds all its credentials, sealed;
    `webhook` the token and the secrets of its events, sealed too; null: it has none. `test`: a test account's.
    `region`: where it keeps emails.
    """

    __tablename__ = "providers"

    id: Mapped[Id]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    name: Mapped[Name]
    kind: Mapped[str] = mapped_column(String(40))
    api_key: Mapped[str] = mapped_column(Text)
    webhook: Mapped[str | None] = mapped_column(Text)
    config: Mapped[Json]
    base_cost: Mapped[Money]
    currency: Mapped[str] = mapped_column(String(3), server_default="USD")
    reliability_score: Mapped[float] = mapped_column(server_default=text("1"))
    status: Mapped[bool] = mapped_column(server_default=text("true"))
    region: Mapped[str | None] = mapped_column(String(20))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[Stamp]
    updated_at: Mapped[Stamp]
    deleted_at: Mapped[Instant | None]
    test: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (
        Index("ix_providers_test", "id", postgresql_where=text("test")),
        Index("uq_providers_shared_name", "name", unique=True,
              postgresql_where=text("user_id IS NULL AND deleted_at IS NULL")),
        Index("uq_providers_user_name", "user_id", "name", unique=True,
              postgresql_where=text("deleted_at IS NULL")),
    )  # fmt: skip


class ProviderQuota(Base):
    """Limits of one provider and what is used of them, in recipients. Null: no limit. `rolling`: of any 24 hours."""

    __tablename__ = "provider_quota"

    id: Mapped[Id]
    provider_id: Mapped[ProviderRef] = mapped_column(unique=True)
    daily_quota: Mapped[int | None]
    monthly_quota: Mapped[int | None]
    used_today: Mapped[int] = mapped_column(server_default=text("0"))
    used_this_month: Mapped[int] = mapped_column(server_default=text("0"))
    rolling_quota: Mapped[int | None]
    used_rolling: Mapped[int] = mapped_column(server_default=text("0"))
    rate_per_second: Mapped[float | None]
    time_zone: Mapped[str] = mapped_column(String(64), server_default="UTC")
    reset_at: Mapped[Instant]

    __table_args__ = (
        CheckConstraint(
            "daily_quota >= 0 AND monthly_quota >= 0 AND rate_per_second > 0",
            name="limits",
        ),
        CheckConstraint("used_today >= 0 AND used_this_month >= 0", name="used"),
        CheckConstraint("rolling_quota >= 0 AND used_rolling >= 0", name="rolling"),
    )


class QuotaSlot(Base):
    """What a quarter of an hour has used of a quota of any 24 hours. Their sum is `provider_quota.used_rolling`."""

    __tablename__ = "quota_slots"

    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True)
    slot: Mapped[Instant] = mapped_column(primary_key=True)
    recipients: Mapped[int]

    __table_args__ = (CheckConstraint("recipients >= 0", name="recipients"),)


class ProviderPerformance(Base):
    """What the ledger says of a provider over the last day. Latencies in milliseconds, of accepted emails."""

    __tablename__ = "provider_performance"

    id: Mapped[Id]
    provider_id: Mapped[ProviderRef] = mapped_column(unique=True)
    emails_sent: Mapped[int] = mapped_column(server_default=text("0"))
    emails_failed: Mapped[int] = mapped_column(server_default=text("0"))
    emails_rejected: Mapped[int] = mapped_column(server_default=text("0"))
    emails_unknown: Mapped[int] = mapped_column(server_default=text("0"))
    average_latency: Mapped[float] = mapped_column(server_default=text("0"))
    latency_p50: Mapped[float | None]
    latency_p95: Mapped[float | None]
    latency_p99: Mapped[float | None]
    last_updated: Mapped[Stamp]
    learned: Mapped[Json | None] = mapped_column(JSONB)


class ProviderPerformanceHistory(Base):
    """The same for ten minutes from `slot` on. `latencies` counts accepted emails by the steps of a logarithmic
    scale (db.repositories.performance), so that slots can be added up.
    """

    __tablename__ = "provider_performance_history"

    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True)
    slot: Mapped[Instant] = mapped_column(primary_key=True)
    emails_sent: Mapped[int]
    recipients_sent: Mapped[int] = mapped_column(server_default=text("0"))
    emails_failed: Mapped[int]
    emails_rejected: Mapped[int]
    emails_unknown: Mapped[int]
    latency_sum: Mapped[float]
    latencies: Mapped[Json]

    __table_args__ = (Index("ix_provider_performance_history_slot", "slot"),)


class ProviderPrice(Base):
    """What a provider charges from a day on. `tiers`: pairs of the last recipient of a tier (null: without end) and
    its price per 1,000; they count from the period's first recipient, `included` ones are covered by the fee.
    """

    __tablename__ = "provider_prices"

    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True)
    valid_from: Mapped[Instant] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(String(3))
    monthly_fee: Mapped[Money] = mapped_column(server_default=text("0"))
    included: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    per_gigabyte: Mapped[Money] = mapped_column(server_default=text("0"))
    tiers: Mapped[Json]


class Learner(Base):
    """The one process that learns: its lease, fenced by a number that grows with every holder, and its notes."""

    __tablename__ = "learner"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    holder: Mapped[UUID]
    fence: Mapped[int] = mapped_column(BigInteger)
    lease_until: Mapped[Instant]
    position: Mapped[str] = mapped_column(Text, server_default="0-0")
    notes: Mapped[Json] = mapped_column(JSONB, server_default=text("'{}'"))

    __table_args__ = (CheckConstraint("id = 1", name="single"),)


class RoutingRule(Base):
    """A default provider and its fallbacks, in order, for the emails that all conditions fit; the lowest `priority`
    number wins. `user_id` null: everybody's, or, with `for_user_id`, an operator's rule for that user. Conditions that
    are null fit any email; a rule with none is for all.
    """

    __tablename__ = "routing_rules"

    id: Mapped[Id]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    email_type: Mapped[str | None] = mapped_column(String(50))
    default_provider: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    priority: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[Stamp]
    sender_domain: Mapped[str | None] = mapped_column(String(255))
    recipient_domain: Mapped[str | None] = mapped_column(String(255))
    tag: Mapped[str | None] = mapped_column(String(128))
    for_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    policy: Mapped[str | None] = mapped_column(String(20))

    __table_args__ = (
        Index("ix_routing_rules_user", "user_id", "email_type"),
        CheckConstraint("policy IN ('cheapest', 'balanced', 'most_reliable')", name="policy"),
        CheckConstraint("user_id IS NULL OR for_user_id IS NULL", name="for_user"),
    )


class RoutingRuleFallback(Base):
    __tablename__ = "routing_rule_fallbacks"

    rule_id: Mapped[UUID] = mapped_column(
        ForeignKey("routing_rules.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    provider_id: Mapped[ProviderRef]


class Home(Base):
    """Where the steady emails of a sender domain to a group of mailboxes go (routing.stickiness)."""

    __tablename__ = "homes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    sender_domain: Mapped[str] = mapped_column(String(255), primary_key=True)
    mailbox_group: Mapped[str] = mapped_column(String(30), primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    since: Mapped[Stamp]


class MailboxHost(Base):
    """Who runs the mailboxes of a domain (routing.mailbox_groups), as its mail exchangers told."""

    __tablename__ = "mailbox_hosts"

    domain: Mapped[str] = mapped_column(String(255), primary_key=True)
    mailbox_group: Mapped[str] = mapped_column(String(30))
    checked_at: Mapped[Stamp]

    __table_args__ = (Index("ix_mailbox_hosts_checked_at", "checked_at"),)


class WarmUp(Base):
    """A sender domain that warms up at a provider: `daily` recipients on each day since `started_at`, of which `used`
    are gone on day `used_day` (from 0). After the last day it is warm.
    """

    __tablename__ = "warm_ups"

    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"), primary_key=True)
    sender_domain: Mapped[str] = mapped_column(String(255), primary_key=True)
    daily: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    started_at: Mapped[Stamp]
    used_day: Mapped[int] = mapped_column(server_default=text("0"))
    used: Mapped[int] = mapped_column(server_default=text("0"))
