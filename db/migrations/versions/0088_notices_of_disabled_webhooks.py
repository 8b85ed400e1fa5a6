"""The owners of webhooks that were disabled are written to"""

import sqlalchemy as sa
from alembic import op

revision = "0088"
down_revision: str | None = "0091"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "webhook_endpoints",
        sa.Column("notice_owed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_index(
        "ix_webhook_endpoints_owed", "webhook_endpoints", ["id"], postgresql_where=sa.text("notice_owed")
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_endpoints_owed", table_name="webhook_endpoints")
    op.drop_column("webhook_endpoints", "notice_owed")
