"""The tables. Times are the database's own (`mm_now()`), ids are UUIDv7 made by the application.

`docs/reference/schema.md` says what each table is for, and why it differs from the usual textbook shape.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    TIMESTAMP,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    String,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Id = Annotated[UUID, mapped_column(primary_key=True)]
Instant = Annotated[datetime, mapped_column(TIMESTAMP(timezone=True))]
Stamp = Annotated[datetime, mapped_column(TIMESTAMP(timezone=True), server_default=func.mm_now())]
Money = Annotated[Decimal, mapped_column(Numeric(14, 8))]
Name = Annotated[str, mapped_column(String(100))]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
UserRef = Annotated[UUID, mapped_column(ForeignKey("users.id"))]
ProviderRef = Annotated[UUID, mapped_column(ForeignKey("providers.id"))]


class Base(DeclarativeBase):
    """All tables of Mailmux."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


claim_tokens = Sequence("claim_tokens", metadata=Base.metadata)


class User(Base):
    __tablename__ = "users"

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(20), server_default="member")
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


class Provider(Base):
    """An account at a provider. `user_id` null: shared by all. `api_key` holds all its credentials, sealed;
    `webhook` the token and the secrets of its events, sealed too; null: it has none.
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
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[Stamp]
    updated_at: Mapped[Stamp]
    deleted_at: Mapped[Instant | None]

    __table_args__ = (
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


class SenderDomain(Base):
    """A sender domain that a provider refused as not verified; not tried there again before `retry_at`."""

    __tablename__ = "sender_domains"

    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(String(255), primary_key=True)
    verified: Mapped[bool]
    detail: Mapped[str] = mapped_column(Text, server_default="")
    checked_at: Mapped[Stamp]
    retry_at: Mapped[Instant | None]


class RoutingRule(Base):
    """For one email type: a default provider and its fallbacks, in order; the lowest `priority` number wins."""

    __tablename__ = "routing_rules"

    id: Mapped[Id]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    email_type: Mapped[str] = mapped_column(String(50))
    default_provider: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    priority: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[Stamp]

    __table_args__ = (Index("ix_routing_rules_user", "user_id", "email_type"),)


class RoutingRuleFallback(Base):
    __tablename__ = "routing_rule_fallbacks"

    rule_id: Mapped[UUID] = mapped_column(
        ForeignKey("routing_rules.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    provider_id: Mapped[ProviderRef]


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
    )


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


class EmailJob(Base):
    """One accepted email: wide, written once, updated only when its visible status changes."""

    __tablename__ = "email_jobs"

    id: Mapped[Id]
    user_id: Mapped[UserRef]
    api_key_id: Mapped[UUID | None]
    recipient: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    envelope: Mapped[Json]
    email_type: Mapped[str] = mapped_column(String(50))
    lane: Mapped[str] = mapped_column(String(20))
    on_unknown: Mapped[str] = mapped_column(String(10))
    options: Mapped[Json]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    attributes: Mapped[Json] = mapped_column("metadata", JSONB)
    attachment_url: Mapped[str | None] = mapped_column(Text)
    provider_used: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(50))
    status_reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Stamp]
    send_at: Mapped[Instant | None]
    expires_at: Mapped[Instant | None]
    sent_at: Mapped[Instant | None]

    __table_args__ = (
        Index("ix_email_jobs_user_id", "user_id", "id"),
        {"postgresql_with": {"fillfactor": "60"}},  # its status changes in place
    )


class EmailQueue(Base):
    """What still moves. The row is the work: narrow, and deleted when there is nothing more to do.

    `run` and `token` name the claim; `claims` counts claims that have not ended in order; `round` counts
    the passes over all providers; `held`: the outcome of an attempt is unknown, and `due_at` is when waiting
    for evidence ends.
    """

    __tablename__ = "email_queue"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    lane: Mapped[str] = mapped_column(String(20))
    due_at: Mapped[Instant]
    run: Mapped[UUID | None]
    token: Mapped[int | None] = mapped_column(BigInteger)
    claims: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    round: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    held: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (
        Index("ix_email_queue_due", "lane", "due_at", postgresql_where=text("run IS NULL")),
        Index("ix_email_queue_user", "lane", "user_id", "due_at", postgresql_where=text("run IS NULL")),
        Index("ix_email_queue_suspects", "lane", postgresql_where=text("run IS NULL AND claims >= 2")),
        Index("ix_email_queue_run", "run", postgresql_where=text("run IS NOT NULL")),
        Index("ix_email_queue_held", "lane", postgresql_where=text("held")),
        CheckConstraint("(run IS NULL) = (token IS NULL)", name="claim"),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class WorkerRun(Base):
    """A worker process that may hold claims until `lease_until`."""

    __tablename__ = "worker_runs"

    id: Mapped[Id]
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started_at: Mapped[Stamp]
    lease_until: Mapped[Instant]


class DeliveryAttempt(Base):
    """The ledger: a line per try, committed before the wire. `outcome` null: still open."""

    __tablename__ = "delivery_attempts"

    id: Mapped[Id]
    job_id: Mapped[UUID]
    provider_id: Mapped[UUID]
    run: Mapped[UUID]
    token: Mapped[int] = mapped_column(BigInteger)
    round: Mapped[int] = mapped_column(SmallInteger)
    recipients: Mapped[int]
    estimated_cost: Mapped[Money]
    currency: Mapped[str] = mapped_column(String(3))
    decision: Mapped[Json]
    opened_at: Mapped[Stamp]
    settled_at: Mapped[Instant | None]
    outcome: Mapped[str | None] = mapped_column(String(10))
    error: Mapped[str | None] = mapped_column(String(40))
    detail: Mapped[str | None] = mapped_column(Text)
    provider_message_id: Mapped[str | None] = mapped_column(Text)
    latency_ms: Mapped[float | None]

    __table_args__ = (
        Index("ix_delivery_attempts_job", "job_id"),
        Index("ix_delivery_attempts_open", "run", postgresql_where=text("outcome IS NULL")),
        Index("ix_delivery_attempts_unknown", "settled_at", postgresql_where=text("outcome = 'unknown'")),
        Index(
            "ix_delivery_attempts_recent",
            "opened_at",
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on", "pages_per_range": 32},
        ),
        Index(
            "ix_delivery_attempts_message",
            "provider_message_id",
            postgresql_using="hash",  # for a name of any length
            postgresql_where=text("provider_message_id IS NOT NULL"),
        ),
        CheckConstraint("outcome IN ('accepted', 'not_sent', 'unknown')", name="outcome"),
        CheckConstraint("(outcome IS NULL) = (settled_at IS NULL)", name="settled"),
    )


class ProviderCall(Base):
    """One request to a provider that carries several emails, or may be made again; committed before it is made.

    `attempt_ids` in the order of its emails. `repeatable_until`: how long the provider knows it by `key`.
    """

    __tablename__ = "provider_calls"

    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(256), primary_key=True)
    payload_hash: Mapped[bytes] = mapped_column(LargeBinary)
    attempt_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    opened_at: Mapped[Stamp]
    repeatable_until: Mapped[Instant | None]
    repeats: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    repeated_at: Mapped[Instant | None]

    __table_args__ = (
        Index("ix_provider_calls_attempts", "attempt_ids", postgresql_using="gin"),
        Index("ix_provider_calls_opened", "opened_at", postgresql_using="brin"),
    )


class EmailStatus(Base):
    """The timeline of an email: a line per visible change, with its reason. Its beginning is the job's own row."""

    __tablename__ = "email_status"

    email_job_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[Id]
    status: Mapped[str] = mapped_column(String(50))
    timestamp: Mapped[Stamp]
    reason: Mapped[str | None] = mapped_column(Text)
    attempt_id: Mapped[UUID | None]
    detail: Mapped[Json | None] = mapped_column(JSONB)


class UpkeepDuty(Base):
    """When a duty of the clock was last done to its end."""

    __tablename__ = "upkeep_duties"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    done_at: Mapped[Instant]


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


class InboundEvent(Base):
    """What a provider told later, stored before it is applied. `event_key` is the same for a repeat.

    `raw` as the provider wrote it, `event` as we read it. `state`: waiting (looked at when `due_at` has come),
    applied, or unmatched (no email of ours).
    """

    __tablename__ = "inbound_events"

    id: Mapped[Id]
    provider_id: Mapped[ProviderRef]
    event_key: Mapped[str] = mapped_column(String(200))
    raw: Mapped[str] = mapped_column(Text)
    event: Mapped[Json]
    attempt_id: Mapped[UUID | None]
    provider_message_id: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10), server_default="waiting")
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    received_at: Mapped[Stamp]
    due_at: Mapped[Stamp]
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("email_jobs.id", ondelete="CASCADE"))

    __table_args__ = (
        Index("uq_inbound_events_key", "provider_id", "event_key", unique=True),
        Index("ix_inbound_events_due", "due_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_inbound_events_job", "job_id", postgresql_where=text("job_id IS NOT NULL")),
        Index("ix_inbound_events_received", "received_at"),
        CheckConstraint("state IN ('waiting', 'applied', 'unmatched')", name="state"),
        CheckConstraint("(state = 'applied') = (job_id IS NOT NULL)", name="applied"),
    )


class InboundNonce(Base):
    """A value that a provider signs and uses once, with the hash of the body that came with it."""

    __tablename__ = "inbound_nonces"
    __table_args__ = (Index("ix_inbound_nonces_received", "received_at", postgresql_using="brin"),)

    provider_id: Mapped[ProviderRef] = mapped_column(primary_key=True)
    nonce: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[Stamp]
