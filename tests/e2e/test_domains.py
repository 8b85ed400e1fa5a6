"""Sender domains on the running service, by the command line."""

from __future__ import annotations

import json
from uuid import uuid4

from tests.e2e.client import Service, until
from tests.e2e.test_command_line import mailmux


def test_a_declared_domain_is_checked_by_itself_and_shown(service: Service):
    name = f"{uuid4().hex[:10]}.example"
    domain = service.post("/v1/domains", {"name": name}).json()
    until(lambda: service.get(f"/v1/domains/{domain['id']}").json()["status"] != "pending", 90)
    shown = json.loads(mailmux(service, "domains", "show", domain["id"], "--json"))
    states = {p["provider"]: p["state"] for p in shown["providers"]}
    assert states["sandbox-smtp"] == "unknown", "an SMTP server does not tell"
    assert service.ended(service.send(**{"from": f"shop@{name}"}))["status"] == "sent"
    assert name in mailmux(service, "domains", "list")
    mailmux(service, "domains", "delete", domain["id"])
    assert name not in mailmux(service, "domains", "list")
