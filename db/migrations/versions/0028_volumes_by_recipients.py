"""What prices count: the recipients of each slot"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision: str | None = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "provider_performance_history",
        sa.Column("recipients_sent", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    # Of older slots only the emails are known; most have one recipient.
    op.execute("UPDATE provider_performance_history SET recipients_sent = emails_sent")


def downgrade() -> None:
    op.drop_column("provider_performance_history", "recipients_sent")
