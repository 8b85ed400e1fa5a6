"""Providers say in which region they keep emails; email types may name the providers that carry them."""

import sqlalchemy as sa
from alembic import op

revision: str = "0080"
down_revision: str | None = "0075"


def upgrade() -> None:
    op.add_column("providers", sa.Column("region", sa.String(20)))
    op.create_table(
        "email_type_providers",
        sa.Column(
            "type_id", sa.Uuid(), sa.ForeignKey("email_types.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("provider_id", sa.Uuid(), sa.ForeignKey("providers.id"), primary_key=True),
    )
    op.create_index("ix_email_type_providers_provider_id", "email_type_providers", ["provider_id"])


def downgrade() -> None:
    op.drop_table("email_type_providers")
    op.drop_column("providers", "region")
