"""Budgets, and what becomes of emails of a type where one is spent"""

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision: str | None = "0066"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("provider_id", sa.Uuid(), nullable=True),
        sa.Column("imposed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("amount", sa.Numeric(precision=20, scale=8), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("time_zone", sa.String(length=64), server_default="UTC", nullable=False),
        sa.Column("spent", sa.Numeric(precision=20, scale=8), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "began_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("alerted_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("stopped_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.CheckConstraint("period IN ('day', 'month')", name=op.f("ck_budgets_period")),
        sa.CheckConstraint("amount >= 0 AND spent >= 0", name=op.f("ck_budgets_amount")),
        sa.CheckConstraint("NOT imposed OR user_id IS NOT NULL", name=op.f("ck_budgets_imposed")),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], name=op.f("fk_budgets_provider_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_budgets_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
    )
    op.create_index("ix_budgets_user", "budgets", ["user_id", "id"])
    op.add_column(
        "email_types",
        sa.Column("at_budget", sa.String(length=10), server_default="defer", nullable=False),
    )
    op.execute("UPDATE email_types SET at_budget = 'ignore' WHERE urgent")
    op.create_check_constraint(
        op.f("ck_email_types_at_budget"), "email_types", "at_budget IN ('defer', 'fail', 'ignore')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_email_types_at_budget"), "email_types")
    op.drop_column("email_types", "at_budget")
    op.drop_table("budgets")
