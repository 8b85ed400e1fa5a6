"""Statistics by quarters of an hour, so that days of every time zone are made of them, and by two hours, so that few
are read for such a day"""

from alembic import op

revision = "0050"
down_revision: str | None = "0082"
branch_labels = None
depends_on = None

_SUMS = (
    "accepted", "recipients", "not_sent", "unknown", "delivered", "hard_bounced", "soft_bounced", "complained",
    "opened", "clicked", "spend", *(f"latency_{step}" for step in range(32)),
)  # fmt: skip


def _gather(minutes: int) -> str:
    return f"""
        INSERT INTO email_stats (user_id, dimension, grain, slot, value, provider_id, currency, {", ".join(_SUMS)})
        SELECT user_id, dimension, {minutes}, date_bin('{minutes} minutes', slot, timestamptz 'epoch'), value,
            provider_id, currency, {", ".join(f"sum({name})" for name in _SUMS)}
        FROM email_stats WHERE grain = 15 GROUP BY 1, 2, 4, 5, 6, 7
    """  # noqa: S608  # constants of this module only


def upgrade() -> None:
    # Or one of the version before that adds up meanwhile, and this, would wait for each other.
    op.execute("LOCK TABLE email_stats IN ACCESS EXCLUSIVE MODE")
    # What was counted by the half hour counts in its first quarter.
    op.execute("UPDATE email_stats SET grain = 15 WHERE grain = 30")
    op.execute(_gather(120))
    # A process of before that still adds up by half hours must fail: what is due is added by the next one.
    op.create_check_constraint(op.f("ck_email_stats_grain"), "email_stats", "grain IN (15, 120, 1440)")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_email_stats_grain"), "email_stats")
    op.execute(_gather(30))
    op.execute("DELETE FROM email_stats WHERE grain IN (15, 120)")
