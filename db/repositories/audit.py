"""The audit log: lines are written and read, never changed; old ones go with their retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

_ADD = text("""
    INSERT INTO audit_log (id, user_id, api_key_id, by, action, target, fields, request_id)
    VALUES (:id, :user_id, :api_key_id, :by, :action, :target, :fields, :request_id)
""")
_LIST = text("""
    SELECT id, at, user_id, api_key_id, by, action, target, fields, request_id FROM audit_log
    WHERE (CAST(:user_id AS uuid) IS NULL OR user_id = :user_id)
        AND (CAST(:target AS uuid) IS NULL OR target = :target)
        AND (CAST(:before AS uuid) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class AuditLine:
    """`user_id` None: whoever is at the machine. `fields`: names of what was given, never the values."""

    id: UUID
    by: str
    action: str
    target: UUID | None = None
    fields: tuple[str, ...] = ()
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    request_id: str | None = None


class Audit:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, line: AuditLine) -> None:
        self._connection.execute(_ADD, asdict(line) | {"fields": list(line.fields)})

    def list(
        self, user_id: UUID | None, target: UUID | None, before: UUID | None, limit: int
    ) -> Sequence[RowMapping]:
        """Newest first. None: of all users, of all things, from the newest on."""
        values = {"user_id": user_id, "target": target, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()
