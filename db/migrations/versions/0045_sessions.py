"""Sessions of people who sign in, and how often somebody tried to"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision: str | None = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("kind", sa.String(length=10), server_default="key", nullable=False))
    op.add_column("api_keys", sa.Column("came_from", sa.String(length=45), nullable=True))
    op.create_check_constraint(op.f("ck_api_keys_kind"), "api_keys", "kind IN ('key', 'session')")
    op.add_column("users", sa.Column("password_link", sa.String(length=64), nullable=True))
    op.add_column("users", sa.Column("password_link_ends_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.create_unique_constraint(op.f("uq_users_password_link"), "users", ["password_link"])
    op.create_table(
        "sign_in_tries",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_sign_in_tries")),
    )


def downgrade() -> None:
    op.drop_table("sign_in_tries")
    op.drop_column("users", "password_link_ends_at")
    op.drop_column("users", "password_link")
    op.execute("DELETE FROM api_keys WHERE kind = 'session'")
    op.drop_constraint(op.f("ck_api_keys_kind"), "api_keys")
    op.drop_column("api_keys", "came_from")
    op.drop_column("api_keys", "kind")
