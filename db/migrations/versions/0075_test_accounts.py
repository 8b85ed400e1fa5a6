"""Test keys: each user may have a second account that only test keys reach, with a provider that sends to nobody"""

import sqlalchemy as sa
from alembic import op

revision = "0075"
down_revision: str | None = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("test_of", sa.Uuid(), nullable=True))
    op.create_foreign_key("fk_users_test_of", "users", "users", ["test_of"], ["id"])
    op.create_unique_constraint("uq_users_test_of", "users", ["test_of"])
    op.add_column(
        "providers", sa.Column("test", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_index("ix_providers_test", "providers", ["id"], postgresql_where=sa.text("test"))


def downgrade() -> None:
    # To what comes before, a test account is a user like any other: what it has must not reach anybody.
    op.execute("""
        DELETE FROM email_queue WHERE user_id IN (SELECT id FROM users WHERE test_of IS NOT NULL)
    """)
    op.execute("""
        UPDATE email_jobs SET status = 'cancelled', status_reason = 'there are no test keys any more'
        WHERE user_id IN (SELECT id FROM users WHERE test_of IS NOT NULL)
            AND status IN ('scheduled', 'queued', 'sending', 'deferred')
    """)
    op.execute("""
        UPDATE api_keys SET revoked_at = mm_now()
        WHERE revoked_at IS NULL AND user_id IN (SELECT id FROM users WHERE test_of IS NOT NULL)
    """)
    op.execute("UPDATE providers SET deleted_at = mm_now() WHERE test AND deleted_at IS NULL")
    op.drop_index("ix_providers_test", "providers")
    op.drop_column("providers", "test")
    op.drop_column("users", "test_of")
