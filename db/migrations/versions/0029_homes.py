"""Where the steady emails of each sender domain go"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision: str | None = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "homes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("sender_domain", sa.String(length=255), nullable=False),
        sa.Column("mailbox_group", sa.String(length=30), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_homes_user_id")),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], name=op.f("fk_homes_provider_id")),
        sa.PrimaryKeyConstraint("user_id", "sender_domain", "mailbox_group", name=op.f("pk_homes")),
    )


def downgrade() -> None:
    op.drop_table("homes")
