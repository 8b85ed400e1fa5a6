"""Calls to providers that carry several emails or may be made again; an index of the attempts in doubt"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_calls",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("payload_hash", sa.LargeBinary(), nullable=False),
        sa.Column("attempt_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column(
            "opened_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("repeatable_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("repeats", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("repeated_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_provider_calls_provider_id")
        ),
        sa.PrimaryKeyConstraint("provider_id", "key", name=op.f("pk_provider_calls")),
    )
    op.create_index("ix_provider_calls_attempts", "provider_calls", ["attempt_ids"], postgresql_using="gin")
    op.create_index("ix_provider_calls_opened", "provider_calls", ["opened_at"], postgresql_using="brin")
    op.create_index(
        "ix_delivery_attempts_unknown",
        "delivery_attempts",
        ["settled_at"],
        postgresql_where=sa.text("outcome = 'unknown'"),
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_attempts_unknown", table_name="delivery_attempts")
    op.drop_table("provider_calls")
