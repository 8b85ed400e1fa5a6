"""/metrics: for Prometheus. Its access rule is its own, since a scraper has no user and no API key."""

from __future__ import annotations

import hmac
import ipaddress

from flask import Flask, Response, g, request
from flask_openapi3.blueprint import APIBlueprint

from api.deps import Dependencies
from api.errors import Problem
from api.metrics import MEDIA_TYPE, render
from api.requests import dependencies, public

blueprint = APIBlueprint("metrics", __name__)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # others are any stranger's words
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


@blueprint.get("/metrics", doc_ui=False)
@public
def metrics() -> Response:
    """With MAILMUX_METRICS_TOKEN: who bears it. Without: this machine, where nobody forwards for another."""
    watch = dependencies().watch
    if watch.token is not None:
        _, _, given = request.headers.get("Authorization", "").partition(" ")
        if not hmac.compare_digest(given.strip().encode(), watch.token.encode()):
            raise Problem(
                401,
                "Metrics need the token of MAILMUX_METRICS_TOKEN, as Authorization: Bearer …",
                headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
            )
    elif not _is_from_here():
        raise Problem(
            403,
            "Without MAILMUX_METRICS_TOKEN, metrics are told to this machine only",
            type="operators-only",
        )
    return Response(render(watch.look()), content_type=MEDIA_TYPE)


def _is_from_here() -> bool:
    """A proxy on this machine would make the whole world look as if it were here."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def measure(app: Flask, deps: Dependencies) -> None:
    """Count every answer with its duration, under its route and not its path."""

    @app.before_request
    def _begin() -> None:
        g.began = deps.clock.monotonic()

    @app.after_request
    def _finish(response: Response) -> Response:
        began = g.pop("began", None)
        if began is not None:
            route = request.url_rule.rule if request.url_rule is not None else "none"
            seconds = deps.clock.monotonic() - began
            method = request.method if request.method in _METHODS else "other"
            deps.watch.observe(method, route, str(response.status_code), seconds)
        return response
