"""/v1/providers and /v1/provider-kinds: the accounts that emails go through."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import caller
from api.documents import problems
from api.errors import FieldError, Problem, invalid, not_found, pointer
from api.ownership import changeable, new_owner
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, scoped
from api.schemas.providers import (
    AllowanceOut,
    CheckFailure,
    IdentityOut,
    KindList,
    KindOut,
    PageQuery,
    ProviderChange,
    ProviderCreate,
    ProviderOut,
    ProviderPage,
    ProviderPath,
    ProviderTest,
    QuotaOut,
)
from db.repositories.providers import Account, NameTaken
from db.sealing import SealBroken, UnknownKey
from db.uow import SqlUnitOfWork
from domain.checkup import Checkup
from domain.errors import Misconfigured, ProviderError
from providers import registry

blueprint = APIBlueprint("providers", __name__, url_prefix="/v1", abp_tags=[Tag(name="providers")])


@blueprint.get(
    "/provider-kinds", summary="List the kinds of provider", responses={200: KindList, **problems()}
)
@scoped("providers:read")
def list_kinds() -> Response:
    """What each is configured with, as JSON Schema, and what it can express."""
    return answer(KindList(data=[_kind(kind) for kind in registry.kinds()]))


def _review(body: dict[str, Any], wrong: frozenset[str]) -> list[FieldError]:
    """What the kind says to the settings of a provider that is wrong in other fields."""
    kind, config, credentials = body.get("kind"), body.get("config", {}), body.get("credentials", {})
    if not isinstance(kind, str) or not isinstance(config, dict) or not isinstance(credentials, dict):
        return []
    return [error for error in _wrong_settings(kind, config, credentials) if error.name not in wrong]


@blueprint.post(
    "/providers",
    summary="Add a provider",
    responses={201: ProviderOut, **problems(409, 413, 415, 422)},
)
@scoped("providers:write", _review)
def create(body: ProviderCreate) -> Response:
    """Adds an account, which is used from then on. Its credentials are stored encrypted."""
    deps, asker = dependencies(), caller()
    owner = new_owner(asker, body.shared)
    _check_settings(body.kind, body.config, body.credentials)
    provider_id = deps.ids()
    sealed = deps.sealer.seal(body.credentials, owner=owner, kind=body.kind, row=provider_id)
    account = Account(owner, body.name, body.kind, sealed, body.config, body.base_cost, body.currency)
    account = dataclasses.replace(account, region=body.region)
    with deps.units() as unit:
        _check_time_zone(unit, body.quota.time_zone)
        try:
            unit.providers.add(provider_id, account)
        except NameTaken as taken:
            raise _name_taken() from taken
        unit.providers.set_quota(deps.ids(), provider_id, body.quota.value())
        row = unit.providers.get(asker.user_id, provider_id)
        commit(unit, provider_id)
    return answer(_provider(row), 201, {"Location": f"/v1/providers/{provider_id}"})


@blueprint.get("/providers", summary="List providers", responses={200: ProviderPage, **problems(422)})
@scoped("providers:read")
def list_providers(query: PageQuery) -> Response:
    """The caller's own and the shared ones, newest first."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.providers.list(caller().user_id, before, query.limit + 1)
    return answer(page(ProviderPage, rows, query.limit, _provider))


@blueprint.get(
    "/providers/<uuid:provider_id>",
    summary="Look up a provider",
    responses={200: ProviderOut, **problems(404)},
)
@scoped("providers:read")
def get(path: ProviderPath) -> Response:
    """Its settings, and what is used of its quota."""
    with dependencies().units() as unit:
        row = unit.providers.get(caller().user_id, path.provider_id)
    return answer(_provider(row))


@blueprint.patch(
    "/providers/<uuid:provider_id>",
    summary="Change a provider",
    responses={200: ProviderOut, **problems(404, 409, 413, 415, 422)},
)
@scoped("providers:write")
def change(path: ProviderPath, body: ProviderChange) -> Response:
    """What is left out stays. Workers use the change within seconds."""
    deps, asker, given = dependencies(), caller(), body.model_fields_set
    with deps.units() as unit:
        row = changeable(asker, unit.providers.lock(asker.user_id, path.provider_id))
        account = _account(row)
        if "config" in given or "credentials" in given:
            credentials = body.credentials if "credentials" in given else _open(row)
            config = body.config if "config" in given else account.config
            _check_settings(account.kind, config, credentials)
            account = dataclasses.replace(account, config=config)
        if "credentials" in given:
            sealed = deps.sealer.seal(body.credentials, owner=account.owner, kind=account.kind, row=row["id"])
            account = dataclasses.replace(account, sealed=sealed)
        plain: dict[str, Any] = {
            name: getattr(body, name) for name in ("name", "base_cost", "currency", "region") if name in given
        }
        if "status" in given:
            plain["active"] = body.status
        if "currency" in given and body.currency != account.currency and unit.prices.of_one(row["id"])[0]:
            detail = f"its price lists are in {account.currency}: take them away first (PUT …/prices)"
            raise invalid([FieldError("pointer", "/currency", "prices_in_another", detail)])
        if "quota" in given:
            _check_time_zone(unit, body.quota.time_zone)
            unit.providers.set_quota(deps.ids(), row["id"], body.quota.value())
        _save(unit, row, dataclasses.replace(account, **plain))
        fresh = unit.providers.get(asker.user_id, path.provider_id)
        commit(unit)
    return answer(_provider(fresh))


@blueprint.delete(
    "/providers/<uuid:provider_id>",
    summary="Delete a provider",
    responses={204: None, **problems(404, 409)},
)
@scoped("providers:write")
def delete(path: ProviderPath) -> Response:
    """Takes it out of use for good; past attempts keep its name. Refused while a rule or an email type names it."""
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.providers.lock(asker.user_id, path.provider_id))
        for things, naming in (
            ("routing rules", unit.providers.rules_naming(row["id"])),
            ("email types", unit.providers.types_naming(row["id"])),
        ):
            if naming:
                mine = [str(r["id"]) for r in naming if r["user_id"] in (None, asker.user_id)]
                raise Problem(
                    409,
                    f"{len(naming)} {things} name this provider: change or delete them first",
                    extra={things.replace(" ", "_"): mine},
                )
        unit.providers.delete(row["id"])
        commit(unit)
    return empty()


@blueprint.post(
    "/providers/<uuid:provider_id>/pause",
    summary="Pause a provider",
    responses={200: ProviderOut, **problems(404)},
)
@scoped("providers:write")
def pause(path: ProviderPath) -> Response:
    """Emails go through others until it is resumed. Those already on the wire are not called back, and their events are
    taken; nothing else waits at an account, so that this drains it too.
    """
    return _switch(path, active=False)


@blueprint.post(
    "/providers/<uuid:provider_id>/resume",
    summary="Resume a provider",
    responses={200: ProviderOut, **problems(404)},
)
@scoped("providers:write")
def resume(path: ProviderPath) -> Response:
    """Uses a paused provider again."""
    return _switch(path, active=True)


@blueprint.post(
    "/providers/<uuid:provider_id>/test",
    summary="Test a provider",
    responses={200: ProviderTest, **problems(404)},
)
@scoped("providers:write")
def check(path: ProviderPath) -> Response:
    """Connects and signs in, sending nothing. `ok` false says why; the answer is 200 either way."""
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        row = changeable(asker, unit.providers.get(asker.user_id, path.provider_id))
    # No transaction is open while the provider is asked.
    begin = deps.clock.monotonic()
    failure, told = None, Checkup()
    try:
        # A member changes only what is the member's own; what an operator set up may be anywhere.
        credentials = _open(row)
        provider = deps.build_provider(
            row["kind"], row["name"], row["config"], credentials, trusted=asker.is_operator
        )
        try:
            told = provider.check()
        finally:
            provider.close()
    except ProviderError as error:
        failure = CheckFailure(code=error.code, detail=error.detail)
    except (registry.InvalidSettings, registry.UnknownKind, SealBroken, UnknownKey) as error:
        failure = CheckFailure(code=Misconfigured.code, detail=str(error))
    latency = (deps.clock.monotonic() - begin) * 1000
    return answer(
        ProviderTest(
            ok=failure is None,
            latency_ms=round(latency, 1),
            error=failure,
            sender_identities=_identities(told),
            allowance=_allowance(told),
            rate_per_second=told.rate_per_second,
            notes=list(told.notes),
        )
    )


def _identities(told: Checkup) -> list[IdentityOut] | None:
    if told.identities is None:
        return None
    return [IdentityOut(name=i.name, verified=i.verified) for i in told.identities]


def _allowance(told: Checkup) -> AllowanceOut | None:
    found = told.allowance
    if found is None:
        return None
    return AllowanceOut(limit=found.limit, used=found.used, left=found.left, hours=found.hours)


def _switch(path: ProviderPath, active: bool) -> Response:
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.providers.lock(asker.user_id, path.provider_id))
        if row["status"] != active:
            _save(unit, row, dataclasses.replace(_account(row), active=active))
        fresh = unit.providers.get(asker.user_id, path.provider_id)
        commit(unit)
    return answer(_provider(fresh))


def _save(unit: SqlUnitOfWork, row: RowMapping, account: Account) -> None:
    try:
        unit.providers.change(row["id"], account)
    except NameTaken as taken:
        raise _name_taken() from taken


def _account(row: RowMapping) -> Account:
    return Account(
        owner=row["user_id"],
        name=row["name"],
        kind=row["kind"],
        sealed=row["sealed"],
        config=row["config"],
        base_cost=row["base_cost"],
        currency=row["currency"],
        active=row["status"],
        region=row["region"],
    )


def _open(row: RowMapping) -> dict[str, str]:
    return dependencies().sealer.open(row["sealed"], owner=row["user_id"], kind=row["kind"], row=row["id"])


def _check_settings(kind: str, config: Mapping[str, Any], credentials: Mapping[str, str]) -> None:
    if errors := _wrong_settings(kind, config, credentials):
        raise invalid(errors)


def _wrong_settings(kind: str, config: Mapping[str, Any], credentials: Mapping[str, Any]) -> list[FieldError]:
    try:
        registry.validate(kind, config, credentials, dependencies().limits.plain_http)
    except registry.UnknownKind as error:
        return [FieldError("pointer", "/kind", "unknown_kind", str(error))]
    except registry.InvalidSettings as error:
        return [
            FieldError("pointer", pointer(p.path.split(".")), "provider_settings", p.message)
            for p in error.problems
        ]
    return []


def _check_time_zone(unit: SqlUnitOfWork, name: str) -> None:
    if not unit.providers.knows_time_zone(name):
        raise invalid(
            [
                FieldError(
                    "pointer", "/quota/time_zone", "time_zone", "the database knows no time zone of this name"
                )
            ]
        )


def _name_taken() -> Problem:
    return Problem(
        409,
        "Another provider has this name",
        errors=[FieldError("pointer", "/name", "taken", "another provider has this name")],
    )


def _provider(row: RowMapping | None) -> ProviderOut:
    if row is None:
        raise not_found()
    return ProviderOut(
        **{name: row[name] for name in ProviderOut.model_fields if name in row},
        shared=row["user_id"] is None,
        quota=QuotaOut(
            daily=row["daily_quota"],
            monthly=row["monthly_quota"],
            rolling_24h=row["rolling_quota"],
            used_rolling_24h=row["used_rolling"],
            rate_per_second=row["rate_per_second"],
            time_zone=row["time_zone"],
            used_today=row["used_today"],
            used_this_month=row["used_this_month"],
            resets_at=row["reset_at"],
        ),
    )


def _kind(kind: registry.ProviderKind[Any, Any]) -> KindOut:
    # Capabilities need no required setting: those only say where the provider is.
    capabilities = dataclasses.asdict(kind.capabilities(kind.Config.model_construct()))
    capabilities["reserved_headers"] = sorted(capabilities["reserved_headers"])
    return KindOut(
        name=kind.name,
        title=kind.title,
        config_schema=kind.Config.model_json_schema(),
        credentials_schema=kind.Credentials.model_json_schema(),
        capabilities=capabilities,
        webhook_secret_schema=kind.WebhookSecret.model_json_schema() if kind.WebhookSecret else None,
    )
