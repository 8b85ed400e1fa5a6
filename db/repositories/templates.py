"""Templates and their versions, as their owners see and change them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import IntegrityError

from domain.templates import Source

_UNIQUE_VIOLATION = "23505"

_SEEN = """
    SELECT t.id, t.template_name AS name, t.published_version, t.created_at, t.updated_at,
        (SELECT max(version) FROM email_template_versions v WHERE v.template_id = t.id) AS newest_version
    FROM email_templates t WHERE t.user_id = :user_id
"""
_LIST = text(f"{_SEEN} AND (CAST(:before AS uuid) IS NULL OR t.id < :before) ORDER BY t.id DESC LIMIT :limit")
_GET = text(f"{_SEEN} AND t.id = :id")
_LOCK = text(f"{_SEEN} AND t.id = :id FOR UPDATE OF t")

_ADD = text("""
    INSERT INTO email_templates (id, user_id, template_name, template_body) VALUES (:id, :user_id, :name, '')
""")
_RENAME = text("UPDATE email_templates SET template_name = :name, updated_at = mm_now() WHERE id = :id")
_DELETE = text("DELETE FROM email_templates WHERE id = :id AND user_id = :user_id RETURNING id")
_ADD_VERSION = text("""
    INSERT INTO email_template_versions (template_id, version, subject, text, html, mjml)
    VALUES (:id, :version, :subject, :text, :html, :mjml)
""")
# The body of what is published also stands in the template itself.
_PUBLISH = text("""
    UPDATE email_templates t
    SET published_version = v.version, template_body = coalesce(v.mjml, v.html, v.text, ''), updated_at = mm_now()
    FROM email_template_versions v
    WHERE t.id = :id AND v.template_id = t.id AND v.version = :version
    RETURNING t.id
""")
_VERSIONS = text("""
    SELECT version, subject, text, html, mjml, created_at FROM email_template_versions
    WHERE template_id = :id AND (CAST(:before AS integer) IS NULL OR version < :before)
    ORDER BY version DESC LIMIT :limit
""")
_VERSION = text("""
    SELECT version, subject, text, html, mjml, created_at FROM email_template_versions
    WHERE template_id = :id AND version = :version
""")
# What emails ask for: a template by its id or its name, in one version or in the published one.
_FIND = text("""
    SELECT a.ref, a.asked, t.published_version, v.version, v.subject, v.text, v.html, v.mjml
    FROM unnest(CAST(:refs AS text[]), CAST(:versions AS integer[])) AS a(ref, asked)
    JOIN email_templates t ON t.user_id = :user_id AND (t.template_name = a.ref OR t.id::text = lower(a.ref))
    LEFT JOIN email_template_versions v
        ON v.template_id = t.id AND v.version = coalesce(a.asked, t.published_version)
""")


class NameTaken(Exception):
    """The user has another template of this name."""


class Templates:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of the user's, newest first, below the id `before`."""
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def get(self, user_id: UUID, id: UUID) -> RowMapping | None:
        return self._connection.execute(_GET, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def lock(self, user_id: UUID, id: UUID) -> RowMapping | None:
        """As `get`; others wait to change it until this transaction ends."""
        return self._connection.execute(_LOCK, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def add(self, id: UUID, user_id: UUID, name: str) -> None:
        """Raises NameTaken; then nothing more can be done in this transaction."""
        self._write(_ADD, {"id": id, "user_id": user_id, "name": name})

    def rename(self, id: UUID, name: str) -> None:
        """Raises NameTaken; then nothing more can be done in this transaction."""
        self._write(_RENAME, {"id": id, "name": name})

    def delete(self, user_id: UUID, id: UUID) -> bool:
        """With all its versions. Emails carry what was rendered for them, and do not need it."""
        return self._connection.execute(_DELETE, {"id": id, "user_id": user_id}).first() is not None

    def add_version(self, id: UUID, version: int, source: Source) -> None:
        self._connection.execute(
            _ADD_VERSION,
            {
                "id": id,
                "version": version,
                "subject": source.subject,
                "text": source.text,
                "html": source.html,
                "mjml": source.mjml,
            },
        )

    def publish(self, id: UUID, version: int) -> bool:
        """Whether there is this version."""
        return self._connection.execute(_PUBLISH, {"id": id, "version": version}).first() is not None

    def versions(self, id: UUID, before: int | None, limit: int) -> Sequence[RowMapping]:
        values = {"id": id, "before": before, "limit": limit}
        return self._connection.execute(_VERSIONS, values).mappings().all()

    def version(self, id: UUID, version: int) -> RowMapping | None:
        return self._connection.execute(_VERSION, {"id": id, "version": version}).mappings().one_or_none()

    def find(
        self, user_id: UUID, asked: Sequence[tuple[str, int | None]]
    ) -> dict[tuple[str, int | None], Source | None]:
        """What of this there is, by (id or name, version); no version: the published one.

        A template that is not there is left out; None: it has no such version, or none is published.
        """
        values = {"user_id": user_id, "refs": [r for r, _ in asked], "versions": [v for _, v in asked]}
        return {
            (row["ref"], row["asked"]): None if row["version"] is None else source_value(row)
            for row in self._connection.execute(_FIND, values).mappings()
        }

    def _write(self, statement: object, values: dict[str, object]) -> None:
        try:
            self._connection.execute(statement, values)  # type: ignore[call-overload]
        except IntegrityError as error:
            if getattr(error.orig, "pgcode", None) == _UNIQUE_VIOLATION:
                raise NameTaken from error
            raise


def source_value(row: RowMapping) -> Source:
    return Source(row["subject"], row["text"], row["html"], row["mjml"])
