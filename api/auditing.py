"""Writing down who changed what: each request that was answered well, and needed a scope to write."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from flask import Flask, Response, g, request

from api.auth import caller, scope_of
from api.deps import Dependencies
from db.repositories.audit import AuditLine
from domain.errors import StorageUnavailable

_MOST_FIELDS = 50

log = structlog.get_logger(__name__)


def audit(app: Flask, deps: Dependencies) -> None:
    """Right after the change, in a transaction of its own: what cannot be written stands in the log of the process."""

    @app.after_request
    def _write_down(response: Response) -> Response:
        scope = scope_of(request.endpoint)
        if (
            scope is None
            or not scope.endswith(":write")
            or request.method == "GET"
            or response.status_code >= 300
        ):
            return response
        asker = caller()
        line = AuditLine(
            deps.ids(), "api", f"{request.method} {request.url_rule}", _target(response), _fields(),
            asker.user_id, asker.key_id, g.get("request_id"),
        )  # fmt: skip
        try:
            with deps.units() as unit:
                unit.audit.add(line)
                unit.commit()
        except StorageUnavailable:
            log.exception(
                "audit_line_lost", action=line.action, target=str(line.target), user=str(line.user_id)
            )
        return response


def _target(response: Response) -> UUID | None:
    """The thing that was changed, or made."""
    ids = [value for value in (request.view_args or {}).values() if isinstance(value, UUID)]
    if ids:
        return ids[-1]
    made: Any = response.get_json(silent=True) if response.is_json else None
    try:
        return UUID(made["id"])
    except (TypeError, LookupError, ValueError, AttributeError):
        return None


def _fields() -> tuple[str, ...]:
    """The names of the body that was read for this request."""
    return tuple(sorted(map(str, g.get("body") or ()))[:_MOST_FIELDS])
