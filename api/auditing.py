"""Writing down who changed what, in the transaction of the change: neither is ever there without the other.

But for what is not in the database: that a provider is well (`healed`) is told to Redis before the line is committed,
so that it may be done without a line where the database goes away in between.
"""

from __future__ import annotations

from uuid import UUID

from flask import g, request

from api.auth import caller
from api.requests import dependencies
from db.repositories.audit import AuditLine
from db.uow import SqlUnitOfWork

_MOST_FIELDS = 50


def commit(unit: SqlUnitOfWork, target: UUID | None = None) -> None:
    """Commit what the request changes, together with its line in the audit log.

    `target`: the thing that was made; else the last that the path names.
    """
    write_down(unit, target)
    unit.commit()


def write_down(unit: SqlUnitOfWork, target: UUID | None = None) -> None:
    """The line alone; whoever asks commits."""
    asker = caller()
    named = [value for value in (request.view_args or {}).values() if isinstance(value, UUID)]
    unit.audit.add(
        AuditLine(
            dependencies().ids(), "api", f"{request.method} {request.url_rule}",
            target or (named[-1] if named else None), _fields(),
            asker.user_id, asker.key_id, g.get("request_id"),
        )
    )  # fmt: skip


def _fields() -> tuple[str, ...]:
    """The names of the body that was read for this request."""
    return tuple(sorted(map(str, g.get("body") or ()))[:_MOST_FIELDS])
