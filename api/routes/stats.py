"""/v1/stats: what was sent, what became of it, how fast, and what it cost."""

from __future__ import annotations

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.auth import caller
from api.documents import problems
from api.requests import answer, dependencies, scoped
from api.schemas.stats import StatsFilter, StatsOut
from api.stats import statistics

blueprint = APIBlueprint("stats", __name__, url_prefix="/v1", abp_tags=[Tag(name="stats")])


@blueprint.get("/stats", summary="Statistics and costs", responses={200: StatsOut, **problems(422)})
@scoped("stats:read")
def get(query: StatsFilter) -> Response:
    """Sent, delivered, bounced, complained, opened, clicked; latency; spend, and what the cheapest possible and each
    single account would have cost. Added up every some seconds, by the quarter hour, so that days of every time zone
    can be asked for.
    """
    deps = dependencies()
    with deps.units() as unit:
        return answer(statistics(unit, caller().user_id, query, deps.exchange))
