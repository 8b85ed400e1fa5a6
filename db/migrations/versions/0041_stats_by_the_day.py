"""Statistics by the day too, so that a year is not added up of half hours"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision: str | None = "0060"
branch_labels = None
depends_on = None

_KEY = ["user_id", "dimension", "slot", "value", "provider_id", "currency"]
_SUMS = (
    "accepted", "recipients", "not_sent", "unknown", "delivered", "hard_bounced", "soft_bounced", "complained",
    "opened", "clicked", "spend", *(f"latency_{step}" for step in range(32)),
)  # fmt: skip


def upgrade() -> None:
    op.add_column(
        "email_stats", sa.Column("grain", sa.SmallInteger(), server_default=sa.text("30"), nullable=False)
    )
    op.alter_column("email_stats", "grain", server_default=None)
    op.drop_constraint("pk_email_stats", "email_stats")
    op.create_primary_key("pk_email_stats", "email_stats", [*_KEY[:2], "grain", *_KEY[2:]])
    op.execute(f"""
        INSERT INTO email_stats (user_id, dimension, grain, slot, value, provider_id, currency, {", ".join(_SUMS)})
        SELECT user_id, dimension, 1440, date_trunc('day', slot, 'UTC'), value, provider_id, currency,
            {", ".join(f"sum({name})" for name in _SUMS)}
        FROM email_stats GROUP BY 1, 2, 4, 5, 6, 7
    """)  # noqa: S608  # constants of this module only


def downgrade() -> None:
    op.execute("DELETE FROM email_stats WHERE grain <> 30")
    op.drop_constraint("pk_email_stats", "email_stats")
    op.create_primary_key("pk_email_stats", "email_stats", _KEY)
    op.drop_column("email_stats", "grain")
