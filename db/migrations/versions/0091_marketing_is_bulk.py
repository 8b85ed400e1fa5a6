"""Marketing goes by the bulk lane, and so by providers' streams for it"""

from alembic import op

revision = "0091"
down_revision: str | None = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE email_types SET lane = 'bulk' WHERE category = 'marketing' AND lane <> 'bulk'")
    op.create_check_constraint(
        op.f("ck_email_types_marketing_is_bulk"), "email_types", "category <> 'marketing' OR lane = 'bulk'"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_email_types_marketing_is_bulk"), "email_types")
