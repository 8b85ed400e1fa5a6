"""What the service offers about contents, batches and lists, line by line, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.e2e.client import Service, an_email, until


def test_a_template_keeps_its_versions_and_what_was_accepted_stays_as_it_was(service: Service):
    name = f"t{uuid4().hex[:8]}"
    made = service.post("/v1/templates", {"name": name, "subject": "One", "html": "<p>{{ who }}</p>"}).json()
    plain = {k: v for k, v in an_email().items() if k not in ("subject", "text")}
    wish = {"template": name, "variables": {"who": "Ada"}}
    early = service.post("/v1/emails", {**plain, **wish}).json()["id"]
    path = f"/v1/templates/{made['id']}"
    added = service.post(f"{path}/versions", {"subject": "Two", "mjml": "<mjml><mj-body></mj-body></mjml>"})
    assert added.status_code == 201, added.text
    late = service.post("/v1/emails", {**plain, **wish}).json()["id"]
    fixed = service.post("/v1/emails", {**plain, **wish, "template_version": 1}).json()["id"]
    subjects = []
    for sent in (early, late, fixed):
        service.ended(sent)
        (received,) = service.inbox(sent)
        subjects.append(received["subject"])
    assert subjects == ["One", "Two", "One"]
    shown = service.post(f"{path}/preview", {"version": 1, "variables": {"who": "<Bob>"}}).json()
    assert "&lt;Bob&gt;" in shown["html"]
    missing = service.post("/v1/emails", {**plain, "template": name, "template_version": 1})
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (422, "/variables/who")


def test_a_dry_run_says_what_would_be_sent_and_by_whom(service: Service):
    body = an_email(subject="Dry")
    drawn = service.post("/v1/emails?dry_run=true", body)
    assert (drawn.status_code, drawn.json()["subject"]) == (200, "Dry")
    assert drawn.json()["decision"]["chosen"].startswith("sandbox-")
    assert service.get("/v1/emails", recipient=body["to"][0]).json()["data"] == []


def test_an_entry_of_a_batch_goes_before_its_defaults(service: Service):
    tag = uuid4().hex
    body = {
        "defaults": {"from": "shop@news.example", "subject": "For all", "text": "t", "tags": [tag]},
        "emails": [{"to": ["a@example.com"]}, {"to": ["b@example.com"], "subject": "For Bob"}],
    }
    results = service.post("/v1/emails/batch", body).json()["results"]
    for result, subject in zip(results, ("For all", "For Bob"), strict=True):
        service.ended(result["id"])
        (received,) = service.inbox(result["id"])
        assert received["subject"] == subject


def test_emails_are_found_by_what_they_bear_a_page_at_a_time(service: Service):
    tag = uuid4().hex
    ids = [service.send(tags=[tag], metadata={"order": str(n % 2)}) for n in range(5)]
    pages: list[list[str]] = []
    cursor = None
    while cursor is not None or not pages:
        query = {"tag": tag, "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = service.get("/v1/emails", **query).json()
        pages.append([e["id"] for e in page["data"]])
        cursor = page["next_cursor"]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [i for page in pages for i in page] == ids[::-1]
    odd = service.get("/v1/emails", tag=tag, metadata="order:1").json()["data"]
    assert [e["id"] for e in odd] == [ids[3], ids[1]]


def test_all_that_waits_is_cancelled_by_a_filter(service: Service):
    tag = uuid4().hex
    ids = [service.send(tags=[tag], send_at=_tomorrow()) for _ in range(3)]
    counted = service.post("/v1/emails/cancel", {"tag": tag, "dry_run": True}).json()
    assert (counted["cancelled"], service.email(ids[0])["status"]) == (3, "scheduled")
    assert service.post("/v1/emails/cancel", {"tag": tag}).json()["cancelled"] == 3
    until(lambda: {service.email(i)["status"] for i in ids} == {"cancelled"})


def test_each_of_several_recipients_gets_the_one_email(service: Service):
    sent = service.send(to=["ada@example.com"], cc=["bob@example.com"], bcc=["eve@example.com"])
    assert service.ended(sent)["status"] == "sent"
    (received,) = service.inbox(sent)
    assert "eve@example.com" not in str(dict(received["headers"]))
    assert [r["email"] for r in service.email(sent)["recipients"]] == [
        "ada@example.com", "bob@example.com", "eve@example.com",
    ]  # fmt: skip


def _tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()
