"""Campaigns are counted as their emails change, and not each time that somebody asks how far they are"""

import sqlalchemy as sa
from alembic import op

revision = "0082"
down_revision: str | None = "0081"
branch_labels = None
depends_on = None

# Whoever changes emails writes what that changes of their campaigns, in the same transaction: nobody can forget to.
_PART = """
    SELECT campaign_id, status, timestamptz 'epoch' AS slot, {one} AS change FROM {rows} WHERE campaign_id IS NOT NULL
    UNION ALL
    SELECT campaign_id, 'sent', date_trunc('second', sent_at, 'UTC'), {one} FROM {rows}
    WHERE campaign_id IS NOT NULL AND sent_at IS NOT NULL
"""
_COME, _GONE = _PART.format(one="1", rows="come"), _PART.format(one="-1", rows="gone")


def _noting(rows: str) -> str:
    return f"""
        INSERT INTO campaign_changes (campaign_id, status, slot, change)
        SELECT campaign_id, status, slot, sum(change) FROM ({rows}) r GROUP BY 1, 2, 3 HAVING sum(change) <> 0
    """  # noqa: S608  # constants of this module only


_COUNT = f"""
    CREATE FUNCTION mm_count_campaigns() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN {_noting(_COME)};
        ELSIF TG_OP = 'UPDATE' THEN {_noting(f"{_COME} UNION ALL {_GONE}")};
        ELSE {_noting(_GONE)};
        END IF;
        RETURN NULL;
    END $$
"""
_TRIGGERS = {
    "insert": "REFERENCING NEW TABLE AS come",
    "update": "REFERENCING OLD TABLE AS gone NEW TABLE AS come",
    "delete": "REFERENCING OLD TABLE AS gone",
}
_SO_FAR = """
    INSERT INTO campaign_counts (campaign_id, status, slot, emails)
    SELECT campaign_id, status, timestamptz 'epoch', count(*) FROM email_jobs
    WHERE campaign_id IN (SELECT id FROM campaigns) GROUP BY 1, 2
"""


def upgrade() -> None:
    op.create_table(
        "campaign_counts",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(50), nullable=False),
        sa.Column("slot", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("emails", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "status", "slot", name=op.f("pk_campaign_counts")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "campaign_changes",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("status", sa.String(50), nullable=False),
        sa.Column("slot", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "id", name=op.f("pk_campaign_changes")),
    )
    op.execute(_COUNT)
    for event, tables in _TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER count_campaigns_{event} AFTER {event.upper()} ON email_jobs {tables} "
            "FOR EACH STATEMENT EXECUTE FUNCTION mm_count_campaigns()"
        )
    op.execute(_SO_FAR)  # nobody writes to email_jobs until this is committed


def downgrade() -> None:
    for event in _TRIGGERS:
        op.execute(f"DROP TRIGGER count_campaigns_{event} ON email_jobs")
    op.execute("DROP FUNCTION mm_count_campaigns()")
    op.drop_table("campaign_changes")
    op.drop_table("campaign_counts")
