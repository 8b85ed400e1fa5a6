"""/v1/budgets: what may be spent in a day or a month."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import Caller, caller
from api.documents import problems
from api.errors import FieldError, Problem, invalid, not_found
from api.ownership import new_owner
from api.paging import page, read_cursor
from api.parts import wake
from api.requests import answer, dependencies, empty, scoped
from api.schemas.budgets import BudgetChange, BudgetCreate, BudgetOut, BudgetPage, BudgetPath
from api.schemas.providers import PageQuery
from db.repositories.budgets import Plan
from db.uow import SqlUnitOfWork
from domain.budgets import Period

blueprint = APIBlueprint("budgets", __name__, url_prefix="/v1/budgets", abp_tags=[Tag(name="budgets")])
READ, WRITE = "budgets:read", "budgets:write"
_ONE = "/<uuid:budget_id>"
_MOST = 50  # of one user


@blueprint.post("", summary="Set a budget", responses={201: BudgetOut, **problems(409, 413, 415, 422)})
@scoped(WRITE)
def create(body: BudgetCreate) -> Response:
    """What was spent before in this day or month counts. An email comes under all budgets that are for it."""
    deps, asker = dependencies(), caller()
    owner, imposed = _owner(asker, body)
    budget_id = deps.ids()
    with deps.units() as unit:
        plan = _plan(unit, body, owner, imposed)
        if unit.budgets.owned(owner) >= _MOST:
            raise Problem(409, f"There are at most {_MOST} budgets for a user")
        unit.budgets.add(budget_id, plan)
        commit(unit, budget_id)
    with deps.units() as unit:  # workers count in it by now, so that nothing falls between
        unit.budgets.recount(budget_id)
        row = unit.budgets.get(asker.user_id, asker.is_operator, budget_id)
        unit.commit()
    return answer(_budget(row), 201, {"Location": f"/v1/budgets/{budget_id}"})


@blueprint.get("", summary="List budgets", responses={200: BudgetPage, **problems(422)})
@scoped(READ)
def list_budgets(query: PageQuery) -> Response:
    """The caller's, newest first; of operators also the shared ones, and those that operators have set for users."""
    asker, before = caller(), read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.budgets.list(asker.user_id, asker.is_operator, before, query.limit + 1)
    return answer(page(BudgetPage, rows, query.limit, _budget))


@blueprint.get(_ONE, summary="Look up a budget", responses={200: BudgetOut, **problems(404)})
@scoped(READ)
def get(path: BudgetPath) -> Response:
    """With what is spent of it."""
    asker = caller()
    with dependencies().units() as unit:
        row = unit.budgets.get(asker.user_id, asker.is_operator, path.budget_id)
    return answer(_budget(row))


@blueprint.patch(_ONE, summary="Change a budget", responses={200: BudgetOut, **problems(404, 413, 415, 422)})
@scoped(WRITE)
def change(path: BudgetPath, body: BudgetChange) -> Response:
    """Its amount. Where that is more than before, what waits is looked at again."""
    asker = caller()
    with dependencies().units() as unit:
        before = _changeable(unit, asker, path)
        unit.budgets.change(path.budget_id, body.amount)
        row = unit.budgets.get(asker.user_id, asker.is_operator, path.budget_id)
        commit(unit)
    if body.amount > before["amount"]:
        wake(before["user_id"])
    return answer(_budget(row))


@blueprint.delete(_ONE, summary="Delete a budget", responses={204: None, **problems(404)})
@scoped(WRITE)
def delete(path: BudgetPath) -> Response:
    """What waits for it is looked at again."""
    with dependencies().units() as unit:
        before = _changeable(unit, caller(), path)
        unit.budgets.delete(path.budget_id)
        commit(unit)
    wake(before["user_id"])
    return empty()


def _owner(asker: Caller, body: BudgetCreate) -> tuple[UUID | None, bool]:
    """Whose budget it is to be, and whether an operator sets it for somebody else."""
    if body.shared and body.user_id is not None:
        raise invalid([FieldError("pointer", "/user_id", "shared", "a shared budget is of all users")])
    if body.user_id in (None, asker.user_id):
        return new_owner(asker, body.shared), False
    if not asker.is_operator:
        raise Problem(403, "Only an operator may set others' budgets", type="operators-only")
    return body.user_id, True


def _plan(unit: SqlUnitOfWork, body: BudgetCreate, owner: UUID | None, imposed: bool) -> Plan:
    """Raises Problem that names every field which is wrong."""
    errors = []
    if imposed and owner is not None and not unit.accounts.exists(owner):
        errors.append(FieldError("pointer", "/user_id", "unknown_user", "there is no such user"))
    provider = None
    if body.provider is not None:
        provider = unit.rules.find_providers(owner, [body.provider]).get(body.provider)
        if provider is None:
            wrong = f"there is no provider {body.provider!r}"
            errors.append(FieldError("pointer", "/provider", "unknown_provider", wrong))
    rates = dependencies().exchange
    if rates and body.currency not in rates:
        wrong = f"the service knows no rate of {body.currency}; it has {', '.join(sorted(rates))}"
        errors.append(FieldError("pointer", "/currency", "unknown_currency", wrong))
    if not unit.providers.knows_time_zone(body.time_zone):
        wrong = "the database does not know this time zone"
        errors.append(FieldError("pointer", "/time_zone", "time_zone", wrong))
    if errors:
        raise invalid(errors)
    return Plan(
        owner, provider, Period(body.period), body.amount, body.currency, body.time_zone, imposed=imposed
    )


def _changeable(unit: SqlUnitOfWork, asker: Caller, path: BudgetPath) -> RowMapping:
    row = unit.budgets.hold(asker.user_id, asker.is_operator, path.budget_id)
    if row is None:
        raise not_found()
    if row["imposed"] and not asker.is_operator:
        raise Problem(403, "An operator has set this budget", type="operators-only")
    return row


def _budget(row: RowMapping | None) -> BudgetOut:
    if row is None:
        raise not_found()
    shown: dict[str, Any] = {name: row[name] for name in BudgetOut.model_fields if name in row}
    return BudgetOut(
        **shown,
        shared=row["user_id"] is None,
        left=max(Decimal(0), row["amount"] - row["spent"]),
        period_begins=row["begins"],
        period_ends=row["ends"],
    )
