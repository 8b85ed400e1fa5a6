"""Email types with a promise: the share that is to be delivered"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision: str | None = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("email_types", sa.Column("deliver_at_least", sa.Double(), nullable=True))
    op.create_check_constraint(
        op.f("ck_email_types_deliver_at_least"), "email_types", "deliver_at_least BETWEEN 0.5 AND 0.9999"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_email_types_deliver_at_least"), "email_types", type_="check")
    op.drop_column("email_types", "deliver_at_least")
