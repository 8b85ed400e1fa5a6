"""What the clock's duties need: when each was done, performance by slots, and what is purged"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

_COUNTS = ("emails_rejected", "emails_unknown")
_LATENCIES = ("latency_p50", "latency_p95", "latency_p99")


def upgrade() -> None:
    op.create_table(
        "upkeep_duties",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_upkeep_duties")),
    )
    for name in _COUNTS:
        op.add_column(
            "provider_performance", sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)
        )
    for name in _LATENCIES:
        op.add_column("provider_performance", sa.Column(name, sa.Double(), nullable=True))
    op.create_table(
        "provider_performance_history",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("emails_sent", sa.Integer(), nullable=False),
        sa.Column("emails_failed", sa.Integer(), nullable=False),
        sa.Column("emails_rejected", sa.Integer(), nullable=False),
        sa.Column("emails_unknown", sa.Integer(), nullable=False),
        sa.Column("latency_sum", sa.Double(), nullable=False),
        sa.Column("latencies", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_provider_performance_history_provider_id")
        ),
        sa.PrimaryKeyConstraint("provider_id", "slot", name=op.f("pk_provider_performance_history")),
    )
    op.create_index("ix_provider_performance_history_slot", "provider_performance_history", ["slot"])
    # What is purged apart must not be searched for references, row by row, in tables without an index for it.
    op.execute("ALTER TABLE email_jobs DROP CONSTRAINT IF EXISTS fk_email_jobs_user_id_content_hash")
    op.execute("ALTER TABLE email_status DROP CONSTRAINT IF EXISTS fk_email_status_attempt_id")
    op.create_index("ix_inbound_nonces_received", "inbound_nonces", ["received_at"], postgresql_using="brin")
    op.create_index("ix_email_contents_created", "email_contents", ["created_at"], postgresql_using="brin")


def downgrade() -> None:
    op.drop_index("ix_inbound_nonces_received", table_name="inbound_nonces", postgresql_using="brin")
    op.drop_index("ix_email_contents_created", table_name="email_contents", postgresql_using="brin")
    # References to what was purged meanwhile cannot be had back: the older version checks new rows only.
    op.execute(
        "ALTER TABLE email_status ADD CONSTRAINT fk_email_status_attempt_id FOREIGN KEY (attempt_id)"
        " REFERENCES delivery_attempts (id) ON DELETE CASCADE NOT VALID"
    )
    op.execute(
        "ALTER TABLE email_jobs ADD CONSTRAINT fk_email_jobs_user_id_content_hash FOREIGN KEY"
        " (user_id, content_hash) REFERENCES email_contents (user_id, hash) NOT VALID"
    )
    op.drop_table("provider_performance_history")
    for name in (*_COUNTS, *_LATENCIES):
        op.drop_column("provider_performance", name)
    op.drop_table("upkeep_duties")
