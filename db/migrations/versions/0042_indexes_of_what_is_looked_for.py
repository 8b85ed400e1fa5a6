"""Indexes for finding emails by recipient, tag and metadata; what has no tags or metadata pays nothing for theirs"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision: str | None = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_email_jobs_recipients",
        "email_jobs",
        [sa.literal_column("(envelope -> 'recipients')").label("recipients")],
        postgresql_using="gin",
        postgresql_ops={"recipients": "jsonb_path_ops"},
    )
    op.create_index(
        "ix_email_jobs_tags",
        "email_jobs",
        ["tags"],
        postgresql_using="gin",
        postgresql_where=sa.text("tags <> '{}'"),
    )
    op.create_index(
        "ix_email_jobs_metadata",
        "email_jobs",
        ["metadata"],
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'"),
    )


def downgrade() -> None:
    for name in ("recipients", "tags", "metadata"):
        op.drop_index(f"ix_email_jobs_{name}", "email_jobs")
