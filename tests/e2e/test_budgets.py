"""A budget on the running service: its owner is told, another provider goes, and raising it lets go what waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.client import Service, an_email, until
from tests.e2e.test_webhooks_out import webhook
from tests.receiver import Receiver

CHEAP = "sandbox-budgeted"


@contextmanager
def provider(service: Service, **fields: Any) -> Iterator[str]:
    """An account in memory, cheaper than all others."""
    made = service.post(
        "/v1/providers", {"kind": "memory", "name": CHEAP, "base_cost": "0.00000100", **fields}
    )
    assert made.status_code == 201, made.text
    try:
        yield made.json()["id"]
    finally:
        service.http.delete(f"{service.api_url}/v1/providers/{made.json()['id']}", timeout=20)


@contextmanager
def budget(service: Service, amount: str, **fields: Any) -> Iterator[str]:
    made = service.post("/v1/budgets", {"amount": amount, "period": "day", **fields})
    assert made.status_code == 201, made.text
    path = f"/v1/budgets/{made.json()['id']}"
    try:
        yield path
    finally:
        service.http.delete(f"{service.api_url}{path}", timeout=20)


def carried_by(service: Service, email_id: str) -> str:
    (attempt,) = service.ended(email_id)["attempts"]
    return str(attempt["provider"])


def test_another_provider_carries_on_and_the_owner_is_told(service: Service) -> None:
    receiver = Receiver()
    types = ("budget.alert", "budget.stopped")
    with (
        webhook(service, receiver, *types),
        provider(service),
        budget(service, "0.000002", provider=CHEAP) as path,
    ):
        only_two = {"routing": {"pinned": [CHEAP, "sandbox-sendgrid"]}}
        carriers = [carried_by(service, service.send(**only_two)) for _ in range(4)]
        assert sorted(carriers) == [CHEAP, CHEAP, "sandbox-sendgrid", "sandbox-sendgrid"]
        shown = service.get(path).json()
        assert (shown["spent"], shown["left"]) == ("0.000002", "0")
        assert shown["stopped_at"] is not None
        until(lambda: set(types) <= set(receiver.types), 15, lambda: receiver.types)
        told = [json.loads(body) for _, body in receiver.got]
        assert {t["data"]["budget_id"] for t in told} == {shown["id"]}
        assert len(told) == 2, "once each"
        preview = service.post("/v1/routing/preview", an_email(**only_two)).json()["decision"]
        assert {e["provider"]: e["because"] for e in preview["excluded"]}[CHEAP] == "BUDGET"
        listed = service.cli("budgets", "list", "--url", service.api_url, "--key", service.key)
        assert "0.000002" in listed


def test_what_waits_for_a_budget_goes_when_it_is_raised(service: Service) -> None:
    with provider(service), budget(service, "0", provider=CHEAP) as path:
        waiting = service.send(routing={"pinned": [CHEAP]})
        until(lambda: service.email(waiting)["status"] == "deferred", 15, lambda: service.email(waiting))
        assert service.email(waiting)["status_reason"].startswith("BUDGET")
        raised = service.http.patch(f"{service.api_url}{path}", json={"amount": "1"}, timeout=20)
        assert raised.status_code == 200
        assert service.ended(waiting)["status"] == "sent"
