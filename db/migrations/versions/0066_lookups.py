"""Emails in doubt are looked for at the providers that may have sent them."""

import sqlalchemy as sa
from alembic import op

revision: str = "0066"
down_revision: str | None = "0042"


def upgrade() -> None:
    op.create_table(
        "lookups",
        sa.Column("about", sa.Uuid(), primary_key=True),
        sa.Column("provider_id", sa.Uuid(), primary_key=True),
        sa.Column("looks", sa.SmallInteger(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_lookups_looked_at", "lookups", ["looked_at"])


def downgrade() -> None:
    op.drop_table("lookups")
