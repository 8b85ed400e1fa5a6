"""Restores of the database are remembered, so that events of the attempts that were lost with them find their emails"""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision: str | None = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recoveries",
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("mm_now()"), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("at", name=op.f("pk_recoveries")),
    )


def downgrade() -> None:
    op.drop_table("recoveries")
