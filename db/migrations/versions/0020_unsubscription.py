"""Links to unsubscribe by: a secret of each user's, and how far a type's link reaches"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision: str | None = "0014"
branch_labels = None
depends_on = None

# 244 bits of chance, without an extension.
_MAKE = """
    CREATE FUNCTION mm_secret() RETURNS bytea LANGUAGE sql VOLATILE AS $$
        SELECT decode(replace(CAST(gen_random_uuid() AS text) || CAST(gen_random_uuid() AS text), '-', ''), 'hex')
    $$
"""


def upgrade() -> None:
    op.execute(_MAKE)
    op.add_column(
        "users",
        sa.Column("link_secret", sa.LargeBinary(), server_default=sa.text("mm_secret()"), nullable=False),
    )
    op.add_column(
        "email_types",
        sa.Column("unsubscribe_scope", sa.String(10), server_default="marketing", nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_email_types_unsubscribe_scope"), "email_types", "unsubscribe_scope IN ('marketing', 'type')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_email_types_unsubscribe_scope"), "email_types")
    op.drop_column("email_types", "unsubscribe_scope")
    op.drop_column("users", "link_secret")
    op.execute("DROP FUNCTION mm_secret()")
