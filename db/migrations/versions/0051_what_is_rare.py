"""What is looked for and rare: emails by the statuses that few have, suppressions by cause and scope, messages that
failed, budgets that operators set. An index on the status of emails would cost each of them its cheap update"""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision: str | None = "0050"
branch_labels = None
depends_on = None

_FEW = "('bounced', 'complained', 'unknown', 'failed', 'suppressed', 'cancelled', 'expired')"

# Called only where the old or the new status is one of these: what is sent and delivered pays for asking that alone.
_FOLLOW = f"""
    CREATE FUNCTION mm_follow_status() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' AND OLD.status IN {_FEW} THEN
            DELETE FROM emails_by_status WHERE user_id = OLD.user_id AND status = OLD.status AND job_id = OLD.id;
        END IF;
        IF TG_OP <> 'DELETE' AND NEW.status IN {_FEW} THEN
            INSERT INTO emails_by_status (user_id, status, job_id) VALUES (NEW.user_id, NEW.status, NEW.id);
        END IF;
        RETURN NULL;
    END $$
"""  # noqa: S608  # constants of this module only


def upgrade() -> None:
    op.create_table(
        "emails_by_status",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=50), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "status", "job_id", name=op.f("pk_emails_by_status")),
    )
    op.execute(_FOLLOW)
    for when, which in (
        ("INSERT", f"NEW.status IN {_FEW}"),
        ("DELETE", f"OLD.status IN {_FEW}"),
        (
            "UPDATE OF status",
            f"OLD.status <> NEW.status AND (OLD.status IN {_FEW} OR NEW.status IN {_FEW})",
        ),
    ):
        op.execute(f"""
            CREATE TRIGGER follow_status_{when.split()[0].lower()} AFTER {when} ON email_jobs
            FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION mm_follow_status()
        """)
    op.execute(f"""
        INSERT INTO emails_by_status (user_id, status, job_id)
        SELECT user_id, status, id FROM email_jobs WHERE status IN {_FEW}
    """)  # noqa: S608  # as above
    op.create_index("ix_suppressions_cause", "suppressions", ["user_id", "cause", "id"])
    op.create_index("ix_suppressions_scope", "suppressions", ["user_id", "scope", "id"])
    op.create_index(
        "ix_webhook_messages_failed",
        "webhook_messages",
        ["endpoint_id", "id"],
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index(
        "ix_budgets_operators", "budgets", ["id"], postgresql_where=sa.text("user_id IS NULL OR imposed")
    )


def downgrade() -> None:
    op.drop_index("ix_budgets_operators", "budgets")
    op.drop_index("ix_webhook_messages_failed", "webhook_messages")
    op.drop_index("ix_suppressions_scope", "suppressions")
    op.drop_index("ix_suppressions_cause", "suppressions")
    for event in ("insert", "delete", "update"):
        op.execute(f"DROP TRIGGER follow_status_{event} ON email_jobs")
    op.execute("DROP FUNCTION mm_follow_status()")
    op.drop_table("emails_by_status")
