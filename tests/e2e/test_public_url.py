"""A service that knows the address under which the world reaches it: links in emails lead there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bench.stack import Stack, data_folder, remove
from tests.e2e.client import Service, until

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


def test_opens_and_clicks_are_noticed_by_links_of_our_own(public: Service):
    target = "https://shop.example/offer?a=1&b=2"
    html = f'<html><body><p>é <a class=x href="{target.replace("&", "&amp;")}">Offer</a></p></body></html>'
    sent = public.send(to=["bob@example.com"], html=html, track={"opens": True, "clicks": True})
    assert public.ended(sent)["status"] == "sent"
    (received,) = public.inbox(sent)
    found = re.fullmatch(
        r'<html><body><p>é <a class=x href="([^"]*)">Offer</a></p><img src="([^"]*)" width="1" height="1" alt="" '
        r'style="border:0"></body></html>',
        received["html"].strip(),
    )
    assert found is not None, received["html"]
    for link in found.groups():
        assert link.startswith(f"{PUBLIC}/t/")
    browser = {"User-Agent": "Mozilla/5.0 Firefox/140.0", "Authorization": None}
    link, image = (public.api_url + link.removeprefix(PUBLIC) for link in found.groups())
    opened = public.http.get(image, headers=browser, timeout=10)
    assert (opened.status_code, opened.headers["Content-Type"]) == (200, "image/gif")
    clicked = public.http.get(link, headers=browser, allow_redirects=False, timeout=10)
    assert (clicked.status_code, clicked.headers["Location"]) == (302, target)
    until(
        lambda: {"opened", "clicked"} <= {e["type"] for e in public.email(sent)["events"]},
        20,
        lambda: public.email(sent),
    )
    assert public.email(sent)["status"] == "delivered"
    forged = public.http.get(link[:-6] + "AAAAAA", headers=browser, allow_redirects=False, timeout=10)
    assert (forged.status_code, "Location" in forged.headers) == (404, False)


def test_a_test_key_tries_all_of_it_out_and_nothing_is_received(public: Service):
    key = public.cli("keys", "create", "--test").strip().splitlines()[0]
    assert key.startswith("mx_test_")
    bearer = {"Authorization": f"Bearer {key}"}
    body = {"from": "shop@example.com", "to": ["bounced@example.com"], "subject": "s", "text": "t"}
    accepted = public.http.post(f"{public.api_url}/v1/emails", json=body, headers=bearer, timeout=10)
    assert accepted.status_code == 202, accepted.text
    email = f"{public.api_url}/v1/emails/{accepted.json()['id']}"

    def seen() -> dict[str, object]:
        found: dict[str, object] = public.http.get(email, headers=bearer, timeout=10).json()
        return found

    until(lambda: seen()["status"] == "bounced", 20, seen)
    assert public.inbox(accepted.json()["id"]) == []
    assert public.get(f"/v1/emails/{accepted.json()['id']}").status_code == 404
