"""An index of the emails that are held, so that counting them reads no whole queue; quotas of any 24 hours"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_email_queue_held", "email_queue", ["lane"], unique=False, postgresql_where=sa.text("held")
    )
    op.add_column("provider_quota", sa.Column("rolling_quota", sa.Integer(), nullable=True))
    op.add_column(
        "provider_quota",
        sa.Column("used_rolling", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_provider_quota_rolling"), "provider_quota", "rolling_quota >= 0 AND used_rolling >= 0"
    )
    op.create_table(
        "quota_slots",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.CheckConstraint("recipients >= 0", name=op.f("ck_quota_slots_recipients")),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], name=op.f("fk_quota_slots_provider_id")),
        sa.PrimaryKeyConstraint("provider_id", "slot", name=op.f("pk_quota_slots")),
    )


def downgrade() -> None:
    op.drop_table("quota_slots")
    op.drop_constraint(op.f("ck_provider_quota_rolling"), "provider_quota", type_="check")
    op.drop_column("provider_quota", "used_rolling")
    op.drop_column("provider_quota", "rolling_quota")
    op.drop_index("ix_email_queue_held", table_name="email_queue", postgresql_where=sa.text("held"))
