"""/v1/domains: the domains that users send from, at each of their accounts and in the DNS."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import caller
from api.deps import Dependencies
from api.documents import problems
from api.errors import Problem, not_found
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, scoped
from api.schemas.domains import DomainCreate, DomainOut, DomainPage, DomainPath
from api.schemas.providers import PageQuery
from db.repositories.domains import NameTaken
from db.repositories.routes import ProviderRow
from db.sealing import SealBroken, UnknownKey
from domain.sender_domains import Told, ask, inspect, proof_of
from providers import registry

blueprint = APIBlueprint("domains", __name__, url_prefix="/v1/domains", abp_tags=[Tag(name="domains")])
READ, WRITE = "domains:read", "domains:write"
_ONE = "/<uuid:domain_id>"
_MOST = 500  # of one user
_AT_ONCE = 8  # accounts that are asked at a time


@blueprint.post("", summary="Add a domain", responses={201: DomainOut, **problems(409, 413, 415, 422)})
@scoped(WRITE)
def create(body: DomainCreate) -> Response:
    """It is checked within a minute, and daily from then on; `POST …/check` does it at once. Once the record in
    `ownership` stands in its DNS it is yours: other users do not send from it, unless they prove the same.
    """
    deps, asker = dependencies(), caller()
    domain_id = deps.ids()
    with deps.units() as unit:
        if unit.domains.count(asker.user_id) >= _MOST:
            raise Problem(409, f"A user has at most {_MOST} domains")
        try:
            unit.domains.add(domain_id, asker.user_id, body.name)
        except NameTaken as taken:
            raise Problem(409, f"{taken} is among your domains already") from taken
        row = unit.domains.get(asker.user_id, domain_id)
        commit(unit, domain_id)
    return answer(_domain(row), 201, {"Location": f"/v1/domains/{domain_id}"})


@blueprint.get("", summary="List domains", responses={200: DomainPage, **problems(422)})
@scoped(READ)
def list_domains(query: PageQuery) -> Response:
    """The caller's, newest first, as they were when they were checked last."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.domains.list(caller().user_id, before, query.limit + 1)
    return answer(page(DomainPage, rows, query.limit, _domain))


@blueprint.get(_ONE, summary="Look up a domain", responses={200: DomainOut, **problems(404)})
@scoped(READ)
def get(path: DomainPath) -> Response:
    """With the DNS records that each account wants, and whether they are there."""
    with dependencies().units() as unit:
        row = unit.domains.get(caller().user_id, path.domain_id)
    return answer(_domain(row))


@blueprint.post(f"{_ONE}/check", summary="Check a domain", responses={200: DomainOut, **problems(404)})
@scoped(WRITE)
def check(path: DomainPath) -> Response:
    """Asks every account that the caller may send through, then the DNS. Takes some seconds."""
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        row = unit.domains.get(asker.user_id, path.domain_id)
        if row is None:
            raise not_found()
        accounts = [p for p in unit.routes.providers() if p.active and p.owner in (None, asker.user_id)]
    # No transaction is open while others are asked.
    told = _ask_all(deps, accounts, row["name"])
    report = inspect(row["name"], row["token"], told, deps.resolver)
    with deps.units() as unit:
        unit.domains.keep(path.domain_id, row["name"], report)
        fresh = unit.domains.get(asker.user_id, path.domain_id)
        commit(unit)
    return answer(_domain(fresh))


@blueprint.delete(_ONE, summary="Delete a domain", responses={204: None, **problems(404)})
@scoped(WRITE)
def delete(path: DomainPath) -> Response:
    """It is not checked any more, and keeps nothing from being sent."""
    with dependencies().units() as unit:
        if unit.domains.get(caller().user_id, path.domain_id) is None:
            raise not_found()
        unit.domains.delete(path.domain_id)
        commit(unit)
    return empty()


def _ask_all(deps: Dependencies, accounts: Sequence[ProviderRow], name: str) -> list[Told]:
    if not accounts:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(accounts))) as pool:
        return list(pool.map(partial(_ask, deps, name=name), accounts))


def _ask(deps: Dependencies, row: ProviderRow, name: str) -> Told:
    try:
        credentials = deps.sealer.open(row.sealed, owner=row.owner, kind=row.kind, row=row.id)
        provider = deps.build_provider(row.kind, row.name, row.config, credentials, trusted=row.trusted)
    except (registry.InvalidSettings, registry.UnknownKind, SealBroken, UnknownKey):
        # What exactly is wrong with a shared account is not for everybody to read: its owner tests it.
        return Told(row.id, row.name, failure="its settings or credentials cannot be used")
    try:
        return ask(row.id, row.name, provider, name)
    finally:
        provider.close()


def _domain(row: RowMapping | None) -> DomainOut:
    if row is None:
        raise not_found()
    report = row["report"] or {"spf": None, "dmarc": None, "providers": []}
    unseen = {**asdict(proof_of(row["name"], row["token"])), "found": [], "ok": None}
    states = {p["state"] for p in report["providers"]}
    verdict = next((s for s in ("verified", "unverified") if s in states), "unknown")
    return DomainOut.model_validate(
        {
            "id": row["id"],
            "name": row["name"],
            "status": verdict if row["checked_at"] else "pending",
            "checked_at": row["checked_at"],
            "created_at": row["created_at"],
            **report,
            "ownership": {"proved_at": row["proved_at"], "record": report.get("ownership", unseen)},
        }
    )
