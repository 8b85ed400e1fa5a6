"""The client reaches every route of the API that takes a key, and no other: a new route without a method fails here."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
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


def everything(mailmux: Mailmux) -> list[Callable[[], Any]]:
    """A call of every method."""
    m = mailmux
    resources = (m.providers, m.rules, m.templates, m.email_types, m.webhooks, m.budgets)
    return [
        *(f for r in resources for f in (
            r.create, lambda r=r: list(r.list()), lambda r=r: r.get(ID), lambda r=r: r.change(ID),
            lambda r=r: r.delete(ID))),
        lambda: m.emails.send(sender="a@example.com", to=[]), lambda: m.emails.send_batch([]),
        lambda: m.emails.get(ID), lambda: list(m.emails.list()), lambda: m.emails.cancel(ID),
        lambda: m.emails.cancel_many(), lambda: m.emails.reschedule(ID, "x"), lambda: m.emails.reschedule_many("x"),
        lambda: m.emails.resend(ID), lambda: m.emails.resend_many(),
        lambda: m.attachments.upload(io.BytesIO(b"x"), "a.txt"), lambda: m.attachments.announce("a.txt", 1),
        lambda: m.attachments.complete(ID), lambda: list(m.attachments.list()), lambda: m.attachments.get(ID),
        lambda: m.attachments.delete(ID),
        m.providers.kinds, lambda: m.providers.test(ID), lambda: m.providers.pause(ID),
        lambda: m.providers.resume(ID), lambda: m.providers.health(ID), lambda: m.providers.healed(ID),
        lambda: m.providers.warm_ups(ID), lambda: m.providers.warm_up(ID, "x"),
        lambda: m.providers.end_warm_up(ID, "x"), lambda: m.providers.prices(ID),
        lambda: m.providers.set_prices(ID, []), lambda: m.providers.webhook(ID),
        lambda: m.providers.set_webhook(ID, []), lambda: m.providers.delete_webhook(ID),
        lambda: list(m.providers.import_suppressions(ID)),
        lambda: m.rules.replace(ID), lambda: m.preview_routing({}), m.stats, m.replay_routing,
        lambda: m.templates.versions(ID), lambda: m.templates.version(ID, 1), lambda: m.templates.add_version(ID),
        lambda: m.templates.publish(ID, 1), lambda: m.templates.preview(ID),
        lambda: m.suppressions.create(entries=[]), lambda: list(m.suppressions.list()),
        lambda: m.suppressions.get(ID), lambda: m.suppressions.delete(ID),
        m.erasures.create, lambda: list(m.erasures.list()), lambda: m.erasures.get(ID),
        m.campaigns.create, lambda: list(m.campaigns.list()), lambda: m.campaigns.get(ID),
        lambda: m.campaigns.change(ID), lambda: m.campaigns.pause(ID), lambda: m.campaigns.resume(ID),
        lambda: m.campaigns.cancel(ID), lambda: m.campaigns.delete(ID),
        lambda: m.halts.create("lane", "bulk"), m.halts.list, lambda: m.halts.lift(ID),
        m.domains.create, lambda: list(m.domains.list()), lambda: m.domains.get(ID), lambda: m.domains.delete(ID),
        lambda: m.domains.check(ID),
        lambda: m.webhooks.rotate(ID), lambda: m.webhooks.test(ID), lambda: m.webhooks.replay(ID, "x", "y"),
        lambda: list(m.webhooks.messages(ID)),
        m.keys.create, lambda: list(m.keys.list()), lambda: m.keys.get(ID), lambda: m.keys.delete(ID),
        lambda: m.keys.rotate(ID),
        m.users.create, lambda: list(m.users.list()), lambda: m.users.change(ID), lambda: m.users.password_link(ID),
        lambda: list(m.sessions.list()), lambda: m.sessions.end(ID), m.sign_out,
        lambda: m.change_password("x", "y"), lambda: list(m.audit_log()),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str]]:
    deps = MagicMock()
    deps.limits = Limits()
    document = create_app(deps).test_client().get("/openapi.json").get_json()
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}


def test_every_route_is_reached_and_no_other(routes: set[tuple[str, str]]) -> None:
    heard = Listening()
    mailmux = Mailmux("http://127.0.0.1:1", "mx_live_x", session=heard)
    for call in everything(mailmux):
        call()
    sign_in("http://127.0.0.1:1", "ada@example.com", "x", session=heard)
    set_password("http://127.0.0.1:1", "x", "y", session=heard)
    shapes = {(method, re.sub(r"\{\w+\}", "*", path)): (method, path) for method, path in routes}
    reached = {
        (method, re.sub(r"/versions/1$", "/versions/*", path.partition("?")[0].replace(ID, "*")))
        for method, path in heard.asked
    }
    assert reached <= shapes.keys()
    assert {route for shape, route in shapes.items() if shape not in reached} == NOT_FOR_CLIENTS
