"""/v1/email-types: what kinds of email there are, and how each is treated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import caller
from api.documents import problems
from api.errors import FieldError, Problem, invalid, not_found, pointer
from api.fields import Body, Out, Page, Text, Timestamp, example
from api.ownership import changeable, new_owner
from api.paging import page, read_cursor
from api.parts import wake
from api.requests import answer, dependencies, empty, scoped
from api.schemas.posting import Policy
from api.schemas.providers import PageQuery, ProviderNamed, ProviderRef
from db.repositories.email_types import Declaration, TypeDeclared
from db.uow import SqlUnitOfWork
from domain.budgets import usual

blueprint = APIBlueprint(
    "email_types", __name__, url_prefix="/v1/email-types", abp_tags=[Tag(name="email types")]
)
_ONE = "/<uuid:type_id>"
READ, WRITE = "types:read", "types:write"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}\Z")
_BULK_ALONE = "marketing goes by the bulk lane: nothing that is urgent is to wait behind it"
_FOR_ALL = ("transactional", "marketing")  # there from the start, and named as defaults


def _type_name(name: str) -> str:
    if not _NAME.match(name):
        raise PydanticCustomError(
            "type_name", "a name has 1 to 50 characters of A-Z, a-z, 0-9, . _ -, and begins with no sign"
        )
    return name


Category = Literal["transactional", "marketing"]
LaneName = Literal["transactional", "bulk"]
Unknown = Literal["hold", "resend"]
Unsubscribe = Literal["marketing", "type"]
AtBudgetName = Literal["defer", "fail", "ignore"]
Carriers = Annotated[list[ProviderRef], Field(max_length=50)]
Promise = Annotated[float, Field(ge=0.5, le=0.9999, strict=True, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.05, le=10, strict=True, allow_inf_nan=False)]


class TypeCreate(Body):
    """A kind of email. What is left out follows the category."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "login-code", "on_unknown": "resend", "urgent": True}]}
    )

    name: Annotated[Text, AfterValidator(_type_name)]
    category: Category = Field(
        default="transactional", description="marketing: one recipient each, and no cc or bcc."
    )
    lane: LaneName | None = Field(
        default=None,
        description="The queue. Left out: bulk for marketing, which has no other, else transactional.",
    )
    on_unknown: Unknown = Field(
        default="hold", description="What to do when nobody can say whether a provider took an email."
    )
    policy: Policy = Field(default="balanced", description="What the choice of the provider weighs most.")
    urgent: StrictBool = Field(default=False, description="Seconds count, as for login codes.")
    unsubscribe_scope: Unsubscribe = Field(
        default="marketing",
        description="Of marketing: what a recipient leaves by its link, all of it or this type.",
    )
    deliver_at_least: Promise | None = Field(
        default=None,
        description="A promise: the share of its emails that mailbox hosts are to take, at the least cost. What is "
        "missed raises what a delivered email is worth, above what `policy` says.",
    )
    taken_within: Seconds | None = Field(
        default=None,
        description="Another promise: 19 of 20 of its emails are taken by a provider within so many seconds of being "
        "given to it, at the least cost. What is late raises what a second is worth.",
    )
    at_budget: AtBudgetName | None = Field(
        default=None,
        description="Where a budget is spent and no other provider is left: wait for its next period, fail, or go all "
        "the same. Left out: ignore where it is urgent, else defer.",
    )
    providers: Carriers = Field(default=[], description="Those that may carry it. Left out: any.")
    shared: StrictBool = Field(default=False, description="For all users; only operators may.")

    @field_validator("lane")
    @classmethod
    def _fits(cls, lane: LaneName | None, before: ValidationInfo) -> LaneName | None:
        if lane == "transactional" and before.data.get("category") == "marketing":
            raise PydanticCustomError("not_for_marketing", _BULK_ALONE)
        return lane


class TypeChange(Body):
    """What is left out stays, but that what becomes marketing goes by the bulk lane. Emails that were accepted keep
    their lane and their `on_unknown`.
    """

    model_config = example({"policy": "most_reliable", "urgent": True})

    category: Category = "transactional"
    lane: LaneName = "transactional"
    on_unknown: Unknown = "hold"
    policy: Policy = "balanced"
    urgent: StrictBool = False
    unsubscribe_scope: Unsubscribe = "marketing"
    deliver_at_least: Promise | None = None
    taken_within: Seconds | None = None
    at_budget: AtBudgetName = "defer"
    providers: Carriers = Field(default=[])


class TypePath(BaseModel):
    type_id: UUID = Field(description="The type's id.")


class TypeOut(Out):
    """A declared email type."""

    id: UUID
    name: str
    category: Category
    lane: LaneName
    on_unknown: Unknown
    policy: Policy
    urgent: bool
    unsubscribe_scope: Unsubscribe
    deliver_at_least: float | None
    taken_within: float | None
    at_budget: AtBudgetName
    providers: list[ProviderNamed] = Field(description="Those that may carry it; none: any.")
    shared: bool
    created_at: Timestamp


class TypePage(Page[TypeOut]):
    """Email types, newest first."""


def _review(body: dict[str, Any], wrong: frozenset[str]) -> list[FieldError]:
    """What the database says to the providers of a type that is wrong in other fields."""
    named = body.get("providers")
    if not isinstance(named, list) or any(name.startswith("/providers") for name in wrong):
        return []
    owner = None if body.get("shared") is True else caller().user_id
    with dependencies().units() as unit:
        return _unknown(named, unit.rules.find_providers(owner, named))


@blueprint.post("", summary="Declare an email type", responses={201: TypeOut, **problems(409, 413, 415, 422)})
@scoped(WRITE, _review)
def create(body: TypeCreate) -> Response:
    """A user's own type goes before a shared one of the same name."""
    deps, asker = dependencies(), caller()
    owner = new_owner(asker, body.shared)
    lane = _lane(body.category, body.lane)
    type_id = deps.ids()
    said = body.model_dump(exclude={"shared", "lane", "providers", "at_budget"})
    said["at_budget"] = body.at_budget or usual(body.urgent).value
    with deps.units() as unit:
        providers = _carriers(unit, owner, body.providers)
        try:
            unit.email_types.write(type_id, Declaration(owner, lane=lane, providers=providers, **said))
        except TypeDeclared as before:
            raise Problem(409, "A type of this name is declared") from before
        row = unit.email_types.get(asker.user_id, type_id)
        commit(unit, type_id)
    return answer(_type(row), 201, {"Location": f"/v1/email-types/{type_id}"})


@blueprint.get("", summary="List email types", responses={200: TypePage, **problems(422)})
@scoped(READ)
def list_types(query: PageQuery) -> Response:
    """The caller's own and the shared ones, newest first."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.email_types.list(caller().library, before, query.limit + 1)
    return answer(page(TypePage, rows, query.limit, _type))


@blueprint.get(_ONE, summary="Look up an email type", responses={200: TypeOut, **problems(404)})
@scoped(READ)
def get(path: TypePath) -> Response:
    """How its emails are treated."""
    with dependencies().units() as unit:
        row = unit.email_types.get(caller().library, path.type_id)
    return answer(_type(row))


@blueprint.patch(
    _ONE, summary="Change an email type", responses={200: TypeOut, **problems(404, 413, 415, 422)}
)
@scoped(WRITE, _review)
def change(path: TypePath, body: TypeChange) -> Response:
    """What is left out stays. Its name stays always: emails and rules name it. Another `at_budget` holds for what
    waits, too.
    """
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.email_types.lock(asker.user_id, path.type_id))
        said = {
            name: row[name]
            for name in (
                "category",
                "lane",
                "on_unknown",
                "policy",
                "urgent",
                "unsubscribe_scope",
                "deliver_at_least",
                "taken_within",
                "at_budget",
            )
        }
        given = body.model_dump(exclude_unset=True, exclude={"providers"})
        said |= given
        said["lane"] = _lane(said["category"], given.get("lane"), row["lane"])
        named = (
            body.providers if "providers" in body.model_fields_set else [p["id"] for p in row["providers"]]
        )
        said["providers"] = _carriers(unit, row["user_id"], named)
        unit.email_types.write(path.type_id, Declaration(row["user_id"], row["name"], **said))
        fresh = unit.email_types.get(asker.user_id, path.type_id)
        commit(unit)
    if said["at_budget"] != row["at_budget"]:
        wake(row["user_id"])
    return answer(_type(fresh))


@blueprint.delete(_ONE, summary="Delete an email type", responses={204: None, **problems(404, 409)})
@scoped(WRITE)
def delete(path: TypePath) -> Response:
    """Emails that were accepted are sent. 409: a routing rule names it, or it is one that all rely on."""
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.email_types.lock(asker.user_id, path.type_id))
        if row["user_id"] is None and row["name"] in _FOR_ALL:
            raise Problem(409, f"The type {row['name']} exists from the start, and stays")
        if unit.email_types.in_rules(path.type_id):
            raise Problem(409, "A routing rule names this type: delete the rule first")
        unit.email_types.delete(path.type_id)
        commit(unit)
    return empty()


def _lane(category: Category, wanted: LaneName | None, before: LaneName = "transactional") -> LaneName:
    """Marketing goes by the bulk lane, and by providers' streams for it. Raises Problem where it is to go elsewhere."""
    if category != "marketing":
        return wanted or before
    if wanted == "transactional":
        raise invalid([FieldError("pointer", "/lane", "not_for_marketing", _BULK_ALONE)])
    return "bulk"


def _carriers(unit: SqlUnitOfWork, owner: UUID | None, named: Sequence[str]) -> tuple[UUID, ...]:
    """The providers that a type of this owner names. Raises Problem that tells of all that there are not."""
    found = unit.rules.find_providers(owner, named)
    if wrong := _unknown(named, found):
        raise invalid(wrong)
    return tuple({found[name]: None for name in named})


def _unknown(named: Sequence[str], found: Mapping[str, UUID]) -> list[FieldError]:
    return [
        FieldError("pointer", pointer(("providers", n)), "unknown_provider", f"there is no provider {name!r}")
        for n, name in enumerate(named)
        if name not in found
    ]


def _type(row: RowMapping | None) -> TypeOut:
    if row is None:
        raise not_found()
    return TypeOut(
        **{name: row[name] for name in TypeOut.model_fields if name in row}, shared=row["user_id"] is None
    )
