"""Erasure of everything about a recipient"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0046"
down_revision: str | None = "0045"
branch_labels = None
depends_on = None

# A keyed hash in the way of an HMAC: the key is hashed in twice, so that no hash can be prolonged to another's.
_ERASED = """
    CREATE FUNCTION mm_erased(secret bytea, address text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT 'erased:' || encode(sha256(secret || sha256(secret || convert_to(lower(address), 'UTF8'))), 'hex')
    $$
"""


def upgrade() -> None:
    op.execute(_ERASED)
    op.create_table(
        "erasures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("everybody", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=True),
        sa.Column("place", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("found", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "asked_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False
        ),
        sa.Column("due_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("mm_now()"), nullable=False),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("(address IS NULL) = (done_at IS NOT NULL)", name=op.f("ck_erasures_address")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_erasures_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_user", "erasures", ["user_id", "id"])
    op.create_index(
        "uq_erasures_open",
        "erasures",
        ["user_id", "subject", "everybody"],
        unique=True,
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_index("ix_erasures_due", "erasures", ["due_at"], postgresql_where=sa.text("done_at IS NULL"))
    op.create_table(
        "erased_contents",
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasures.id"], name=op.f("fk_erased_contents_erasure_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("erasure_id", "user_id", "hash", name=op.f("pk_erased_contents")),
    )


def downgrade() -> None:
    op.drop_table("erased_contents")
    op.drop_table("erasures")
    op.execute("DELETE FROM suppressions WHERE address LIKE 'erased:%'")
    op.execute("DROP FUNCTION mm_erased(bytea, text)")
