"""Leaner rows on the way of an email: fewer indexes and references to keep up, and room to update in place"""

from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None

# A reference is looked up row by row as it is written. These rows are written by statements that have just read, or
# locked, what they refer to; the rows of an email are purged together (db.repositories.retention).
_REFERENCES = (
    ("delivery_attempts", "job_id", "email_jobs", " ON DELETE CASCADE"),
    ("delivery_attempts", "provider_id", "providers", ""),
    ("email_queue", "job_id", "email_jobs", " ON DELETE CASCADE"),
    ("email_jobs", "api_key_id", "api_keys", ""),
    ("email_jobs", "provider_used", "providers", ""),
    ("email_status", "email_job_id", "email_jobs", " ON DELETE CASCADE"),
)
# Nothing is looked for by these, and sampling them is most of what ANALYZE does.
_UNANALYZED = (
    ("delivery_attempts", "decision"),
    ("email_jobs", "options"),
    ("email_jobs", "metadata"),
    ("email_jobs", "envelope"),
)


def upgrade() -> None:
    for table, column, _, _ in _REFERENCES:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS fk_{table}_{column}")
    for table, column in _UNANALYZED:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
    op.execute("ALTER TABLE email_jobs SET (fillfactor = 60)")
    op.drop_index("ix_delivery_attempts_recent", table_name="delivery_attempts")
    op.create_index(
        "ix_delivery_attempts_recent",
        "delivery_attempts",
        ["opened_at"],
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on", "pages_per_range": 32},
    )
    # The first line of a timeline is what the email itself says: accepted when it was created.
    op.execute("""
        DELETE FROM email_status s USING email_jobs j
        WHERE j.id = s.email_job_id AND s.timestamp = j.created_at AND s.status IN ('queued', 'scheduled')
    """)
    op.drop_index("ix_email_status_job", table_name="email_status")
    op.drop_constraint("pk_email_status", "email_status", type_="primary")
    op.create_primary_key("pk_email_status", "email_status", ["email_job_id", "id"])


def downgrade() -> None:
    op.drop_constraint("pk_email_status", "email_status", type_="primary")
    op.create_primary_key("pk_email_status", "email_status", ["id"])
    op.create_index("ix_email_status_job", "email_status", ["email_job_id", "timestamp"])
    op.execute("""
        INSERT INTO email_status (id, email_job_id, status, timestamp)
        SELECT gen_random_uuid(), id, CASE WHEN send_at IS NULL THEN 'queued' ELSE 'scheduled' END, created_at
        FROM email_jobs
    """)
    op.drop_index("ix_delivery_attempts_recent", table_name="delivery_attempts")
    op.create_index("ix_delivery_attempts_recent", "delivery_attempts", ["opened_at", "provider_id"])
    op.execute("ALTER TABLE email_jobs RESET (fillfactor)")
    for table, column in _UNANALYZED:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS -1")
    for table, column, referred, action in _REFERENCES:
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_{column} FOREIGN KEY ({column})"
            f" REFERENCES {referred} (id){action} NOT VALID"
        )
