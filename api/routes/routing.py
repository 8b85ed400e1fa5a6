"""/v1/routing: what the chooser would do, and what it would have done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import structlog
from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from api.auth import caller
from api.documents import described, problems
from api.drawing import Drawn, draw
from api.errors import TITLES, Problem
from api.fields import Out
from api.replaying import Replaying
from api.requests import answer, dependencies, scoped
from api.schemas.posting import EmailCreate
from api.schemas.replay import ReplayOut, ReplayRequest

LINES = "application/x-ndjson"
_AS_LINES = {
    LINES: {
        "schema": {
            "type": "string",
            "description": "A JSON object a line: `done`, and at last `result` or `problem`.",
        },
        "example": '{"done": 1200, "of": 4200}\n{"result": {"traffic": {"found": 4200, …}, …}}\n',
    }
}
_BUSY_SECONDS = 5

log = structlog.get_logger(__name__)
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
    found = draw(body)
    assert isinstance(found, Drawn)  # no key, and so nothing that was accepted before
    return answer(Preview(decision=found.decision.as_json()))


@blueprint.post(
    "/replay", summary="Replay past traffic", responses={200: ReplayOut, **problems(413, 415, 422)}
)
@scoped("emails:read")
@described(answers={200: _AS_LINES})
def replay(body: ReplayRequest) -> Response:
    """What a period of your emails, or another service's log, would have cost and come to under another policy, other
    prices or with other providers. Nothing is sent or changed.

    The decisions are those of sending, made in the order of time by what the period (for a log: also your last 30
    days) has shown of the providers; then every email is followed over its providers by chances that are drawn from
    what was observed. Figures come with the interval that holds nine tenths of the draws. Where a provider has less
    than 100 observations at a mailbox host, nothing is said of emails that would go there: `emails` says how many are
    left, `unknown` why.

    With `Accept: application/x-ndjson` the answer comes in lines: `{"done": 1200, "of": 10000}` while it works, then
    `{"result": …}`, or `{"problem": …}`. One replay at a time is carried out by each process: 503 means to ask again.
    """
    turn = dependencies().replaying
    if not turn.acquire(blocking=False):
        raise Problem(503, "another replay is being carried out", headers={"Retry-After": str(_BUSY_SECONDS)})
    with ExitStack() as held:
        held.callback(turn.release)
        replaying = Replaying(caller().user_id, body, test=caller().is_test)
        if request.accept_mimetypes.best == LINES:
            rest = held.pop_all()
            lines = Response(_lines(replaying, rest), content_type=LINES)
            lines.call_on_close(rest.close)  # also where nobody has read them
            return lines
        for _ in replaying.steps():
            pass
        return answer(replaying.answer())


def _lines(replaying: Replaying, turn: ExitStack) -> Iterator[str]:
    of = len(replaying.replay.emails)
    with turn:
        try:
            for done in replaying.steps():
                yield json.dumps({"done": done, "of": of}) + "\n"
            yield f'{{"result":{replaying.answer().model_dump_json()}}}\n'
        except Exception:
            log.exception("a replay failed")
            yield json.dumps({"problem": {"status": 500, "title": TITLES["internal-error"]}}) + "\n"
