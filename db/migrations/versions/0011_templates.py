"""Versions of templates, and which of them is published"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "email_template_versions",
        sa.Column("template_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("mjml", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["email_templates.id"],
            name=op.f("fk_email_template_versions_template_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("template_id", "version", name=op.f("pk_email_template_versions")),
    )
    op.add_column("email_templates", sa.Column("published_version", sa.Integer(), nullable=True))
    op.add_column(
        "email_templates",
        sa.Column(
            "updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
    )
    op.create_index(
        "uq_email_templates_user_name", "email_templates", ["user_id", "template_name"], unique=True
    )
    op.drop_index("ix_email_templates_user", table_name="email_templates")


def downgrade() -> None:
    op.create_index("ix_email_templates_user", "email_templates", ["user_id"])
    op.drop_index("uq_email_templates_user_name", table_name="email_templates")
    op.drop_column("email_templates", "updated_at")
    op.drop_column("email_templates", "published_version")
    op.drop_table("email_template_versions")
