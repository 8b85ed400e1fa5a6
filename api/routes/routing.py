"""/v1/routing: what the chooser would do."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from api.documents import problems
from api.drawing import draw
from api.fields import Out
from api.requests import answer, scoped
from api.schemas.posting import EmailCreate

blueprint = APIBlueprint("routing", __name__, url_prefix="/v1/routing", abp_tags=[Tag(name="routing")])


class Preview(Out):
    """What would be decided for an email now; nothing is sent or reserved."""

    decision: dict[str, Any] = Field(
        description="Every provider's figures, the reason of every exclusion; `explanation` says it in words."
    )


@blueprint.post(
    "/preview", summary="Preview a routing decision", responses={200: Preview, **problems(413, 415, 422)}
)
@scoped("emails:send")
def preview(body: EmailCreate) -> Response:
    """The decision for an email as things are now: rules, limits, what was learned. A later one may differ."""
    _, found = draw(body)
    return answer(Preview(decision=found.as_json()))
