"""/v1/audit-log: who changed what."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from api.auth import caller
from api.documents import problems
from api.errors import Problem
from api.fields import Out, Page, Timestamp
from api.paging import page, read_cursor
from api.requests import answer, dependencies, scoped
from api.schemas.providers import PageQuery

blueprint = APIBlueprint("audit_log", __name__, url_prefix="/v1", abp_tags=[Tag(name="audit log")])


class AuditQuery(PageQuery):
    """Which lines."""

    target: UUID | None = Field(default=None, description="Of this thing only.")
    user_id: UUID | None = Field(
        default=None, description="Of this user only; operators may ask for anybody's."
    )


class AuditOut(Out):
    """One change."""

    id: UUID
    at: Timestamp
    user_id: UUID | None = Field(description="Null: whoever was at the machine.")
    api_key_id: UUID | None
    by: str = Field(
        description="`api`, `cli` for the command line on the machine itself, or `worker` where a limit was reached."
    )
    action: str = Field(examples=["PATCH /v1/providers/<uuid:provider_id>"])
    target: UUID | None
    fields: list[str] = Field(description="The names of what was given; values are not kept.")
    request_id: str | None


class AuditPage(Page[AuditOut]):
    """Changes, newest first."""


@blueprint.get("/audit-log", summary="List changes", responses={200: AuditPage, **problems(422)})
@scoped("audit:read")
def list_changes(query: AuditQuery) -> Response:
    """The caller's own; of operators everybody's, and what was done on the machine itself."""
    asker = caller()
    if query.user_id not in (None, asker.user_id) and not asker.is_operator:
        raise Problem(403, "Only an operator may see others' changes", type="operators-only")
    user = query.user_id if asker.is_operator else asker.user_id
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.audit.list(user, query.target, before, query.limit + 1)
    return answer(page(AuditPage, rows, query.limit, lambda row: AuditOut(**row)))
