"""/v1/providers/{id}/prices: what accounts charge."""

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
from api.requests import answer, dependencies, scoped
from api.schemas.prices import PriceListOut, PricesOut, PricesReplace, exact
from api.schemas.providers import ProviderPath
from db.uow import SqlUnitOfWork

blueprint = APIBlueprint("prices", __name__, url_prefix="/v1/providers", abp_tags=[Tag(name="providers")])
_PRICES = "/<uuid:provider_id>/prices"


@blueprint.get(_PRICES, summary="Look up a provider's prices", responses={200: PricesOut, **problems(404)})
@scoped("providers:read")
def get(path: ProviderPath) -> Response:
    """Its price lists, the oldest first, and what the next recipient costs. Without one `base_cost` holds."""
    with dependencies().units() as unit:
        row = unit.providers.get(caller().user_id, path.provider_id)
        if row is None:
            raise not_found()
        return answer(_shown(unit, row))


@blueprint.put(
    _PRICES,
    summary="Set a provider's prices",
    responses={200: PricesOut, **problems(404, 413, 415, 422)},
)
@scoped("providers:write")
def replace(path: ProviderPath, body: PricesReplace) -> Response:
    """Takes the place of all its lists; an empty one takes them away. The chooser reckons with them within seconds."""
    asker = caller()
    with dependencies().units() as unit:
        row = changeable(asker, unit.providers.lock(asker.user_id, path.provider_id))
        unit.prices.replace(row["id"], [one.value(row["currency"]) for one in body.prices])
        shown = _shown(unit, row)
        commit(unit)
    return answer(shown)


def _shown(unit: SqlUnitOfWork, row: RowMapping) -> PricesOut:
    lists, now, volume = unit.prices.of_one(row["id"])
    return PricesOut(
        provider_id=row["id"],
        currency=row["currency"],
        recipients_this_month=int(volume),
        per_recipient_now=row["base_cost"] if now is None else exact(now.price_at(volume) / 1000),
        prices=[PriceListOut.of(one, one is now) for one in lists],
    )
