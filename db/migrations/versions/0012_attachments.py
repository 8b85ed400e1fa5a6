"""Attachments: contents in the store, names under which they are known, and the emails that carry them"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("mm_now()")
    stamp = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "blobs",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", stamp, server_default=now, nullable=False),
        sa.Column("used_at", stamp, server_default=now, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_blobs_user_id")),
        sa.PrimaryKeyConstraint("user_id", "hash", name=op.f("pk_blobs")),
    )
    op.create_index("ix_blobs_used_at", "blobs", ["used_at"])
    op.create_table(
        "attachments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("content_type", sa.String(255), nullable=False),
        sa.Column("created_at", stamp, server_default=now, nullable=False),
        sa.Column("used_at", stamp, server_default=now, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id", "hash"], ["blobs.user_id", "blobs.hash"], name=op.f("fk_attachments_user_id_hash")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
    )
    op.create_index(
        "uq_attachments_content", "attachments", ["user_id", "hash", "filename", "content_type"], unique=True
    )
    op.create_index("ix_attachments_user_id", "attachments", ["user_id", "id"])
    op.create_index("ix_attachments_used_at", "attachments", ["used_at"])
    op.create_table(
        "attachment_uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("content_type", sa.String(255), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", stamp, server_default=now, nullable=False),
        sa.Column("expires_at", stamp, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_attachment_uploads_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment_uploads")),
    )
    op.create_index("ix_attachment_uploads_expires_at", "attachment_uploads", ["expires_at"])
    op.create_table(
        "email_attachments",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "hash", name=op.f("pk_email_attachments")),
    )
    op.create_index("ix_email_attachments_content", "email_attachments", ["user_id", "hash"])


def downgrade() -> None:
    for table in ("email_attachments", "attachment_uploads", "attachments", "blobs"):
        op.drop_table(table)
