"""The first tables"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None


# The only clock of the pipeline. Tests replace it to shift and to scale time.
MM_NOW = "CREATE FUNCTION mm_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT statement_timestamp()'"

# The email types that everybody has. Fixed ids, so that every installation agrees on them.
EMAIL_TYPES = """
INSERT INTO email_types (id, name, category, lane, on_unknown) VALUES
    ('01900000-0000-7000-8000-000000000001', 'transactional', 'transactional', 'transactional', 'hold'),
    ('01900000-0000-7000-8000-000000000002', 'marketing', 'marketing', 'bulk', 'hold')
"""


def upgrade() -> None:
    op.execute(MM_NOW)
    op.execute("CREATE SEQUENCE claim_tokens")
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=20), server_default="member", nullable=False),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "worker_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column(
            "started_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("lease_until", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker_runs")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("public_id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=100), server_default="", nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("public_id", name=op.f("uq_api_keys_public_id")),
    )
    op.create_index("ix_api_keys_user", "api_keys", ["user_id"], unique=False)
    op.create_table(
        "email_contents",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_email_contents_user_id")),
        sa.PrimaryKeyConstraint("user_id", "hash", name=op.f("pk_email_contents")),
    )
    op.create_table(
        "email_templates",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("template_name", sa.String(length=100), nullable=False),
        sa.Column("template_body", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_email_templates_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_templates")),
    )
    op.create_index("ix_email_templates_user", "email_templates", ["user_id"], unique=False)
    op.create_table(
        "email_types",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column("on_unknown", sa.String(length=10), server_default="hold", nullable=False),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_email_types_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_types")),
    )
    op.create_index(
        "uq_email_types_shared",
        "email_types",
        ["name"],
        unique=True,
        postgresql_where=sa.text("user_id IS NULL"),
    )
    op.create_index("uq_email_types_user", "email_types", ["user_id", "name"], unique=True)
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("route", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status_code", sa.SmallInteger(), nullable=False),
        sa.Column("response", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_idempotency_keys_user_id")),
        sa.PrimaryKeyConstraint("user_id", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_expiry", "idempotency_keys", ["expires_at"], unique=False)
    op.create_table(
        "providers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("api_key", sa.Text(), nullable=False),
        sa.Column("config", postgresql.JSONB(), nullable=False),
        sa.Column("base_cost", sa.Numeric(precision=14, scale=8), nullable=False),
        sa.Column("currency", sa.String(length=3), server_default="USD", nullable=False),
        sa.Column("reliability_score", sa.Double(), server_default=sa.text("1"), nullable=False),
        sa.Column("status", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("deleted_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_providers_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_providers")),
    )
    op.create_index(
        "uq_providers_shared_name",
        "providers",
        ["name"],
        unique=True,
        postgresql_where=sa.text("user_id IS NULL AND deleted_at IS NULL"),
    )
    op.create_index(
        "uq_providers_user_name",
        "providers",
        ["user_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "email_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("envelope", postgresql.JSONB(), nullable=False),
        sa.Column("email_type", sa.String(length=50), nullable=False),
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column("on_unknown", sa.String(length=10), nullable=False),
        sa.Column("options", postgresql.JSONB(), nullable=False),
        sa.Column("tags", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("attachment_url", sa.Text(), nullable=True),
        sa.Column("provider_used", sa.Uuid(), nullable=True),
        sa.Column("status", sa.String(length=50), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("send_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("sent_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name=op.f("fk_email_jobs_api_key_id")),
        sa.ForeignKeyConstraint(
            ["provider_used"], ["providers.id"], name=op.f("fk_email_jobs_provider_used")
        ),
        sa.ForeignKeyConstraint(
            ["user_id", "content_hash"],
            ["email_contents.user_id", "email_contents.hash"],
            name=op.f("fk_email_jobs_user_id_content_hash"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_email_jobs_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_jobs")),
    )
    op.create_index("ix_email_jobs_user_id", "email_jobs", ["user_id", "id"], unique=False)
    op.create_table(
        "provider_performance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("emails_sent", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("emails_failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("average_latency", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "last_updated", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_provider_performance_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_performance")),
        sa.UniqueConstraint("provider_id", name=op.f("uq_provider_performance_provider_id")),
    )
    op.create_table(
        "provider_quota",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("daily_quota", sa.Integer(), nullable=True),
        sa.Column("monthly_quota", sa.Integer(), nullable=True),
        sa.Column("used_today", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("used_this_month", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rate_per_second", sa.Double(), nullable=True),
        sa.Column("time_zone", sa.String(length=64), server_default="UTC", nullable=False),
        sa.Column("reset_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "daily_quota >= 0 AND monthly_quota >= 0 AND rate_per_second > 0",
            name=op.f("ck_provider_quota_limits"),
        ),
        sa.CheckConstraint("used_today >= 0 AND used_this_month >= 0", name=op.f("ck_provider_quota_used")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_provider_quota_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_quota")),
        sa.UniqueConstraint("provider_id", name=op.f("uq_provider_quota_provider_id")),
    )
    op.create_table(
        "routing_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("email_type", sa.String(length=50), nullable=False),
        sa.Column("default_provider", sa.Uuid(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["default_provider"], ["providers.id"], name=op.f("fk_routing_rules_default_provider")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_routing_rules_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_rules")),
    )
    op.create_index("ix_routing_rules_user", "routing_rules", ["user_id", "email_type"], unique=False)
    op.create_table(
        "sender_domains",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "checked_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("retry_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_sender_domains_provider_id")
        ),
        sa.PrimaryKeyConstraint("provider_id", "domain", name=op.f("pk_sender_domains")),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Uuid(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.SmallInteger(), nullable=False),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.Column("estimated_cost", sa.Numeric(precision=14, scale=8), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("decision", postgresql.JSONB(), nullable=False),
        sa.Column(
            "opened_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("settled_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("error", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("provider_message_id", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('accepted', 'not_sent', 'unknown')", name=op.f("ck_delivery_attempts_outcome")
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (settled_at IS NULL)", name=op.f("ck_delivery_attempts_settled")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["email_jobs.id"], name=op.f("fk_delivery_attempts_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_delivery_attempts_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
    )
    op.create_index("ix_delivery_attempts_job", "delivery_attempts", ["job_id"], unique=False)
    op.create_index(
        "ix_delivery_attempts_open",
        "delivery_attempts",
        ["run"],
        unique=False,
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_index(
        "ix_delivery_attempts_recent", "delivery_attempts", ["opened_at", "provider_id"], unique=False
    )
    op.create_table(
        "email_queue",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column("due_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("run", sa.Uuid(), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=True),
        sa.Column("claims", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("round", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("(run IS NULL) = (token IS NULL)", name=op.f("ck_email_queue_claim")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["email_jobs.id"], name=op.f("fk_email_queue_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_email_queue")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_email_queue_due",
        "email_queue",
        ["lane", "due_at"],
        unique=False,
        postgresql_where=sa.text("run IS NULL"),
    )
    op.create_index(
        "ix_email_queue_run",
        "email_queue",
        ["run"],
        unique=False,
        postgresql_where=sa.text("run IS NOT NULL"),
    )
    op.create_index(
        "ix_email_queue_suspects",
        "email_queue",
        ["lane"],
        unique=False,
        postgresql_where=sa.text("run IS NULL AND claims >= 2"),
    )
    op.create_index(
        "ix_email_queue_user",
        "email_queue",
        ["lane", "user_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("run IS NULL"),
    )
    op.create_table(
        "routing_rule_fallbacks",
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_routing_rule_fallbacks_provider_id")
        ),
        sa.ForeignKeyConstraint(
            ["rule_id"],
            ["routing_rules.id"],
            name=op.f("fk_routing_rule_fallbacks_rule_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("rule_id", "position", name=op.f("pk_routing_rule_fallbacks")),
    )
    op.create_table(
        "email_status",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email_job_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=50), nullable=False),
        sa.Column(
            "timestamp", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempt_id", sa.Uuid(), nullable=True),
        sa.Column("detail", postgresql.JSONB(), nullable=True),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["delivery_attempts.id"],
            name=op.f("fk_email_status_attempt_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["email_job_id"], ["email_jobs.id"], name=op.f("fk_email_status_email_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_status")),
    )
    op.create_index("ix_email_status_job", "email_status", ["email_job_id", "timestamp"], unique=False)
    op.execute(EMAIL_TYPES)


def downgrade() -> None:
    op.drop_index("ix_email_status_job", table_name="email_status")
    op.drop_table("email_status")
    op.drop_table("routing_rule_fallbacks")
    op.drop_index("ix_email_queue_user", table_name="email_queue", postgresql_where=sa.text("run IS NULL"))
    op.drop_index(
        "ix_email_queue_suspects",
        table_name="email_queue",
        postgresql_where=sa.text("run IS NULL AND claims >= 2"),
    )
    op.drop_index("ix_email_queue_run", table_name="email_queue", postgresql_where=sa.text("run IS NOT NULL"))
    op.drop_index("ix_email_queue_due", table_name="email_queue", postgresql_where=sa.text("run IS NULL"))
    op.drop_table("email_queue")
    op.drop_index("ix_delivery_attempts_recent", table_name="delivery_attempts")
    op.drop_index(
        "ix_delivery_attempts_open",
        table_name="delivery_attempts",
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_index("ix_delivery_attempts_job", table_name="delivery_attempts")
    op.drop_table("delivery_attempts")
    op.drop_table("sender_domains")
    op.drop_index("ix_routing_rules_user", table_name="routing_rules")
    op.drop_table("routing_rules")
    op.drop_table("provider_quota")
    op.drop_table("provider_performance")
    op.drop_index("ix_email_jobs_user_id", table_name="email_jobs")
    op.drop_table("email_jobs")
    op.drop_index(
        "uq_providers_user_name", table_name="providers", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(
        "uq_providers_shared_name",
        table_name="providers",
        postgresql_where=sa.text("user_id IS NULL AND deleted_at IS NULL"),
    )
    op.drop_table("providers")
    op.drop_index("ix_idempotency_keys_expiry", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("uq_email_types_user", table_name="email_types")
    op.drop_index(
        "uq_email_types_shared", table_name="email_types", postgresql_where=sa.text("user_id IS NULL")
    )
    op.drop_table("email_types")
    op.drop_index("ix_email_templates_user", table_name="email_templates")
    op.drop_table("email_templates")
    op.drop_table("email_contents")
    op.drop_index("ix_api_keys_user", table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("worker_runs")
    op.drop_table("users")
    op.execute("DROP SEQUENCE claim_tokens")
    op.execute("DROP FUNCTION mm_now()")
