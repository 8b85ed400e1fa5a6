"""Routing rules for a sender domain, a recipient domain, a tag or a user, and with a policy of their own"""

import sqlalchemy as sa
from alembic import op

revision = "0094"
down_revision: str | None = "0087"
branch_labels = None
depends_on = None

_NEW = ("policy", "for_user_id", "tag", "recipient_domain", "sender_domain")


def upgrade() -> None:
    op.alter_column("routing_rules", "email_type", existing_type=sa.String(50), nullable=True)
    op.add_column("routing_rules", sa.Column("sender_domain", sa.String(255)))
    op.add_column("routing_rules", sa.Column("recipient_domain", sa.String(255)))
    op.add_column("routing_rules", sa.Column("tag", sa.String(128)))
    op.add_column("routing_rules", sa.Column("for_user_id", sa.Uuid()))
    op.add_column("routing_rules", sa.Column("policy", sa.String(20)))
    op.create_foreign_key(
        op.f("fk_routing_rules_for_user_id"), "routing_rules", "users", ["for_user_id"], ["id"]
    )
    op.create_check_constraint(
        op.f("ck_routing_rules_policy"),
        "routing_rules",
        "policy IN ('cheapest', 'balanced', 'most_reliable')",
    )
    op.create_check_constraint(
        op.f("ck_routing_rules_for_user"), "routing_rules", "user_id IS NULL OR for_user_id IS NULL"
    )


def downgrade() -> None:
    # Without its conditions a rule would be for emails that it was never meant for.
    op.execute("""
        DELETE FROM routing_rules
        WHERE email_type IS NULL OR num_nonnulls(sender_domain, recipient_domain, tag, for_user_id) > 0
    """)
    op.drop_constraint(op.f("ck_routing_rules_for_user"), "routing_rules")
    op.drop_constraint(op.f("ck_routing_rules_policy"), "routing_rules")
    op.drop_constraint(op.f("fk_routing_rules_for_user_id"), "routing_rules")
    for name in _NEW:
        op.drop_column("routing_rules", name)
    op.alter_column("routing_rules", "email_type", existing_type=sa.String(50), nullable=False)
