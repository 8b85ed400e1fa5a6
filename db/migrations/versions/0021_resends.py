"""Emails that take another one's place"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision: str | None = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "resends",
        sa.Column("resend_of", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("resend_of", name=op.f("pk_resends")),
    )
    op.create_index("uq_resends_job", "resends", ["job_id"], unique=True)


def downgrade() -> None:
    op.drop_table("resends")
