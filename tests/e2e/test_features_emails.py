"""What is done to emails after they were accepted, on the real stack: sent again, given another time, left out."""

from __future__ import annotations

import base64
import hashlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
import requests

from bench.stack import Stack
from tests.e2e.client import Service, an_email, until
from wiring.settings import StartSettings

CHEAP, SMTP = "sandbox-sendgrid", "sandbox-smtp"


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


def test_one_of_unknown_fate_is_sent_again_where_it_is_meant(service: Service):
    service.fail(SMTP, "timeout")  # nobody can be asked there
    tag = uuid4().hex
    old = service.send(routing={"pinned": [SMTP]}, tags=[tag])
    assert service.ended(old)["status"] == "unknown"
    service.heal()
    assert service.post("/v1/emails/resend", {"tag": tag}).json()["resent"] == 0, "it may have arrived"
    assert service.post("/v1/emails/resend", {"tag": tag, "status": "unknown"}).json()["resent"] == 1
    new = service.email(old)["resent_as"]
    assert service.ended(new)["status"] == "sent"


def test_an_email_for_later_gets_another_time(service: Service):
    later = service.send(send_at=in_seconds(3600))
    path = f"/v1/emails/{later}/reschedule"
    assert service.post(path, {"send_at": in_seconds(1)}).json()["status"] == "scheduled"
    assert service.ended(later)["status"] == "sent"
    late = service.post(path, {"send_at": in_seconds(60)})
    assert (late.status_code, late.json()["email_status"]) == (409, "sent")


@pytest.mark.parametrize(
    "send_at", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "tomorrow", "2027-05-04T08:00:00", 1893456000]
)
def test_a_time_that_is_over_too_far_or_none_is_refused(service: Service, send_at: object):
    answer = service.post("/v1/emails", an_email(send_at=send_at))
    assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, ["/send_at"])


def test_who_is_put_on_the_list_is_not_written_to_whenever_that_was(service: Service):
    to = f"gone-{uuid4().hex[:10]}@example.com"
    planned = service.send(to=[to], send_at=in_seconds(2))
    assert service.post("/v1/suppressions", {"entries": [{"address": to}]}).status_code in (200, 201)
    until(lambda: service.email(planned)["status"] == "suppressed", 15, lambda: service.email(planned))
    assert service.email(service.send(to=[to]))["status"] == "suppressed"
    both = service.send(to=[to], cc=[f"ada-{uuid4().hex[:8]}@example.com"])
    assert service.ended(both)["status"] == "sent"
    assert [r["status"] for r in service.email(both)["recipients"]] == ["suppressed", "sent"]
    assert [to in str(m) for m in service.inbox(both)] == [False]
    assert service.inbox(planned) == []


def test_headers_replies_tags_and_metadata_are_kept_and_sent(service: Service):
    sent = service.send(
        headers={"X-Order": "7"}, reply_to=["Care <care@example.com>"], tags=["a"], metadata={"order": "7"}
    )
    email = service.ended(sent)
    assert (email["tags"], email["metadata"]) == (["a"], {"order": "7"})
    (received,) = service.inbox(sent)
    headers = {name.lower(): value for name, value in dict(received["headers"]).items()}
    assert headers["x-order"] == "7"
    assert "care@example.com" in str(received)


def test_a_key_is_free_again_after_a_mistake_and_covers_a_batch_and_an_entry(service: Service):
    key = {"Idempotency-Key": "k" * 224 + uuid4().hex}
    assert service.post("/v1/emails", an_email(subject=""), headers=key).status_code == 422
    assert service.post("/v1/emails", an_email(), headers=key).status_code == 202
    assert service.post("/v1/emails", an_email(), headers={"Idempotency-Key": "k" * 257}).status_code == 422
    entry = an_email(idempotency_key=uuid4().hex)
    body = {"mode": "permissive", "emails": [entry, {**an_email(), "to": ["nobody"]}]}
    first = service.post("/v1/emails/batch", body, headers=key)
    again = service.post("/v1/emails/batch", body, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert [r["id"] for r in again.json()["results"]] == [r["id"] for r in first.json()["results"]]
    elsewhere = service.post("/v1/emails/batch", {"emails": [an_email(), entry]}).json()["results"][1]
    assert (elsewhere["id"], elsewhere["replayed"]) == (first.json()["results"][0]["id"], True)


def test_a_key_whose_request_is_being_worked_on_says_when_to_ask_again(stack: Stack, service: Service):
    first, key = uuid4().hex, uuid4().hex
    body = an_email()
    assert service.post("/v1/emails", body, headers={"Idempotency-Key": first}).status_code == 202
    with closing(psycopg2.connect(stack.ready["database_url"].replace("+psycopg2", ""))) as database:
        columns = "route, request_hash, status_code, response, expires_at"
        database.cursor().execute(  # another request that has the key, and has not come to its end
            f"INSERT INTO idempotency_keys (user_id, key, {columns}) "  # constants
            f"SELECT user_id, %s, {columns} FROM idempotency_keys WHERE key = %s",
            (key, first),
        )
        busy = service.post("/v1/emails", body, headers={"Idempotency-Key": key})
        assert (busy.status_code, busy.headers["Retry-After"]) == (409, "1"), busy.text
        assert busy.json()["type"].endswith("request-in-flight")
        database.rollback()
    later = service.post("/v1/emails", body, headers={"Idempotency-Key": key})
    assert later.status_code == 202
    assert "Idempotent-Replayed" not in later.headers


def test_a_batch_has_at_most_a_thousand_entries_and_so_many_bytes(service: Service):
    many = service.post("/v1/emails/batch", {"emails": [an_email()] * 1001})
    assert [e["pointer"] for e in many.json()["errors"]] == ["/emails"]
    large = service.http.post(
        f"{service.api_url}/v1/emails/batch",
        data=b'{"emails": [' + b" " * StartSettings().max_body_bytes + b"]}",
        headers={"Content-Type": "application/json"},
        timeout=30,
    )
    assert large.status_code == 413


def test_a_thousand_emails_with_one_body_and_one_file_keep_each_once(stack: Stack, service: Service):
    content = uuid4().bytes * 65_536  # 1 MiB
    name = f"t{uuid4().hex[:8]}"
    made = service.post(
        "/v1/templates",
        {"name": name, "subject": "Sale at {{ shop }}", "text": f"Spring {name}, {{{{ shop }}}}."},
    )
    assert made.status_code == 201, made.text
    body = {
        "defaults": {
            "from": "shop@news.example",
            "template": name,
            "variables": {"shop": "Ada's"},
            "attachments": [{"filename": "a.bin", "content": base64.b64encode(content).decode()}],
            "send_at": in_seconds(3600),
            "tags": [name],
        },
        "emails": [{"to": [f"r{n}@example.com"]} for n in range(1000)],
    }
    answer = service.http.post(f"{service.api_url}/v1/emails/batch", json=body, timeout=120)
    assert (answer.status_code, answer.json().get("accepted")) == (202, 1000), answer.text[:500]
    with closing(psycopg2.connect(stack.ready["database_url"].replace("+psycopg2", ""))) as database:
        ask = database.cursor()
        ask.execute("SELECT count(*) FROM email_contents WHERE text LIKE %s", (f"Spring {name}%",))
        assert ask.fetchone() == (1,)
        ask.execute("SELECT count(*) FROM blobs WHERE hash = %s", (hashlib.sha256(content).digest(),))
        assert ask.fetchone() == (1,)
    files = Path(service.data_dir).rglob(hashlib.sha256(content).hexdigest())
    assert [file.stat().st_size for file in files] == [len(content)]
    assert service.post("/v1/emails/cancel", {"tag": name}).json()["cancelled"] == 1000


def test_marketing_of_this_service_can_be_left_by_its_link(service: Service):
    to = f"leaves-{uuid4().hex[:10]}@example.com"
    sent = service.send(email_type="marketing", to=[to], html="<a href='{{unsubscribe_url}}'>leave</a>")
    assert service.ended(sent)["status"] == "sent"
    (received,) = service.inbox(sent)
    headers = {header.lower(): value for header, value in dict(received["headers"]).items()}
    link = headers["list-unsubscribe"].strip("<>")
    assert link in received["html"]
    assert "<form" in requests.get(link, timeout=10).text, "looking at it changes nothing"
    assert requests.post(link, data={"List-Unsubscribe": "One-Click"}, timeout=10).status_code == 200
    assert service.email(service.send(email_type="marketing", to=[to]))["status"] == "suppressed"
    useless = service.post(
        "/v1/emails", an_email(email_type="marketing", headers={"List-Unsubscribe": "by letter"})
    )
    assert [e["pointer"] for e in useless.json()["errors"]] == ["/headers/List-Unsubscribe"]
