"""Webhooks that we call: endpoints, and what is to be told, written with the line of the timeline that it tells"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision: str | None = "0011"
branch_labels = None
depends_on = None

# A UUIDv7 (RFC 9562, 5.7) in PostgreSQL before 18: 48 bits of milliseconds, the version, and chance.
_UUID7 = """
    CREATE FUNCTION mm_uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT CAST(encode(set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send(CAST(EXTRACT(epoch FROM mm_now()) * 1000 AS bigint)) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1), 'hex') AS uuid)
    $$
"""

# Whatever writes a line writes what is to be told of it, in the same transaction: nobody can forget to. That a provider
# has it, too, was told when it took it.
_TELL = """
    CREATE FUNCTION mm_tell_endpoints() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM webhook_endpoints WHERE enabled) THEN
            INSERT INTO webhook_messages (id, endpoint_id, type, job_id, status_id)
            SELECT mm_uuid7(), e.id, 'email.' || coalesce(l.detail->>'event', l.status), l.email_job_id, l.id
            FROM lines l JOIN email_jobs j ON j.id = l.email_job_id
            JOIN webhook_endpoints e ON e.user_id = j.user_id AND e.enabled
            WHERE (e.types = '{}' OR 'email.' || coalesce(l.detail->>'event', l.status) = ANY(e.types))
                AND coalesce(l.detail->>'event', '') NOT IN ('queued', 'sent')
            ON CONFLICT DO NOTHING;
        END IF;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    now = sa.text("mm_now()")
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("types", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("failing_since", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_webhook_endpoints_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_index("ix_webhook_endpoints_user", "webhook_endpoints", ["user_id"])
    op.create_table(
        "webhook_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(50), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("status_id", sa.Uuid(), nullable=True),
        sa.Column("payload", postgresql.JSONB(), nullable=True),
        sa.Column("state", sa.String(10), server_default="waiting", nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.Column("told_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("answer", sa.SmallInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'told', 'failed')", name=op.f("ck_webhook_messages_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_messages")),
    )
    op.create_index(
        "ix_webhook_messages_due", "webhook_messages", ["endpoint_id", "due_at"],
        postgresql_where=sa.text("state = 'waiting'"),
    )  # fmt: skip
    op.create_index("ix_webhook_messages_endpoint", "webhook_messages", ["endpoint_id", "id"])
    op.create_index(
        "uq_webhook_messages_line", "webhook_messages", ["endpoint_id", "status_id"], unique=True,
        postgresql_where=sa.text("status_id IS NOT NULL"),
    )  # fmt: skip
    op.execute(_UUID7)
    op.execute(_TELL)
    op.execute("""
        CREATE TRIGGER tell_endpoints AFTER INSERT ON email_status
        REFERENCING NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION mm_tell_endpoints()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_endpoints ON email_status")
    op.execute("DROP FUNCTION mm_tell_endpoints()")
    op.execute("DROP FUNCTION mm_uuid7()")
    op.drop_table("webhook_messages")
    op.drop_table("webhook_endpoints")
