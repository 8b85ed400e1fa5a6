"""What the service offers about contents, batches and lists, line by line, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import socket
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
import requests

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
    many = service.post("/v1/emails/batch?dry_run=true", {"emails": [body]}).json()
    assert [(r["status"], r["provider"].partition("-")[0]) for r in many["results"]] == [
        ("queued", "sandbox")
    ]
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


def test_a_template_makes_text_moves_styles_into_elements_and_escapes(service: Service):
    name = f"t{uuid4().hex[:8]}"
    html = "<style>p { color: #123456 }</style><p>Hello {{ who }}</p>"
    assert service.post("/v1/templates", {"name": name, "subject": "s", "html": html}).status_code == 201
    plain = {k: v for k, v in an_email().items() if k not in ("subject", "text")}
    body = {**plain, "template": name, "variables": {"who": "<script>Ada</script>"}}
    sent = service.post("/v1/emails", body).json()["id"]
    service.ended(sent)
    (received,) = service.inbox(sent)
    assert '<p style="color: #123456' in received["html"]
    assert "<script>" not in received["html"]
    assert "Hello <script>Ada</script>" in received["text"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x'.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{{ '%1000000000s'|format(1) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ ['a'] * 100000000 }}",
    ],
)
def test_a_template_that_reaches_out_or_takes_too_much_is_refused(service: Service, source: str):
    made = service.post("/v1/templates", {"name": f"t{uuid4().hex[:8]}", "subject": "s", "text": source})
    if made.status_code == 201:
        made = service.post(f"/v1/templates/{made.json()['id']}/preview", {"variables": {}})
    # 503 where the machine is so busy that nobody can say whose fault it is
    assert made.status_code in (422, 503), made.text
    assert service.ended(service.send())["status"] == "sent", "nobody else notices"


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: eve@example.com", "a\nX-Evil: 1", "a\u2028b", "=?utf-8?q?=0ABcc:eve@example.com?="]
)
def test_a_variable_makes_no_header(service: Service, value: str):
    name = f"t{uuid4().hex[:8]}"
    service.post("/v1/templates", {"name": name, "subject": "Hello {{ who }}", "text": "t"})
    plain = {k: v for k, v in an_email().items() if k not in ("subject", "text")}
    answer = service.post("/v1/emails", {**plain, "template": name, "variables": {"who": value}})
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [("/template", "header_value")]


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ({"filename": "a\r\nBcc: x.txt"}, "filename"),
        ({"filename": "../../etc/passwd"}, "filename"),
        ({"filename": "a.exe"}, "filename"),
        ({"content_type": "text/plain\r\nX: y"}, "content_type"),
        ({"filename": "a.pdf"}, "content"),
        ({"content": base64.b64encode(bytes(26_000_000)).decode()}, ""),
    ],
    ids=["header", "path", "program", "type", "mistyped", "large"],
)
def test_a_file_that_is_not_what_it_says_is_refused(service: Service, file: dict[str, str], place: str):
    attachment = {"filename": "a.txt", "content": base64.b64encode(b"hello").decode()} | file
    answer = service.post("/v1/emails", an_email(attachments=[attachment]))
    wanted = f"/attachments/0/{place}" if place else "/attachments"
    assert [e["pointer"] for e in answer.json()["errors"]] == [wanted]


def test_what_is_somebody_elses_is_not_there(service: Service):
    made = service.post("/v1/users", {"email": f"{uuid4().hex[:8]}@example.com", "role": "member"}).json()
    other = requests.Session()
    other.headers["Authorization"] = f"Bearer {made['key']}"
    file = service.http.post(
        f"{service.api_url}/v1/attachments", files={"file": ("a.txt", b"mine")}, timeout=20
    ).json()
    template = service.post(
        "/v1/templates", {"name": f"t{uuid4().hex[:8]}", "subject": "s", "text": "t"}
    ).json()
    campaign = service.post("/v1/campaigns", {"name": "mine"}).json()
    plain = {k: v for k, v in an_email().items() if k not in ("subject", "text")}
    for body, pointer in (
        (an_email(attachments=[{"id": file["id"]}]), "/attachments/0/id"),
        ({**plain, "template": template["id"]}, "/template"),
        (an_email(campaign_id=campaign["id"]), "/campaign_id"),
    ):
        answer = other.post(f"{service.api_url}/v1/emails", json=body, timeout=20)
        assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, [pointer])
    email = service.send(send_at=_tomorrow())
    for method, path in (
        ("GET", f"/v1/emails/{email}"),
        ("POST", f"/v1/emails/{email}/cancel"),
        ("POST", f"/v1/emails/{email}/resend"),
        ("GET", f"/v1/attachments/{file['id']}"),
        ("DELETE", f"/v1/attachments/{file['id']}"),
        ("GET", f"/v1/templates/{template['id']}"),
        ("POST", f"/v1/campaigns/{campaign['id']}/cancel"),
    ):
        assert other.request(method, service.api_url + path, timeout=20).status_code == 404, path
    assert service.post(f"/v1/emails/{email}/cancel").json()["status"] == "cancelled"
    other.close()


def test_the_same_file_is_kept_once_and_its_links_end_and_cannot_be_changed(service: Service):
    form = {"file": ("a.txt", uuid4().bytes.hex().encode())}
    first, second = (
        service.http.post(f"{service.api_url}/v1/attachments", files=form, timeout=20).json()
        for _ in range(2)
    )
    assert first["id"] == second["id"]
    parts = urlsplit(first["download_url"])
    query = dict(parse_qsl(parts.query))
    whole = f"{parts.scheme}://{parts.netloc}{parts.path}"
    assert requests.get(whole, params=query, timeout=10).status_code == 200
    for change in ({"expires": str(int(query["expires"]) + 3600)}, {"signature": "0" * 64}, {"key": "k9"}):
        assert requests.get(whole, params=query | change, timeout=10).status_code == 403
    assert requests.get(whole, timeout=10).status_code == 403, "no signature at all"
    elsewhere = whole.replace(first["id"], str(uuid4()))
    assert requests.get(elsewhere, params=query, timeout=10).status_code == 403


def test_an_upload_that_breaks_off_is_none_and_can_be_made_again(service: Service):
    content = uuid4().bytes * 20_000
    announced = service.post("/v1/attachments/uploads", {"filename": "a.bin", "size": len(content)}).json()
    url = urlsplit(announced["upload_url"])
    assert url.hostname is not None
    with socket.create_connection((url.hostname, url.port), timeout=10) as half:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
        half.sendall(head.encode() + content[:100_000])
    complete = f"/v1/attachments/uploads/{announced['id']}/complete"
    assert service.post(complete).status_code == 409
    assert requests.put(announced["upload_url"], data=content[:-1], timeout=10).status_code == 413
    assert requests.put(announced["upload_url"], data=content, timeout=10).status_code == 204
    made = service.post(complete)
    assert (made.status_code, made.json()["sha256"]) == (201, hashlib.sha256(content).hexdigest())
    assert requests.put(announced["upload_url"], data=content, timeout=10).status_code == 409
    assert service.post(complete).json()["id"] == made.json()["id"]


def _tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()
