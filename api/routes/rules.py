"""/v1/routing-rules: which providers carry which type of email, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import caller
from api.documents import problems
from api.errors import FieldError, invalid, not_found, pointer
from api.ownership import changeable, new_owner
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, scoped
from api.schemas.providers import (
    PageQuery,
    RuleChange,
    RuleCreate,
    RuleOut,
    RulePage,
    RulePath,
    RuleReplace,
)
from db.repositories.rules import Rule
from db.uow import SqlUnitOfWork

blueprint = APIBlueprint(
    "routing_rules", __name__, url_prefix="/v1/routing-rules", abp_tags=[Tag(name="routing rules")]
)


def _review(body: dict[str, Any], wrong: frozenset[str]) -> list[FieldError]:
    """What the database says to those fields of a wrong rule that are right in themselves."""
    default, fallbacks = body.get("default_provider"), body.get("fallback_providers")
    refs: list[tuple[tuple[str | int, ...], str]] = []
    if isinstance(default, str):
        refs.append((("default_provider",), default))
    if isinstance(fallbacks, list):
        refs.extend(
            (("fallback_providers", n), name) for n, name in enumerate(fallbacks) if isinstance(name, str)
        )
    email_type = body.get("email_type")
    owner = None if body.get("shared") is True else caller().user_id
    with dependencies().units() as unit:
        _, found = _find(
            unit,
            owner,
            email_type if isinstance(email_type, str) and "/email_type" not in wrong else None,
            [(path, name) for path, name in refs if pointer(path) not in wrong],
        )
    return found


@blueprint.post("", summary="Add a routing rule", responses={201: RuleOut, **problems(413, 415, 422)})
@scoped("rules:write", _review)
def create(body: RuleCreate) -> Response:
    """Where several rules are for one type, the one with the lowest priority number holds."""
    deps, asker = dependencies(), caller()
    owner = new_owner(asker, body.shared)
    rule_id = deps.ids()
    with deps.units() as unit:
        rule = _resolve(
            unit, owner, body.email_type, body.default_provider, body.fallback_providers, body.priority
        )
        unit.rules.write(rule_id, rule)
        row = unit.rules.get(asker.user_id, rule_id)
        commit(unit, rule_id)
    return answer(_rule(row), 201, {"Location": f"/v1/routing-rules/{rule_id}"})


@blueprint.get("", summary="List routing rules", responses={200: RulePage, **problems(422)})
@scoped("rules:read")
def list_rules(query: PageQuery) -> Response:
    """The caller's own and the shared ones, newest first."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.rules.list(caller().user_id, before, query.limit + 1)
    return answer(page(RulePage, rows, query.limit, _rule))


@blueprint.get("/<uuid:rule_id>", summary="Look up a routing rule", responses={200: RuleOut, **problems(404)})
@scoped("rules:read")
def get(path: RulePath) -> Response:
    """One rule."""
    with dependencies().units() as unit:
        row = unit.rules.get(caller().user_id, path.rule_id)
    return answer(_rule(row))


@blueprint.put(
    "/<uuid:rule_id>",
    summary="Replace a routing rule",
    responses={200: RuleOut, **problems(404, 413, 415, 422)},
)
@scoped("rules:write", _review)
def replace(path: RulePath, body: RuleReplace) -> Response:
    """All of it but its owner; what is left out gets its default."""
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.rules.lock(asker.user_id, path.rule_id))
        rule = _resolve(
            unit,
            row["user_id"],
            body.email_type,
            body.default_provider,
            body.fallback_providers,
            body.priority,
        )
        return _store(unit, asker.user_id, row, rule)


@blueprint.patch(
    "/<uuid:rule_id>",
    summary="Change a routing rule",
    responses={200: RuleOut, **problems(404, 413, 415, 422)},
)
@scoped("rules:write", _review)
def change(path: RulePath, body: RuleChange) -> Response:
    """What is left out stays."""
    asker, given = caller(), body.model_fields_set
    with dependencies().units() as unit:
        row = changeable(asker, unit.rules.lock(asker.user_id, path.rule_id))
        rule = _resolve(
            unit,
            row["user_id"],
            body.email_type if "email_type" in given else row["email_type"],
            body.default_provider if "default_provider" in given else row["default_provider"]["id"],
            body.fallback_providers
            if "fallback_providers" in given
            else [provider["id"] for provider in row["fallback_providers"]],
            body.priority if "priority" in given else row["priority"],
        )
        return _store(unit, asker.user_id, row, rule)


@blueprint.delete("/<uuid:rule_id>", summary="Delete a routing rule", responses={204: None, **problems(404)})
@scoped("rules:write")
def delete(path: RulePath) -> Response:
    """Emails of its type are then routed by the next rule, or freely."""
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.rules.lock(asker.user_id, path.rule_id))
        unit.rules.delete(row["id"])
        commit(unit)
    return empty()


def _store(unit: SqlUnitOfWork, user_id: UUID, row: RowMapping, rule: Rule) -> Response:
    unit.rules.write(row["id"], rule)
    fresh = unit.rules.get(user_id, row["id"])
    commit(unit)
    return answer(_rule(fresh))


def _resolve(
    unit: SqlUnitOfWork,
    owner: UUID | None,
    email_type: str,
    default: str,
    fallbacks: Sequence[str],
    priority: int,
) -> Rule:
    """The rule with its providers found. Raises Problem that names every wrong field."""
    refs: list[tuple[tuple[str | int, ...], str]] = [(("default_provider",), default)]
    refs.extend((("fallback_providers", index), name) for index, name in enumerate(fallbacks))
    found, errors = _find(unit, owner, email_type, refs)
    if errors:
        raise invalid(errors)
    return Rule(owner, email_type, found[default], tuple(found[name] for name in fallbacks), priority)


def _find(
    unit: SqlUnitOfWork,
    owner: UUID | None,
    email_type: str | None,
    refs: Sequence[tuple[tuple[str | int, ...], str]],
) -> tuple[dict[str, UUID], list[FieldError]]:
    """The providers that are named, and what is wrong. `email_type` None: not asked."""
    found = unit.rules.find_providers(owner, [name for _, name in refs])
    errors = []
    if email_type is not None and not unit.rules.is_declared(owner, email_type):
        errors.append(
            FieldError(
                "pointer", "/email_type", "undeclared_type", f"no email type {email_type!r} is declared"
            )
        )
    seen: set[UUID] = set()
    for path, name in refs:
        if name not in found:
            errors.append(
                FieldError("pointer", pointer(path), "unknown_provider", f"there is no provider {name!r}")
            )
        elif found[name] in seen:
            errors.append(
                FieldError("pointer", pointer(path), "repeated", "the rule named this provider before")
            )
        else:
            seen.add(found[name])
    return found, errors


def _rule(row: RowMapping | None) -> RuleOut:
    if row is None:
        raise not_found()
    return RuleOut(
        **{name: row[name] for name in RuleOut.model_fields if name in row}, shared=row["user_id"] is None
    )
