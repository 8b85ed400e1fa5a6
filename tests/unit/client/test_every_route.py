"""The client reaches every route of the API that takes a key, and no other: a new route without a method fails here."""

from __future__ import annotations

import inspect
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
import requests
from mailmux_client import Mailmux, set_password, sign_in

from api.app import create_app
from api.deps import Limits

ID = "019b0000-0000-7000-8000-000000000001"
SIGNED_IN = {"token": "mx_sess_x", "data": [], "has_more": False, "next_cursor": None, "result": {}}
# What is for whoever watches the service, and links that are followed as they are.
NOT_FOR_CLIENTS = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/v1/attachments/{attachment_id}/content"),
    ("PUT", "/v1/attachments/uploads/{upload_id}"),
}  # fmt: skip


class Listening(requests.Session):
    """Answers everything, and notes what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def request(self, method: Any, url: Any, *_: Any, **__: Any) -> requests.Response:
        self.asked.append((method, re.sub(r"^http://[^/]+", "", url)))
        answer = requests.Response()
        answer.status_code, answer.raw = 200, io.BytesIO(json.dumps(SIGNED_IN).encode())
        return answer


# What a parameter is given that is no id.
GIVEN: dict[str, Any] = {
    "to": [], "emails": [], "secrets": [], "prices": [], "size": 1, "version": 1, "email": {}, "daily": None,
}  # fmt: skip
# What asks nothing of the service by itself, or is `ask` for whatever has no method.
NO_ROUTES = {"ask"}


def methods(mailmux: Mailmux) -> Iterator[Callable[..., Any]]:
    """Every public method of the client and of all that it holds."""
    for thing in (mailmux, *(held for name, held in vars(mailmux).items() if not name.startswith("_"))):
        for name, method in inspect.getmembers(thing, inspect.ismethod):
            if not name.startswith("_") and name not in NO_ROUTES:
                yield method


def call(method: Callable[..., Any]) -> None:
    """With what it needs, and nothing more."""
    needed = {
        name: io.BytesIO(b"x") if name == "file" else GIVEN.get(name, ID)
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    answer = method(**needed)
    if isinstance(answer, Iterator):
        list(answer)


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str]]:
    deps = MagicMock()
    deps.limits = Limits()
    document = create_app(deps).test_client().get("/openapi.json").get_json()
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}


def test_every_route_is_reached_and_no_other(routes: set[tuple[str, str]]) -> None:
    heard = Listening()
    mailmux = Mailmux("http://127.0.0.1:1", "mx_live_x", session=heard)
    for method in methods(mailmux):
        call(method)
    sign_in("http://127.0.0.1:1", "ada@example.com", "x", session=heard)
    set_password("http://127.0.0.1:1", "x", "y", session=heard)
    shapes = {(method, re.sub(r"\{\w+\}", "*", path)): (method, path) for method, path in routes}
    reached = {
        (method, re.sub(r"/versions/1$", "/versions/*", path.partition("?")[0].replace(ID, "*")))
        for method, path in heard.asked
    }
    assert reached <= shapes.keys()
    assert {route for shape, route in shapes.items() if shape not in reached} == NOT_FOR_CLIENTS
