"""Sender domains that warm up at a provider"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision: str | None = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "warm_ups",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("sender_domain", sa.String(length=255), nullable=False),
        sa.Column("daily", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column(
            "started_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("used_day", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("used", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], name=op.f("fk_warm_ups_provider_id")),
        sa.PrimaryKeyConstraint("provider_id", "sender_domain", name=op.f("pk_warm_ups")),
    )


def downgrade() -> None:
    op.drop_table("warm_ups")
