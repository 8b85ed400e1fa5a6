"""After a restore held emails are looked for by pages, from where each account has come to"""

import sqlalchemy as sa
from alembic import op

revision = "0081"
down_revision: str | None = "0080"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lookup_cursors",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("next", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("pk_lookup_cursors")),
    )
    op.drop_index("ix_email_queue_held", table_name="email_queue")
    op.create_index(
        "ix_email_queue_held", "email_queue", ["lane", "job_id"], postgresql_where=sa.text("held")
    )


def downgrade() -> None:
    op.drop_index("ix_email_queue_held", table_name="email_queue")
    op.create_index("ix_email_queue_held", "email_queue", ["lane"], postgresql_where=sa.text("held"))
    op.drop_table("lookup_cursors")
