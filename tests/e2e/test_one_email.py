"""The whole way of one email on the real stack: HTTP in, Postgres, Redis, Celery, a provider on a socket."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.client import Service, an_email

CHEAP, NEXT, SMTP = "sandbox-sendgrid", "sandbox-sendgrid-eu", "sandbox-smtp"


def test_an_email_is_delivered_and_its_record_says_how(service: Service):
    email_id = service.send(html="<p>Hello, Ada</p>", tags=["welcome"], metadata={"order": "7"})
    email = service.ended(email_id)
    assert email["status"] == "sent"
    assert [t["status"] for t in email["timeline"]] == ["queued", "sent"]
    (attempt,) = email["attempts"]
    assert (attempt["provider"], attempt["outcome"]) == (CHEAP, "accepted")
    assert attempt["estimated_cost"] == "0.0004"
    assert attempt["decision"]["reason"] == "LOWEST_COST"
    foreseen = service.post("/v1/routing/preview", an_email()).json()["decision"]
    assert (foreseen["chosen"], foreseen["reason"]) == (CHEAP, "LOWEST_COST")
    assert NEXT in attempt["decision"]["explanation"]
    (received,) = service.inbox(email_id)
    assert received["attempt_id"] == attempt["id"]
    assert received["message_id"] == attempt["provider_message_id"]
    assert received["subject"] == email["subject"]


def test_the_same_over_smtp_with_verified_tls(service: Service):
    email_id = service.send(routing={"pinned": [SMTP]}, subject="Grüße — 你好", html="<p>Grüße</p>")
    email = service.ended(email_id)
    assert email["status"] == "sent", email
    (received,) = service.inbox(email_id)
    assert received["subject"] == "Grüße — 你好"
    assert received["attempt_id"] == email["attempts"][0]["id"]
    assert received["account"] == SMTP


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("refuse", "provider_unavailable"),
        ("unavailable", "provider_unavailable"),
        ("ratelimit", "rate_limited"),
        ("auth", "misconfigured"),
        ("sender", "sender_not_verified"),
    ],
)
@pytest.mark.parametrize("provider", [CHEAP, SMTP])
def test_what_was_provably_not_taken_goes_through_the_next_provider(
    service: Service, provider: str, mode: str, error: str
):
    others = [CHEAP, NEXT, SMTP]
    others.remove(provider)
    service.fail(provider, mode)
    rule = None
    if provider == SMTP:
        rule = a_rule(service, SMTP, NEXT)
    try:
        email_id = service.send()
        email = service.ended(email_id)
    finally:
        if rule is not None:
            service.http.delete(f"{service.api_url}/v1/routing-rules/{rule}", timeout=10)
    assert email["status"] == "sent", email
    first, second = email["attempts"]
    assert (first["provider"], first["outcome"], first["error"]) == (provider, "not_sent", error)
    assert (second["provider"], second["outcome"]) == (NEXT, "accepted")
    assert second["decision"]["reason"] == "FAILOVER_1"
    assert [m["account"] for m in service.inbox(email_id)] == [NEXT]


def a_rule(service: Service, default: str, *fallbacks: str) -> str:
    answer = service.post(
        "/v1/routing-rules",
        {"email_type": "transactional", "default_provider": default, "fallback_providers": list(fallbacks)},
    )
    assert answer.status_code == 201, answer.text
    time.sleep(0.3)  # a worker that has just read the rules uses them for a moment
    return str(answer.json()["id"])


@pytest.mark.parametrize("provider", [CHEAP, SMTP])
def test_a_rejected_email_fails_and_is_tried_nowhere_else(service: Service, provider: str):
    service.fail(provider, "reject")
    email_id = service.send(routing={"pinned": [provider, NEXT] if provider == CHEAP else [provider]})
    email = service.ended(email_id)
    assert email["status"] == "failed"
    assert [a["error"] for a in email["attempts"]] == ["rejected"]
    assert service.inbox(email_id) == []


@pytest.mark.parametrize(
    ("mode", "copies"), [("timeout", 1), ("hang", 0), ("bare500", 0), ("drop", 1), ("garbage", 1)]
)
@pytest.mark.parametrize("provider", [CHEAP, SMTP])
def test_what_may_have_been_taken_is_unknown_and_sent_nowhere_else(
    service: Service, provider: str, mode: str, copies: int
):
    service.fail(provider, mode)
    email_id = service.send(routing={"pinned": [provider, NEXT] if provider == CHEAP else [provider]})
    email = service.ended(email_id)
    assert email["status"] == "unknown", email
    assert [(a["provider"], a["outcome"]) for a in email["attempts"]] == [(provider, "unknown")]
    assert [m["account"] for m in service.inbox(email_id)] == [provider] * copies


def test_a_slow_provider_is_not_a_doubt(service: Service):
    service.cli("sandbox", "fail", CHEAP, "--mode", "slow", "--delay", "0.3")
    assert service.ended(service.send())["status"] == "sent"


def test_an_email_for_later_can_be_taken_back(service: Service):
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    email_id = service.send(send_at=later)
    assert service.email(email_id)["status"] == "scheduled"
    assert service.post(f"/v1/emails/{email_id}/cancel").json()["status"] == "cancelled"
    assert service.post(f"/v1/emails/{email_id}/cancel").status_code == 200
    assert service.inbox(email_id) == []
    sent = service.send()
    service.ended(sent)
    assert service.post(f"/v1/emails/{sent}/cancel").status_code == 409


def test_a_repeated_request_is_one_email(service: Service):
    body, key = an_email(), {"Idempotency-Key": "order-7-confirmation"}
    first = service.post("/v1/emails", body, headers=key)
    again = service.post("/v1/emails", body, headers=key)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    service.ended(first.json()["id"])
    assert len(service.inbox(first.json()["id"])) == 1
    assert service.post("/v1/emails", an_email(), headers=key).status_code == 422
