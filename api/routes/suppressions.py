"""/v1/suppressions: who is not written to any more."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.auditing import commit
from api.auth import Caller, caller
from api.documents import problems
from api.errors import not_found
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, scoped
from api.schemas.suppressions import (
    Suppressed,
    SuppressionCreate,
    SuppressionFilter,
    SuppressionOut,
    SuppressionPage,
    SuppressionPath,
    SuppressionsCreate,
)
from db.repositories.suppressions import Entry, EntryQuery
from domain.suppression import Cause

blueprint = APIBlueprint(
    "suppressions", __name__, url_prefix="/v1/suppressions", abp_tags=[Tag(name="suppressions")]
)
READ, WRITE = "suppressions:read", "suppressions:write"
_ONE = "/<uuid:suppression_id>"


@blueprint.post("", summary="Suppress addresses", responses={200: Suppressed, **problems(413, 415, 422)})
@scoped(WRITE)
def create(body: SuppressionsCreate) -> Response:
    """Up to 1,000 at once. Emails that wait are stopped too: the list is looked at again when they are sent."""
    asker = caller()
    entries = _entries(asker, body.entries)
    with dependencies().units() as unit:
        added = unit.suppressions.add(entries)
        commit(unit)
    return answer(Suppressed(added=added, known=len(entries) - added))


@blueprint.get("", summary="List suppressed addresses", responses={200: SuppressionPage, **problems(422)})
@scoped(READ)
def list_suppressions(query: SuppressionFilter) -> Response:
    """The caller's, newest first, those that have expired included."""
    asked = EntryQuery(query.address, query.scope, query.cause, read_cursor(query.cursor))
    with dependencies().units() as unit:
        rows = unit.suppressions.list(caller().user_id, asked, query.limit + 1)
    return answer(page(SuppressionPage, rows, query.limit, lambda row: SuppressionOut(**row)))


@blueprint.get(_ONE, summary="Look up a suppressed address", responses={200: SuppressionOut, **problems(404)})
@scoped(READ)
def get(path: SuppressionPath) -> Response:
    """Who put it there, and why."""
    with dependencies().units() as unit:
        row = unit.suppressions.get(caller().user_id, path.suppression_id)
    if row is None:
        raise not_found()
    return answer(SuppressionOut(**row))


@blueprint.delete(_ONE, summary="Write to an address again", responses={204: None, **problems(404)})
@scoped(WRITE)
def delete(path: SuppressionPath) -> Response:
    """Emails that were stopped stay stopped."""
    with dependencies().units() as unit:
        if not unit.suppressions.remove(caller().user_id, path.suppression_id):
            raise not_found()
        commit(unit)
    return empty()


def _entries(asker: Caller, given: Sequence[SuppressionCreate]) -> list[Entry]:
    """One for each address and scope; the one that holds longest."""
    found: dict[tuple[str, str], Entry] = {}
    for one in given:
        entry = Entry(
            asker.user_id, one.address, one.scope, Cause(one.cause), "API", one.detail, None, one.expires_at
        )
        known = found.get((one.address, one.scope))
        if known is None or (
            known.expires_at is not None and (one.expires_at is None or one.expires_at > known.expires_at)
        ):
            found[one.address, one.scope] = entry
    return list(found.values())
