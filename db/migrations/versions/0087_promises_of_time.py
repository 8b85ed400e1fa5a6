"""Email types with a second promise: how soon nearly all of their emails are taken"""

import sqlalchemy as sa
from alembic import op

revision = "0087"
down_revision: str | None = "0089"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("email_types", sa.Column("taken_within", sa.Double(), nullable=True))
    op.create_check_constraint(
        op.f("ck_email_types_taken_within"), "email_types", "taken_within BETWEEN 0.05 AND 10"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_email_types_taken_within"), "email_types", type_="check")
    op.drop_column("email_types", "taken_within")
