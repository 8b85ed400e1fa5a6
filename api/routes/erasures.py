"""/v1/erasures: everything about a recipient is taken away."""

from __future__ import annotations

from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import caller
from api.documents import problems
from api.errors import Problem, not_found
from api.paging import page, read_cursor
from api.requests import answer, dependencies, scoped
from api.schemas.erasures import ErasureCreate, ErasureOut, ErasurePage, ErasurePath
from api.schemas.providers import PageQuery

blueprint = APIBlueprint("erasures", __name__, url_prefix="/v1/erasures", abp_tags=[Tag(name="erasures")])
READ, WRITE = "erasures:read", "erasures:write"


@blueprint.post("", summary="Erase a recipient", responses={202: ErasureOut, **problems(413, 415, 422)})
@scoped(WRITE)
def create(body: ErasureCreate) -> Response:
    """Everything about an address goes: emails to it with their bodies, attempts, timelines and events, and its mention
    in what stays. Emails that wait are not sent. A place on the suppression list stays, as a hash that tells nobody
    who it is. What was tried out with test keys goes too.

    It begins within seconds and may take minutes. Asking again while it is under way answers the same one.
    """
    deps, asker = dependencies(), caller()
    if body.everybody and not asker.is_operator:
        raise Problem(403, "Only an operator may erase what others keep", type="operators-only")
    with deps.units() as unit:
        row = unit.erasures.ask(deps.ids(), asker.user_id, body.address, body.everybody)
        test_account = unit.accounts.test_account(asker.user_id)
        if test_account is not None and not body.everybody:
            unit.erasures.ask(deps.ids(), test_account, body.address, everybody=False)
        commit(unit, row["id"])
    return answer(_erasure(row), 202, {"Location": f"/v1/erasures/{row['id']}"})


@blueprint.get("", summary="List erasures", responses={200: ErasurePage, **problems(422)})
@scoped(READ)
def list_erasures(query: PageQuery) -> Response:
    """Those that the caller asked for, newest first."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.erasures.list(caller().user_id, before, query.limit + 1)
    return answer(page(ErasurePage, rows, query.limit, _erasure))


@blueprint.get(
    "/<uuid:erasure_id>", summary="Look up an erasure", responses={200: ErasureOut, **problems(404)}
)
@scoped(READ)
def get(path: ErasurePath) -> Response:
    """Whether it is done."""
    with dependencies().units() as unit:
        row = unit.erasures.get(caller().user_id, path.erasure_id)
    if row is None:
        raise not_found()
    return answer(_erasure(row))


def _erasure(row: RowMapping) -> ErasureOut:
    state: Literal["waiting", "working", "done"] = "waiting" if row["step"] is None else "working"
    if row["done_at"] is not None:
        state = "done"
    return ErasureOut(
        id=row["id"],
        state=state,
        everybody=row["everybody"],
        found=row["found"],
        asked_at=row["asked_at"],
        done_at=row["done_at"],
    )
