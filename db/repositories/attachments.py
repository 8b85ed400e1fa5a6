"""Files as their owners know them, and what of the store is still wanted. Every query is bound to one user."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

UNUSED_HOURS: Final = 24  # that a content is kept which no email carries

# In the order of their keys, so that two requests that share contents do not wait for each other in a circle.
_RESERVE = text("""
    INSERT INTO blobs (user_id, hash, size)
    SELECT :user_id, b.hash, b.size
    FROM unnest(CAST(:hashes AS bytea[]), CAST(:sizes AS bigint[])) AS b(hash, size) ORDER BY b.hash
    ON CONFLICT (user_id, hash) DO UPDATE SET used_at = mm_now()
""")

_ENTER = text("""
    INSERT INTO attachments (id, user_id, hash, filename, content_type)
    VALUES (:id, :user_id, :hash, :filename, :content_type)
    ON CONFLICT (user_id, hash, filename, content_type) DO UPDATE SET used_at = mm_now()
    RETURNING id
""")

_TOUCH = text("""
    WITH named AS (
        UPDATE attachments SET used_at = mm_now()
        WHERE id IN (SELECT id FROM attachments WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[]))
                     ORDER BY id FOR UPDATE)
        RETURNING *
    ), kept AS (
        UPDATE blobs b SET used_at = mm_now()
        WHERE (b.user_id, b.hash) IN (
            SELECT l.user_id, l.hash FROM blobs l JOIN named n ON n.user_id = l.user_id AND n.hash = l.hash
            ORDER BY l.hash FOR UPDATE OF l)
        RETURNING b.*
    )
    SELECT n.id, n.hash, k.size, n.filename, n.content_type
    FROM named n JOIN kept k ON k.user_id = n.user_id AND k.hash = n.hash
""")

_SHOWN = """
    SELECT a.id, a.user_id, a.hash, b.size, a.filename, a.content_type, a.created_at,
        EXISTS (SELECT FROM email_attachments l WHERE l.user_id = a.user_id AND l.hash = a.hash) AS in_use,
        mm_now() AS now
    FROM attachments a JOIN blobs b ON b.user_id = a.user_id AND b.hash = a.hash
"""

_GET = text(f"{_SHOWN} WHERE a.user_id = :user_id AND a.id = :id")
_ANYBODYS = text(f"{_SHOWN} WHERE a.id = :id AND mm_now() < to_timestamp(:expires)")
_LIST = text(f"""{_SHOWN} WHERE a.user_id = :user_id AND (CAST(:before AS uuid) IS NULL OR a.id < :before)
    ORDER BY a.id DESC LIMIT :limit""")

_DELETE = text("DELETE FROM attachments WHERE user_id = :user_id AND id = :id")

_OPEN_UPLOAD = text("""
    INSERT INTO attachment_uploads (id, user_id, filename, content_type, size, hash, expires_at)
    VALUES (:id, :user_id, :filename, :content_type, :size, :hash, mm_now() + :seconds * interval '1 second')
    RETURNING expires_at
""")
_UPLOAD = text("""
    SELECT *, mm_now() >= expires_at AS expired FROM attachment_uploads
    WHERE id = :id AND (CAST(:user_id AS uuid) IS NULL OR user_id = :user_id)
""")
_COMPLETE_UPLOAD = text("""
    UPDATE attachment_uploads SET attachment_id = coalesce(attachment_id, :attachment_id) WHERE id = :id
    RETURNING attachment_id
""")
_CLOSE_UPLOAD = text("DELETE FROM attachment_uploads WHERE id = :id")
# A day after its end, so that an upload under way at the end can still be completed or is told why not.
_OLD_UPLOADS = text("""
    SELECT id FROM attachment_uploads WHERE expires_at < mm_now() - interval '1 day'
    ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_FORGET_NAMES = text(f"""
    DELETE FROM attachments WHERE id IN (
        SELECT a.id FROM attachments a
        WHERE a.used_at < mm_now() - interval '{UNUSED_HOURS} hours' AND NOT EXISTS (
            SELECT FROM email_attachments l WHERE l.user_id = a.user_id AND l.hash = a.hash)
        LIMIT :limit FOR UPDATE SKIP LOCKED)
""")  # noqa: S608  # constants of this module only

_IS_UNUSED = f"""
    b.used_at < mm_now() - interval '{UNUSED_HOURS} hours'
    AND NOT EXISTS (SELECT FROM attachments a WHERE a.user_id = b.user_id AND a.hash = b.hash)
    AND NOT EXISTS (SELECT FROM email_attachments l WHERE l.user_id = b.user_id AND l.hash = b.hash)
"""  # noqa: S608  # as above
_UNUSED = text(f"SELECT b.user_id, b.hash FROM blobs b WHERE {_IS_UNUSED} ORDER BY b.used_at LIMIT :limit")  # noqa: S608
_DROP = text(f"""
    DELETE FROM blobs WHERE (user_id, hash) IN (
        SELECT b.user_id, b.hash FROM blobs b WHERE b.user_id = :user_id AND b.hash = :hash AND {_IS_UNUSED}
        FOR UPDATE SKIP LOCKED)
""")  # noqa: S608  # as above


class Attachments:
    """Files of users. A content's row is written before the content, so that nothing in the store is forgotten."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def reserve(self, user_id: UUID, blobs: Collection[tuple[bytes, int]]) -> None:
        """Say that contents (SHA-256 and size) are about to be written: for a day nothing takes them away."""
        if blobs:
            values = {"hashes": [h for h, _ in blobs], "sizes": [size for _, size in blobs]}
            self._connection.execute(_RESERVE, {"user_id": user_id, **values})

    def enter(self, id: UUID, user_id: UUID, hash: bytes, filename: str, content_type: str) -> UUID:
        """Name a content that is in the store; returns the id that this name and type of it had before, or `id`."""
        values = {"user_id": user_id, "hash": hash, "filename": filename, "content_type": content_type}
        found: UUID = self._connection.execute(_ENTER, {"id": id, **values}).scalar_one()
        return found

    def touch(self, user_id: UUID, ids: Collection[UUID]) -> dict[UUID, RowMapping]:
        """The user's files among these, which nothing takes away for a day."""
        rows = self._connection.execute(_TOUCH, {"user_id": user_id, "ids": [str(i) for i in ids]})
        return {row["id"]: row for row in rows.mappings()}

    def get(self, user_id: UUID, id: UUID) -> RowMapping | None:
        return self._connection.execute(_GET, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def linked(self, id: UUID, expires: int) -> RowMapping | None:
        """Anybody's file, as a link names it that holds until `expires` (Unix seconds); None: gone, or too late."""
        return self._connection.execute(_ANYBODYS, {"id": id, "expires": expires}).mappings().one_or_none()

    def list(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def delete(self, user_id: UUID, id: UUID) -> bool:
        """Take the name away. Emails that carry the content keep it."""
        return self._connection.execute(_DELETE, {"user_id": user_id, "id": id}).rowcount > 0

    def open_upload(
        self,
        id: UUID,
        user_id: UUID,
        *,
        filename: str,
        content_type: str | None,
        size: int,
        hash: bytes | None,
        seconds: int,
    ) -> RowMapping:
        given = {"filename": filename, "content_type": content_type, "size": size, "hash": hash}
        whose = {"id": id, "user_id": user_id, "seconds": seconds}
        return self._connection.execute(_OPEN_UPLOAD, whose | given).mappings().one()

    def upload(self, id: UUID, user_id: UUID | None = None) -> RowMapping | None:
        """An upload, complete where it has an `attachment_id`; of a user's, where one is named."""
        return self._connection.execute(_UPLOAD, {"id": id, "user_id": user_id}).mappings().one_or_none()

    def complete_upload(self, id: UUID, attachment_id: UUID) -> UUID:
        """Say what file it became, and return what holds: whoever comes first says it, and all are told the same."""
        found: UUID = self._connection.execute(
            _COMPLETE_UPLOAD, {"id": id, "attachment_id": attachment_id}
        ).scalar_one()
        return found

    def close_upload(self, id: UUID) -> None:
        self._connection.execute(_CLOSE_UPLOAD, {"id": id})

    def old_uploads(self, limit: int) -> Sequence[UUID]:
        """Uploads whose time is long over, held to the end of the transaction."""
        return self._connection.scalars(_OLD_UPLOADS, {"limit": limit}).all()

    def forget_names(self, limit: int) -> int:
        """Delete names that were not asked for in a day, of contents that no email carries; returns how many."""
        return self._connection.execute(_FORGET_NAMES, {"limit": limit}).rowcount

    def unused(self, limit: int) -> Sequence[tuple[UUID, bytes]]:
        """Contents without a name and without an email, which nobody has asked for in a day."""
        rows = self._connection.execute(_UNUSED, {"limit": limit})
        return [(row.user_id, bytes(row.hash)) for row in rows]

    def drop(self, user_id: UUID, hash: bytes) -> bool:
        """Delete a content's row, where it is still unused. Whoever wants it now waits for this transaction."""
        return self._connection.execute(_DROP, {"user_id": user_id, "hash": hash}).rowcount > 0
