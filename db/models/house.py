"""Workers that live, duties that recur, and what providers told."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Id, Instant, Json, ProviderRef, Stamp


class WorkerRun(Base):
    """A worker process that may hold claims until `lease_until`."""

    __tablename__ = "worker_runs"

    id: Mapped[Id]
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started_at: Mapped[Stamp]
    lease_until: Mapped[Instant]


class UpkeepDuty(Base):
    """When a duty of the clock was last done to its end."""

    __tablename__ = "upkeep_duties"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    done_at: Mapped[Instant]


class Recovery(Base):
    """That the database was restored from a backup of `since`: attempts that were made until `at` may be missing."""

    __tablename__ = "recoveries"

    at: Mapped[Stamp] = mapped_column(primary_key=True)
    since: Mapped[Instant]


class Lookup(Base):
    """How often something was looked for at a provider: an attempt in doubt, or any attempt of an email (`about`)."""

    __tablename__ = "lookups"

    about: Mapped[UUID] = mapped_column(primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(primary_key=True)
    looks: Mapped[int] = mapped_column(SmallInteger)
    looked_at: Mapped[Instant]

    __table_args__ = (Index("ix_lookups_looked_at", "looked_at"),)


class LookupCursor(Base):
    """How far an account has come in looking for what a recovery holds: the email that is next. None: the first one."""

    __tablename__ = "lookup_cursors"

    provider_id: Mapped[UUID] = mapped_column(primary_key=True)
    next: Mapped[UUID | None]


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


class AuditLine(Base):
    """Who changed what: `by` the API or the command line; `fields`: the names of what was given, never the values."""

    __tablename__ = "audit_log"

    id: Mapped[Id]
    at: Mapped[Stamp]
    user_id: Mapped[UUID | None]
    api_key_id: Mapped[UUID | None]
    by: Mapped[str] = mapped_column(String(20))
    action: Mapped[str] = mapped_column(String(150))
    target: Mapped[UUID | None]
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    request_id: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index("ix_audit_log_user", "user_id", "id"),
        Index("ix_audit_log_target", "target", "id"),
    )
