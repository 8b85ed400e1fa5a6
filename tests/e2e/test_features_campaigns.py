"""What the service offers about campaigns and halts, line by line, over HTTP."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from tests.e2e.client import Service, an_email, until

BOUNCING = "sandbox-sendgrid"  # the one that tells of the bounces which the sandbox makes up


def a_campaign(service: Service, **plan: Any) -> str:
    made = service.post("/v1/campaigns", {"name": "spring", **plan})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def batch(service: Service, count: int, **defaults: Any) -> list[str]:
    shared = {name: value for name, value in an_email(**defaults).items() if name != "to"}
    entries = [{"to": [f"r{n}-{uuid4().hex[:8]}@example.com"]} for n in range(count)]
    answer = service.post("/v1/emails/batch", {"defaults": shared, "emails": entries})
    assert answer.status_code == 202, answer.text
    return [result["id"] for result in answer.json()["results"]]


def shown(service: Service, campaign: str) -> dict[str, Any]:
    found: dict[str, Any] = service.get(f"/v1/campaigns/{campaign}").json()
    return found


def received(service: Service, emails: list[str]) -> int:
    return sum(len(service.inbox(email)) for email in emails)


def test_a_campaign_keeps_its_pace_tells_its_progress_and_pauses_resumes_and_stops(service: Service):
    campaign = a_campaign(service, per_minute=60)
    emails = batch(service, 20, campaign_id=campaign)
    until(lambda: shown(service, campaign)["progress"]["sent"] >= 2)
    progress = shown(service, campaign)["progress"]
    assert progress["total"] == 20
    assert progress["sent"] < 10, "one a second"
    assert 0 < progress["seconds_left"] <= 60
    assert service.post(f"/v1/campaigns/{campaign}/pause").json()["status"] == "paused"
    time.sleep(1)  # what was claimed goes on
    before = received(service, emails)
    time.sleep(2.5)
    assert received(service, emails) == before, "it is paused"
    assert service.post(f"/v1/campaigns/{campaign}/resume").json()["status"] == "active"
    until(lambda: received(service, emails) > before)
    assert service.post(f"/v1/campaigns/{campaign}/cancel").json()["status"] == "cancelled"
    until(lambda: {service.email(e)["status"] for e in emails} == {"sent", "cancelled"})
    statuses = shown(service, campaign)["progress"]["statuses"]
    assert statuses["sent"] + statuses["cancelled"] == 20
    assert statuses["sent"] == received(service, emails)
    late = service.post("/v1/emails", an_email(campaign_id=campaign))
    assert [e["pointer"] for e in late.json()["errors"]] == ["/campaign_id"]


def test_a_campaign_whose_cap_is_spent_pauses_by_itself(service: Service):
    campaign = a_campaign(service, per_minute=120, spend_cap="0.0008")
    batch(service, 30, campaign_id=campaign)
    until(lambda: shown(service, campaign)["status"] == "paused", 30, lambda: shown(service, campaign))
    paused = shown(service, campaign)
    assert "spen" in paused["status_reason"], paused
    assert paused["progress"]["waiting"] > 0


def test_a_campaign_that_bounces_pauses_by_itself(service: Service):
    campaign = a_campaign(service, min_sent=2, per_minute=120)
    for _ in range(3):
        service.send(
            to=[f"bounce-hard+{uuid4().hex[:10]}@example.com"],
            campaign_id=campaign,
            routing={"pinned": [BOUNCING]},
        )
    until(lambda: shown(service, campaign)["status"] == "paused", 30, lambda: shown(service, campaign))
    assert "bounce" in shown(service, campaign)["status_reason"]
    late = service.send(campaign_id=campaign)
    time.sleep(2)
    assert (service.email(late)["status"], service.inbox(late)) == ("queued", [])


def test_a_campaign_that_is_complained_about_pauses_by_itself(service: Service):
    campaign = a_campaign(service, min_sent=2, per_minute=120)
    for story in ("complaint", "complaint", "delivered"):
        service.send(
            to=[f"{story}+{uuid4().hex[:10]}@example.com"],
            campaign_id=campaign,
            routing={"pinned": [BOUNCING]},
        )
    until(lambda: shown(service, campaign)["status"] == "paused", 30, lambda: shown(service, campaign))
    assert "complaint" in shown(service, campaign)["status_reason"]


def test_a_campaign_of_which_nothing_waits_can_be_deleted_and_its_emails_stay(service: Service):
    campaign = a_campaign(service, per_minute=1)
    emails = batch(service, 3, campaign_id=campaign)
    until(lambda: shown(service, campaign)["progress"]["sent"] >= 1)
    url = f"{service.api_url}/v1/campaigns/{campaign}"
    assert service.http.delete(url, timeout=10).status_code == 409, "two of it wait"
    service.post(f"/v1/campaigns/{campaign}/cancel")
    until(lambda: service.http.delete(url, timeout=10).status_code == 204)
    assert service.get(f"/v1/campaigns/{campaign}").status_code == 404
    assert {service.email(e)["status"] for e in emails} == {"sent", "cancelled"}
    late = service.post("/v1/emails", an_email(campaign_id=campaign))
    assert [e["pointer"] for e in late.json()["errors"]] == ["/campaign_id"]


def test_a_user_is_halted_and_lets_go(service: Service):
    halt = service.post("/v1/halts", {"kind": "user", "reason": "a test"})
    assert halt.status_code == 201, halt.text
    try:
        email = service.send()
        time.sleep(2)
        assert (service.email(email)["status"], service.inbox(email)) == ("queued", [])
    finally:
        service.http.delete(f"{service.api_url}/v1/halts/{halt.json()['id']}", timeout=10)
    assert service.ended(email)["status"] == "sent"
