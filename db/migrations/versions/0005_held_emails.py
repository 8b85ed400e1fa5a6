"""An index of the emails that are held, so that counting them does not read the whole queue"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_email_queue_held", "email_queue", ["lane"], unique=False, postgresql_where=sa.text("held")
    )


def downgrade() -> None:
    op.drop_index("ix_email_queue_held", table_name="email_queue", postgresql_where=sa.text("held"))
