"""Uploads know the file that they became, so that completing one can be repeated"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision: str | None = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attachment_uploads", sa.Column("attachment_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM attachment_uploads WHERE attachment_id IS NOT NULL")
    op.drop_column("attachment_uploads", "attachment_id")
