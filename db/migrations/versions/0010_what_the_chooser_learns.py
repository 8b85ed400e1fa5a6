"""What the chooser learns and is told: the learner's lease and notes, prices, and what an email type is worth"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "learner",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("position", sa.Text(), server_default="0-0", nullable=False),
        sa.Column(
            "notes", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_learner_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learner")),
    )
    op.add_column(
        "provider_performance",
        sa.Column("learned", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    )
    op.create_table(
        "provider_prices",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("valid_from", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("monthly_fee", sa.Numeric(14, 8), server_default=sa.text("0"), nullable=False),
        sa.Column("included", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("per_gigabyte", sa.Numeric(14, 8), server_default=sa.text("0"), nullable=False),
        sa.Column("tiers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_provider_prices_provider_id")
        ),
        sa.PrimaryKeyConstraint("provider_id", "valid_from", name=op.f("pk_provider_prices")),
    )
    op.add_column(
        "email_types",
        sa.Column("policy", sa.String(length=20), server_default="balanced", nullable=False),
    )
    op.add_column(
        "email_types", sa.Column("urgent", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_email_types_policy"), "email_types", "policy IN ('cheapest', 'balanced', 'most_reliable')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_email_types_policy"), "email_types", type_="check")
    op.drop_column("email_types", "urgent")
    op.drop_column("email_types", "policy")
    op.drop_table("provider_prices")
    op.drop_column("provider_performance", "learned")
    op.drop_table("learner")
