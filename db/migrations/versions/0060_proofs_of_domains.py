"""Whose a domain is: a token that stands in the DNS, and since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0060"
down_revision: str | None = "0065"


def upgrade() -> None:
    op.add_column(
        "domains",
        sa.Column(
            "token",
            sa.String(32),
            nullable=False,
            server_default=sa.text("replace((gen_random_uuid())::text, '-'::text, ''::text)"),
        ),
    )
    for name in ("proved_at", "missing_since"):
        op.add_column("domains", sa.Column(name, sa.DateTime(timezone=True)))
    op.create_index(
        "ix_domains_proved", "domains", ["name"], postgresql_where=sa.text("proved_at IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_domains_proved", "domains")
    for name in ("missing_since", "proved_at", "token"):
        op.drop_column("domains", name)
