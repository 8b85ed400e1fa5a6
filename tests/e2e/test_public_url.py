"""A service that knows the address under which the world reaches it: links in emails lead there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bench.stack import Stack, data_folder, remove
from tests.e2e.client import Service

PUBLIC = "https://mail.example.com"


@pytest.fixture(scope="module")
def public() -> Iterator[Service]:
    folder = data_folder()
    stack = Stack(folder, "--no-learner", environ={"MAILMUX_PUBLIC_URL": PUBLIC})
    try:
        ready = stack.start()
        user = Service(
            ready["api_url"], ready["api_key"], ready["sandbox_url"], ready["data_dir"], ready["redis_url"]
        )
        yield user
        user.http.close()
        stack.stop()
    finally:
        stack.end()
        remove(folder)


def test_a_recipient_of_marketing_leaves_by_the_link_in_the_email(public: Service):
    body = {
        "to": ["ada@example.com"],
        "email_type": "marketing",
        "html": "<a href='{{unsubscribe_url}}'>leave</a>",
    }
    sent = public.send(**body)
    assert public.ended(sent)["status"] == "sent"
    (received,) = public.inbox(sent)
    headers = {name.lower(): value for name, value in dict(received["headers"]).items()}
    link = headers["list-unsubscribe"].strip("<>")
    assert link.startswith(f"{PUBLIC}/u/")
    assert headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert re.findall("href='([^']*)'", received["html"]) == [link]
    pressed = public.http.post(
        public.api_url + link.removeprefix(PUBLIC), data={"List-Unsubscribe": "One-Click"},
        headers={"Authorization": None}, timeout=10,
    )  # fmt: skip
    assert (pressed.status_code, pressed.history) == (200, [])
    assert public.email(public.send(**body))["status"] == "suppressed"
    assert public.ended(public.send(to=["ada@example.com"]))["status"] == "sent", (
        "receipts are not stopped by it"
    )


def test_providers_are_told_that_address_for_their_webhooks(public: Service):
    (provider, *_) = [p for p in public.get("/v1/providers").json()["data"] if p["kind"] == "sendgrid"]
    hook = public.get(f"/v1/providers/{provider['id']}/webhook").json()
    assert hook["url"].startswith(f"{PUBLIC}/hooks/sendgrid/")
