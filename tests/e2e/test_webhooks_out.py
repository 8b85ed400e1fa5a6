"""A user's own webhook, on the real stack: told of what becomes of an email, and never in an email's way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.e2e.client import Service, until
from tests.receiver import Receiver


@contextmanager
def webhook(service: Service, receiver: Receiver, *types: str) -> Iterator[dict[str, Any]]:
    made = service.post("/v1/webhooks", {"url": receiver.url, "types": list(types)}).json()
    try:
        yield made
    finally:
        receiver.close()
        service.http.delete(f"{service.api_url}/v1/webhooks/{made['id']}", timeout=20)


def heard(receiver: Receiver, email_id: str) -> list[str]:
    told = [json.loads(body) for _, body in receiver.got]
    return [m["type"] for m in told if m["data"].get("email_id") == email_id]


def test_a_user_is_told_and_can_prove_who_tells(service: Service):
    receiver = Receiver()
    with webhook(service, receiver) as made:
        service.post(f"/v1/webhooks/{made['id']}/test")
        until(lambda: "webhook.test" in receiver.types, 5, lambda: receiver.types)
        email_id = service.send(to=["delivered+told@example.com"], routing={"pinned": ["sandbox-sendgrid"]})
        until(lambda: "email.delivered" in heard(receiver, email_id), 15, lambda: receiver.types)
        assert set(heard(receiver, email_id)) == {"email.sent", "email.delivered"}
        for headers, body in receiver.got:
            assert Webhook(made["secret"]).verify(body, headers)
        listed = service.get(f"/v1/webhooks/{made['id']}/messages", state="told").json()["data"]
        assert {m["type"] for m in listed} >= {"email.sent", "email.delivered", "webhook.test"}


def test_a_dead_receiver_delays_no_email(service: Service):
    receiver = Receiver([0])
    with webhook(service, receiver):
        emails = [service.send(routing={"pinned": ["sandbox-sendgrid"]}) for _ in range(10)]
        for email_id in emails:
            assert service.ended(email_id, 10)["status"] == "sent"
        until(lambda: bool(receiver.got), 5)
