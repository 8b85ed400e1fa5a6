"""/openapi.json and /docs: the API, described for machines and for people."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Flask, Response, render_template
from markupsafe import Markup

from api.documents import build_document
from api.errors import TITLES, to_json
from api.examples import of_problem
from api.requests import public

_FIRST = ("emails", "attachments", "templates", "campaigns", "email types")
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def register_documents(app: Flask, collected: dict[str, Any]) -> None:
    """Serve the document of all routes that are registered by now."""
    document = app.extensions["mailmux.document"] = build_document(app, collected)
    raw = to_json(document)
    routes = Blueprint("documents", __name__)

    @routes.get("/openapi.json")
    @public
    def openapi() -> Response:
        return Response(raw, content_type="application/json", headers={"Cache-Control": "max-age=300"})

    @routes.get("/docs")
    @public
    def docs() -> Response:
        page = render_template(
            "docs.html",
            document=document,
            groups=_groups(document),
            resolve=_resolver(document),
            pretty=_pretty,
            prose=_prose,
            problems=TITLES,
            problem=of_problem(422, "emails:send", {"pointer": "/to/0"}),
        )
        return Response(
            page,
            content_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "max-age=300"},
        )

    app.register_blueprint(routes)


def _groups(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """The operations by their tags, what most people come for first."""
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {tag: [] for tag in _FIRST}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((path, method, operation))
    return {tag: operations for tag, operations in found.items() if operations}


def _resolver(document: dict[str, Any]) -> Any:
    """A function for the page: what a `$ref` stands for, with its name."""

    def resolve(schema: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        ref = schema.get("$ref", "")
        name = ref.rpartition("/")[2]
        return name, document["components"]["schemas"].get(name, schema)

    return resolve


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _prose(text: str) -> Markup:
    """`code` between backticks; everything else as it stands."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(p) if n % 2 else p for n, p in enumerate(parts))
