"""/healthz and /readyz: for whoever runs the service."""

from __future__ import annotations

from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from api.fields import Out
from api.requests import answer, dependencies, public

blueprint = APIBlueprint("health", __name__, abp_tags=[Tag(name="health")])


class Alive(Out):
    status: Literal["ok"] = "ok"


class CheckOut(Out):
    """One part. `required` false: reported only, as accepting emails works without it."""

    name: str
    ok: bool
    required: bool
    detail: str


class Readiness(Out):
    status: Literal["ready", "unready"] = Field(description="ready: every required part is well.")
    checks: list[CheckOut]


@blueprint.get("/healthz", summary="Is the process alive?", responses={200: Alive})
@public
def healthz() -> Response:
    """Says nothing of what the service needs."""
    return answer(Alive())


@blueprint.get("/readyz", summary="Can emails be accepted?", responses={200: Readiness, 503: Readiness})
@public
def readyz() -> Response:
    """Asks the database and the broker. Without the broker emails are accepted, and go out when it is back."""
    checks = dependencies().ready()
    ready = all(check.ok for check in checks if check.required)
    shown = [CheckOut(name=c.name, ok=c.ok, required=c.required, detail=c.detail) for c in checks]
    return answer(Readiness(status="ready" if ready else "unready", checks=shown), 200 if ready else 503)
