"""What is done to emails after they were accepted, on the real stack: sent again, given another time, left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.e2e.client import Service, an_email, until

CHEAP = "sandbox-sendgrid"


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_an_email_that_failed_is_sent_again_once_and_arrives(service: Service):
    service.fail(CHEAP, "reject")
    old = service.send(routing={"pinned": [CHEAP]})
    assert service.ended(old)["status"] == "failed"
    service.heal()
    answer = service.post(f"/v1/emails/{old}/resend")
    assert answer.status_code == 202, answer.text
    new = answer.json()["id"]
    email = service.ended(new)
    assert (email["status"], email["resend_of"]) == ("sent", old)
    assert [m["subject"] for m in service.inbox(new)] == [email["subject"]]
    assert service.email(old)["resent_as"] == new
    late = service.post(f"/v1/emails/{old}/resend")
    assert (late.status_code, late.json()["resent_as"]) == (409, new)


def test_all_that_failed_is_sent_again_by_a_filter_and_the_command_line(service: Service):
    service.fail(CHEAP, "reject")
    tag = uuid4().hex
    old = [service.send(routing={"pinned": [CHEAP]}, tags=[tag]) for _ in range(2)]
    assert [service.ended(i)["status"] for i in old] == ["failed", "failed"]
    service.heal()
    assert service.post("/v1/emails/resend", {"tag": tag, "dry_run": True}).json()["resent"] == 2
    assert service.post("/v1/emails/resend", {"tag": tag}).json()["resent"] == 2
    new = [service.email(i)["resent_as"] for i in old]
    assert [service.ended(i)["status"] for i in new] == ["sent", "sent"]
    assert service.post("/v1/emails/resend", {"tag": tag}).json()["resent"] == 0


def test_scheduled_emails_get_an_earlier_time_by_a_filter_and_leave_then(service: Service):
    tag = uuid4().hex
    emails = [service.send(send_at=in_seconds(3600), tags=[tag]) for _ in range(2)]
    answer = service.post("/v1/emails/reschedule", {"tag": tag, "send_at": in_seconds(1)})
    assert answer.json() == {"rescheduled": 2, "expire_before": 0, "has_more": False}
    assert [service.ended(i)["status"] for i in emails] == ["sent", "sent"]


def test_a_halted_type_waits_and_past_its_time_an_email_is_expired_and_not_sent(service: Service):
    name = f"late-{uuid4().hex[:8]}"
    assert service.post("/v1/email-types", {"name": name}).status_code == 201
    halt = service.post("/v1/halts", {"kind": "type", "value": name, "reason": "a test"})
    assert halt.status_code == 201, halt.text
    email_id = service.send(email_type=name, expires_at=in_seconds(1))
    until(lambda: service.email(email_id)["expires_at"] < datetime.now(UTC).isoformat(), 5)
    assert service.inbox(email_id) == []
    lifted = service.http.delete(f"{service.api_url}/v1/halts/{halt.json()['id']}", timeout=10)
    assert lifted.status_code == 204
    assert service.ended(email_id)["status"] == "expired"
    assert service.inbox(email_id) == []


def test_a_batch_is_all_or_nothing_or_what_is_right_of_it(service: Service):
    good, bad = an_email(), {**an_email(), "to": ["nobody"]}
    strict = service.post("/v1/emails/batch", {"emails": [good, bad]})
    assert strict.status_code == 422
    assert [e["pointer"] for e in strict.json()["errors"]] == ["/emails/1/to/0"]
    loose = service.post("/v1/emails/batch", {"mode": "permissive", "emails": [good, bad]}).json()
    assert [r["status"] for r in loose["results"]] == ["queued", "rejected"]
    assert service.ended(loose["results"][0]["id"])["status"] == "sent"


def test_an_undeclared_type_is_refused_and_marketing_goes_to_one(service: Service):
    undeclared = service.post("/v1/emails", an_email(email_type="nothing-of-the-kind"))
    assert [e["pointer"] for e in undeclared.json()["errors"]] == ["/email_type"]
    many = service.post("/v1/emails", an_email(email_type="marketing", cc=["bob@example.com"]))
    assert [e["pointer"] for e in many.json()["errors"]] == ["/cc"]
