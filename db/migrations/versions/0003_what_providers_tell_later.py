"""What providers tell later: their webhooks' secrets, and the events"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def _stamp(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False)


def upgrade() -> None:
    op.add_column("providers", sa.Column("webhook", sa.Text(), nullable=True))
    op.create_index(
        "ix_delivery_attempts_message",
        "delivery_attempts",
        ["provider_message_id"],
        postgresql_using="hash",
        postgresql_where=sa.text("provider_message_id IS NOT NULL"),
    )
    op.create_table(
        "inbound_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("event_key", sa.String(length=200), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("event", postgresql.JSONB(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=True),
        sa.Column("provider_message_id", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=10), server_default="waiting", nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        _stamp("received_at"),
        _stamp("due_at"),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'applied', 'unmatched')", name=op.f("ck_inbound_events_state")
        ),
        sa.CheckConstraint(
            "(state = 'applied') = (job_id IS NOT NULL)", name=op.f("ck_inbound_events_applied")
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_inbound_events_provider_id")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["email_jobs.id"], name=op.f("fk_inbound_events_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_events")),
    )
    op.create_index("uq_inbound_events_key", "inbound_events", ["provider_id", "event_key"], unique=True)
    op.create_index(
        "ix_inbound_events_due",
        "inbound_events",
        ["due_at"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_inbound_events_job",
        "inbound_events",
        ["job_id"],
        postgresql_where=sa.text("job_id IS NOT NULL"),
    )
    op.create_index("ix_inbound_events_received", "inbound_events", ["received_at"])
    op.create_table(
        "inbound_nonces",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("nonce", sa.String(length=200), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        _stamp("received_at"),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_inbound_nonces_provider_id")
        ),
        sa.PrimaryKeyConstraint("provider_id", "nonce", name=op.f("pk_inbound_nonces")),
    )


def downgrade() -> None:
    op.drop_table("inbound_nonces")
    op.drop_table("inbound_events")
    op.drop_index("ix_delivery_attempts_message", table_name="delivery_attempts")
    op.drop_column("providers", "webhook")
