"""Keys that are limited by sender, network and rate"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034"
down_revision: str | None = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("senders", "networks"):
        op.add_column(
            "api_keys",
            sa.Column(name, postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        )
    op.add_column("api_keys", sa.Column("per_minute", sa.Integer(), nullable=True))


def downgrade() -> None:
    for name in ("per_minute", "networks", "senders"):
        op.drop_column("api_keys", name)
