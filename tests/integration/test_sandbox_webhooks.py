"""The sandbox calls webhooks back as each provider does: our receivers take its calls, and only those."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from domain.events import BounceClass, DeliveryEvent, EventType, Forged, WebhookRequest
from domain.message import Address
from domain.ports import WebhookReceiver
from providers import registry
from providers.world import Timeouts
from sandbox.dialects import HTTP_DIALECTS
from sandbox.stories import STORIES
from tests.contract.emails import a_world, an_email, new_id
from tests.integration.sandbox_driver import Driver, eventually, running

KINDS = sorted(name for name in HTTP_DIALECTS if registry.kind(name).webhook is not None)


class Hook(ThreadingHTTPServer):
    """Keeps the calls that come, and answers each with 200."""

    def __init__(self) -> None:
        self.calls: list[WebhookRequest] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.calls.append(WebhookRequest(outer.url, headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hooks/x"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp("sandbox")
    accounts = folder / "wanted.json"
    accounts.write_text(json.dumps([{"name": name, "dialect": name} for name in KINDS]))
    with running(folder / "data", accounts_file=accounts) as driver:
        yield driver


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def hook(shared: Driver, kind: str) -> Iterator[Hook]:
    hook = Hook()
    assert shared.control("PUT", f"/control/accounts/{kind}/webhook", {"url": hook.url}).status == 200
    yield hook
    hook.shutdown()
    hook.server_close()


def receiver(driver: Driver, kind: str) -> WebhookReceiver:
    known = driver.account(kind)
    config, _ = registry.validate(kind, {"base_url": known["base_url"]}, known["credentials"])
    built = registry.receiver(kind, f"the-{kind}", config, [known["webhook"]["secret"]], a_world())
    assert built is not None
    return built


def send(driver: Driver, kind: str, story: str) -> tuple[str, str]:
    """The attempt's id, and the provider's."""
    known = driver.account(kind)
    valid = registry.validate(kind, {"base_url": known["base_url"]}, known["credentials"])
    provider = registry.build(kind, "x", *valid, a_world(Timeouts(1, 2, 4)))
    attempt = new_id()
    result = provider.send(an_email(to=(Address(f"{story}@recipient.example"),)), attempt)
    provider.close()
    return str(attempt), result.provider_message_id or ""


def told(driver: Driver, kind: str, hook: Hook, story: str) -> list[DeliveryEvent]:
    """What became of an email, as our receiver reads it."""
    attempt, message_id = send(driver, kind, story)
    webhook = receiver(driver, kind)
    found: dict[str, DeliveryEvent] = {}

    def all_told() -> bool:
        found.clear()
        for call in list(hook.calls):
            webhook.verify(call, datetime.now(UTC))
            for inbound in webhook.parse(call).events:
                found[inbound.key] = inbound.event
        return len(found) >= len([h for h in STORIES[story] if h.value not in _UNTOLD.get(kind, ())])

    assert eventually(all_told), hook.calls
    for event in found.values():
        assert str(event.attempt_id) == attempt
        assert message_id in (event.provider_message_id, f"<{event.provider_message_id}>")
        assert event.recipient == f"{story}@recipient.example"
        assert event.occurred_at is not None
    return list(found.values())


# A provider may have no event for something.
_UNTOLD = {
    "postmark": {"queued", "dropped: the provider would not send it"},
    "resend": {"unsubscribed"},
}


@pytest.mark.parametrize(
    "story", ["delivered", "bounce-hard", "bounce-soft", "complaint", "delayed", "clicked"]
)
def test_what_became_of_an_email_is_told_and_proved(
    shared: Driver, kind: str, hook: Hook, story: str
) -> None:
    events = told(shared, kind, hook, story)
    types = {event.type for event in events}
    wanted = {
        "delivered": EventType.DELIVERED,
        "bounce-hard": EventType.BOUNCED,
        "bounce-soft": EventType.BOUNCED,
        "complaint": EventType.COMPLAINED,
        "delayed": EventType.DELIVERED,
        "clicked": EventType.CLICKED,
    }
    assert wanted[story] in types
    if story.startswith("bounce"):
        (bounce,) = (e.bounce for e in events if e.type is EventType.BOUNCED)
        assert bounce is (BounceClass.HARD if story == "bounce-hard" else BounceClass.SOFT)
    if story == "clicked":
        (url,) = (e.click_url for e in events if e.type is EventType.CLICKED)
        assert url == "https://example.com/"


def test_a_forged_call_is_not_taken_and_a_repeated_one_is_the_same(
    shared: Driver, kind: str, hook: Hook
) -> None:
    told(shared, kind, hook, "delivered")
    webhook = receiver(shared, kind)
    keys = {e.key for call in hook.calls for e in webhook.parse(call).events}
    seq = shared.received()[0]["seq"]
    hook.calls.clear()
    assert (
        shared.control("POST", f"/control/messages/{seq}/events", {"times": 2, "shuffle": True}).status == 200
    )
    for call in hook.calls:
        webhook.verify(call, datetime.now(UTC))
    assert {e.key for call in hook.calls for e in webhook.parse(call).events} == keys
    hook.calls.clear()
    assert shared.control("POST", f"/control/messages/{seq}/events", {"forged": True}).status == 200
    assert hook.calls
    for call in hook.calls:
        with pytest.raises(Forged):
            webhook.verify(call, datetime.now(UTC))
