"""/v1/routing-rules: which providers carry which emails, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
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

Ref = tuple[tuple[str | int, ...], str]
"""Where a provider is named, and by what."""
_CONDITIONS: Final = ("email_type", "sender_domain", "recipient_domain", "tag", "user_id")


def _review(body: dict[str, Any], wrong: frozenset[str]) -> list[FieldError]:
    """What the database says to those fields of a wrong rule that are right in themselves."""
    asker = caller()
    default, fallbacks = body.get("default_provider"), body.get("fallback_providers")
    refs: list[Ref] = []
    if isinstance(default, str):
        refs.append((("default_provider",), default))
    if isinstance(fallbacks, list):
        refs.extend(
            (("fallback_providers", n), name) for n, name in enumerate(fallbacks) if isinstance(name, str)
        )
    email_type, user_id = body.get("email_type"), body.get("user_id")
    owner = None if body.get("shared") is True else asker.user_id
    with dependencies().units() as unit:
        _, found = _find(
            unit,
            owner,
            email_type if isinstance(email_type, str) and "/email_type" not in wrong else None,
            [(path, name) for path, name in refs if pointer(path) not in wrong],
        )
        # Nobody but operators is told who there is.
        if isinstance(user_id, str) and "/user_id" not in wrong and asker.is_operator:
            found += _check_user(unit, UUID(user_id))
    return found


def _review_whole(body: dict[str, Any], wrong: frozenset[str]) -> list[FieldError]:
    """As `_review`, of all that a rule says."""
    return [*_review(body, wrong), *([] if "/catch_all" in wrong else _check_reach(body))]


@blueprint.post("", summary="Add a routing rule", responses={201: RuleOut, **problems(413, 415, 422)})
@scoped("rules:write", _review_whole)
def create(body: RuleCreate) -> Response:
    """Of the rules that fit an email, your own go before shared ones; then the lowest priority number holds, then
    the most conditions, then the oldest.
    """
    deps, asker = dependencies(), caller()
    owner = new_owner(asker, body.shared)
    rule_id = deps.ids()
    with deps.units() as unit:
        rule = _resolve(unit, owner, body)
        unit.rules.write(rule_id, rule)
        row = unit.rules.get(asker.user_id, asker.is_operator, rule_id)
        commit(unit, rule_id)
    return answer(_rule(row), 201, {"Location": f"/v1/routing-rules/{rule_id}"})


@blueprint.get("", summary="List routing rules", responses={200: RulePage, **problems(422)})
@scoped("rules:read")
def list_rules(query: PageQuery) -> Response:
    """The caller's own and the shared ones, newest first; of those for one user that user's, or to operators all."""
    before, asker = read_cursor(query.cursor), caller()
    with dependencies().units() as unit:
        rows = unit.rules.list(asker.user_id, asker.is_operator, before, query.limit + 1)
    return answer(page(RulePage, rows, query.limit, _rule))


@blueprint.get("/<uuid:rule_id>", summary="Look up a routing rule", responses={200: RuleOut, **problems(404)})
@scoped("rules:read")
def get(path: RulePath) -> Response:
    """One rule."""
    asker = caller()
    with dependencies().units() as unit:
        row = unit.rules.get(asker.user_id, asker.is_operator, path.rule_id)
    return answer(_rule(row))


@blueprint.put(
    "/<uuid:rule_id>",
    summary="Replace a routing rule",
    responses={200: RuleOut, **problems(404, 413, 415, 422)},
)
@scoped("rules:write", _review_whole)
def replace(path: RulePath, body: RuleReplace) -> Response:
    """All of it but its owner; what is left out gets its default."""
    with dependencies().units() as unit:
        row = _changeable(unit, path)
        return _store(unit, row, _resolve(unit, row["user_id"], body))


@blueprint.patch(
    "/<uuid:rule_id>",
    summary="Change a routing rule",
    responses={200: RuleOut, **problems(404, 413, 415, 422)},
)
@scoped("rules:write", _review)
def change(path: RulePath, body: RuleChange) -> Response:
    """What is left out stays. Null takes a condition away; who takes the last one says `catch_all`."""
    given = body.model_dump(exclude_unset=True)
    with dependencies().units() as unit:
        row = _changeable(unit, path)
        now = _rule(row).model_dump()
        now["default_provider"] = str(now["default_provider"]["id"])
        now["fallback_providers"] = [str(provider["id"]) for provider in now["fallback_providers"]]
        if any(given.get(name) is not None for name in _CONDITIONS):
            now["catch_all"] = False
        said = {name: value for name, value in now.items() if name in RuleReplace.model_fields} | given
        return _store(unit, row, _resolve(unit, row["user_id"], RuleReplace.model_construct(**said)))


@blueprint.delete("/<uuid:rule_id>", summary="Delete a routing rule", responses={204: None, **problems(404)})
@scoped("rules:write")
def delete(path: RulePath) -> Response:
    """Its emails are then routed by the next rule, or freely."""
    with dependencies().units() as unit:
        row = _changeable(unit, path)
        unit.rules.delete(row["id"])
        commit(unit)
    return empty()


def _changeable(unit: SqlUnitOfWork, path: RulePath) -> RowMapping:
    asker = caller()
    return changeable(asker, unit.rules.lock(asker.user_id, asker.is_operator, path.rule_id))


def _store(unit: SqlUnitOfWork, row: RowMapping, rule: Rule) -> Response:
    asker = caller()
    unit.rules.write(row["id"], rule)
    fresh = unit.rules.get(asker.user_id, asker.is_operator, row["id"])
    commit(unit)
    return answer(_rule(fresh))


def _resolve(unit: SqlUnitOfWork, owner: UUID | None, said: RuleReplace) -> Rule:
    """The rule with its providers found. Raises Problem that names every wrong field."""
    refs: list[Ref] = [(("default_provider",), said.default_provider)]
    refs.extend((("fallback_providers", index), name) for index, name in enumerate(said.fallback_providers))
    found, errors = _find(unit, owner, said.email_type, refs)
    errors += _check_reach({name: getattr(said, name) for name in (*_CONDITIONS, "catch_all")})
    if said.user_id is not None and owner is not None:
        wrong = "only a shared rule is for one user; your own are for your emails"
        errors.append(FieldError("pointer", "/user_id", "not_shared", wrong))
    elif said.user_id is not None:
        errors += _check_user(unit, said.user_id)
    if errors:
        raise invalid(errors)
    return Rule(
        owner=owner,
        email_type=said.email_type,
        sender_domain=said.sender_domain,
        recipient_domain=said.recipient_domain,
        tag=said.tag,
        for_user=said.user_id,
        policy=said.policy,
        default_provider=found[said.default_provider],
        fallback_providers=tuple(found[name] for name in said.fallback_providers),
        priority=said.priority,
    )


def _check_reach(said: Mapping[str, Any]) -> list[FieldError]:
    """Nobody makes a rule for all emails by leaving something out."""
    narrow, catch_all = any(said.get(name) is not None for name in _CONDITIONS), said.get("catch_all", False)
    if narrow and catch_all:
        return [
            FieldError("pointer", "/catch_all", "conflict", "a rule with conditions is not for all emails")
        ]
    if not narrow and not catch_all:
        wrong = f"one of {', '.join(_CONDITIONS)} is wanted; for all emails, say so with catch_all"
        return [FieldError("pointer", "/catch_all", "no_condition", wrong)]
    return []


def _check_user(unit: SqlUnitOfWork, user_id: UUID) -> list[FieldError]:
    if unit.accounts.exists(user_id):
        return []
    return [FieldError("pointer", "/user_id", "unknown_user", "there is no such user")]


def _find(
    unit: SqlUnitOfWork,
    owner: UUID | None,
    email_type: str | None,
    refs: Sequence[Ref],
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
    shown = {name: row[name] for name in RuleOut.model_fields if name in row} | {
        "user_id": row["for_user_id"]
    }
    catch_all = all(shown[name] is None for name in _CONDITIONS)
    return RuleOut(**shown, catch_all=catch_all, shared=row["user_id"] is None)
