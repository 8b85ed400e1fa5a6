"""The index of a user's emails holds their type and lane, so that a list of a rare one goes through the index alone"""

import sqlalchemy as sa
from alembic import op

revision = "0089"
down_revision: str | None = "0088"
branch_labels = None
depends_on = None

_NAME, _OTHER = "ix_email_jobs_user_id", "ix_email_jobs_user_id_before"


def upgrade() -> None:
    _replace(["email_type", "lane"])


def downgrade() -> None:
    _replace([])


def _replace(included: list[str]) -> None:
    op.execute(sa.text(f"ALTER INDEX {_NAME} RENAME TO {_OTHER}"))
    op.create_index(_NAME, "email_jobs", ["user_id", "id"], postgresql_include=included)
    op.drop_index(_OTHER, "email_jobs")
