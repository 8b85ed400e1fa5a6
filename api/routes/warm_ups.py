"""/v1/providers/{id}/warm-ups: sender domains that a provider's receivers do not know yet."""

from __future__ import annotations

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import caller
from api.documents import problems
from api.errors import not_found
from api.ownership import changeable
from api.requests import answer, dependencies, empty, scoped
from api.schemas.providers import ProviderPath
from api.schemas.warm_ups import WarmUpEnd, WarmUpList, WarmUpOut, WarmUpStart

blueprint = APIBlueprint("warm_ups", __name__, url_prefix="/v1/providers", abp_tags=[Tag(name="providers")])
_ALL = "/<uuid:provider_id>/warm-ups"


@blueprint.get(_ALL, summary="List a provider's warm-ups", responses={200: WarmUpList, **problems(404)})
@scoped("providers:read")
def list_warm_ups(path: ProviderPath) -> Response:
    """The sender domains that warm up there, or have, by name."""
    with dependencies().units() as unit:
        if unit.providers.get(caller().user_id, path.provider_id) is None:
            raise not_found()
        rows = unit.warm_ups.list(path.provider_id)
    return answer(WarmUpList(data=[_warm_up(row) for row in rows]))


@blueprint.put(
    _ALL, summary="Warm a sender domain up", responses={200: WarmUpOut, **problems(404, 413, 415, 422)}
)
@scoped("providers:write")
def start(path: ProviderPath, body: WarmUpStart) -> Response:
    """From now on; a second time it begins anew. What is beyond a day's share goes by other providers, or waits."""
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.providers.lock(asker.user_id, path.provider_id))
        unit.warm_ups.begin(row["id"], body.domain, body.daily)
        (found,) = [r for r in unit.warm_ups.list(row["id"]) if r["sender_domain"] == body.domain]
        commit(unit)
    return answer(_warm_up(found))


@blueprint.post(f"{_ALL}/end", summary="End a warm-up", responses={204: None, **problems(404, 413, 415, 422)})
@scoped("providers:write")
def end(path: ProviderPath, body: WarmUpEnd) -> Response:
    """The domain has no limit of its own there any more; where it had none, nothing changes."""
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.providers.lock(asker.user_id, path.provider_id))
        unit.warm_ups.end(row["id"], body.domain)
        commit(unit)
    return empty()


def _warm_up(row: RowMapping) -> WarmUpOut:
    warm = row["day"] >= len(row["daily"])
    return WarmUpOut(
        domain=row["sender_domain"],
        daily=row["daily"],
        started_at=row["started_at"],
        day=row["day"] + 1,
        state="warm" if warm else "warming",
        used_today=row["used"],
        left_today=None if warm else max(0, row["room"]),
        day_ends=None if warm else row["day_ends"],
    )
