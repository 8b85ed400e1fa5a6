"""Campaigns, and what is halted"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision: str | None = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("mm_now()")
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("status", sa.String(10), server_default="active", nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("per_minute", sa.Integer(), nullable=True),
        sa.Column("spend_cap", sa.Numeric(14, 8), nullable=True),
        sa.Column("max_complaints", sa.Float(), server_default=sa.text("0.001"), nullable=False),
        sa.Column("max_bounces", sa.Float(), server_default=sa.text("0.05"), nullable=False),
        sa.Column("min_sent", sa.Integer(), server_default=sa.text("100"), nullable=False),
        sa.Column("next_slot", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.CheckConstraint("status IN ('active', 'paused', 'cancelled')", name=op.f("ck_campaigns_status")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_campaigns_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    op.create_index("ix_campaigns_user", "campaigns", ["user_id", "id"])
    op.create_table(
        "halts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("value", sa.String(50), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.CheckConstraint("kind IN ('campaign', 'user', 'type', 'lane')", name=op.f("ck_halts_kind")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_halts_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_halts")),
    )
    op.create_index("uq_halts", "halts", ["kind", "value", "user_id"], unique=True)
    op.add_column("email_jobs", sa.Column("campaign_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_email_jobs_campaign", "email_jobs", ["campaign_id", "id"],
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_email_jobs_campaign", table_name="email_jobs")
    op.drop_column("email_jobs", "campaign_id")
    op.drop_table("halts")
    op.drop_table("campaigns")
