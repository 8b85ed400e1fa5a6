"""Who runs the mailboxes of a domain, as its mail exchangers tell"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision: str | None = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mailbox_hosts",
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("mailbox_group", sa.String(length=30), nullable=False),
        sa.Column(
            "checked_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_mailbox_hosts")),
    )
    op.create_index("ix_mailbox_hosts_checked_at", "mailbox_hosts", ["checked_at"])


def downgrade() -> None:
    op.drop_table("mailbox_hosts")
