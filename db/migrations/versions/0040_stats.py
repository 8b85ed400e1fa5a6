"""Statistics, added up by the half hour. What the ledger and the events tell already is left to be added"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0040"
down_revision: str | None = "0035"
branch_labels = None
depends_on = None

_COUNTS = (
    "accepted", "recipients", "not_sent", "unknown", "delivered", "hard_bounced", "soft_bounced", "complained",
    "opened", "clicked",
)  # fmt: skip

# A hundred to a row, as the workers write them.
_SETTLED_BEFORE = """
    INSERT INTO stats_due (measure, change, attempts)
    SELECT outcome, 1, array_agg(id) FROM (
        SELECT id, outcome, row_number() OVER (PARTITION BY outcome ORDER BY id) / 100 AS part
        FROM delivery_attempts WHERE outcome IS NOT NULL) a
    GROUP BY outcome, part
"""
_TOLD_BEFORE = """
    INSERT INTO stats_due (measure, change, attempts)
    SELECT measure, 1, array_agg(attempt_id) FROM (
        SELECT measure, attempt_id, row_number() OVER (PARTITION BY measure ORDER BY attempt_id) / 100 AS part
        FROM (
            SELECT DISTINCT m.measure, e.attempt_id
            FROM inbound_events e CROSS JOIN LATERAL (
                SELECT 'delivered' AS measure WHERE e.event->>'type' IN ('delivered', 'opened', 'clicked')
                UNION ALL SELECT e.event->>'type' WHERE e.event->>'type' IN ('opened', 'clicked', 'complained')
                UNION ALL SELECT 'hard_bounced' WHERE e.event->>'type' = 'bounced' AND e.event->>'bounce' = 'hard'
                UNION ALL SELECT 'soft_bounced'
                    WHERE e.event->>'type' = 'bounced' AND e.event->>'bounce' IS DISTINCT FROM 'hard'
                        AND NOT EXISTS (SELECT FROM inbound_events h WHERE h.job_id = e.job_id
                            AND h.attempt_id = e.attempt_id AND h.event->>'bounce' = 'hard')
            ) m
            WHERE e.state = 'applied' AND e.attempt_id IS NOT NULL
        ) once
    ) t
    GROUP BY measure, part
"""


def upgrade() -> None:
    op.create_table(
        "stats_due",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("measure", sa.String(20), nullable=False),
        sa.Column("change", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stats_due")),
    )
    zero = sa.text("0")
    op.create_table(
        "email_stats",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("dimension", sa.String(20), nullable=False),
        sa.Column("slot", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default=zero, nullable=False) for name in _COUNTS),
        sa.Column("spend", sa.Numeric(18, 8), server_default=zero, nullable=False),
        *(sa.Column(f"latency_{step}", sa.Integer(), nullable=True) for step in range(32)),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_email_stats_user_id")),
        sa.PrimaryKeyConstraint(
            "user_id", "dimension", "slot", "value", "provider_id", "currency", name=op.f("pk_email_stats")
        ),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("ix_email_stats_slot", "email_stats", ["slot"], postgresql_using="brin")
    op.execute(_SETTLED_BEFORE)
    op.execute(_TOLD_BEFORE)


def downgrade() -> None:
    op.drop_table("email_stats")
    op.drop_table("stats_due")
