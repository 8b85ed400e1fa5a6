"""Who is not written to any more"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision: str | None = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("mm_now()")
    op.create_table(
        "suppressions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("scope", sa.String(60), nullable=False),
        sa.Column("cause", sa.String(20), nullable=False),
        sa.Column("source", sa.String(120), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("email_id", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_suppressions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions")),
    )
    op.create_index("uq_suppressions_address", "suppressions", ["user_id", "address", "scope"], unique=True)
    op.create_index("ix_suppressions_user_time", "suppressions", ["user_id", "created_at"])
    op.create_index("ix_suppressions_user_id", "suppressions", ["user_id", "id"])
    op.create_table(
        "soft_bounces",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("since", sa.TIMESTAMP(timezone=True), server_default=now, nullable=False),
        sa.Column("strikes", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_soft_bounces_user_id")),
        sa.PrimaryKeyConstraint("user_id", "address", name=op.f("pk_soft_bounces")),
    )


def downgrade() -> None:
    op.drop_table("soft_bounces")
    op.drop_table("suppressions")
