"""What the service offers about email types and an email's wishes of its route, line by line, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tests.e2e.client import Service, an_email, until

CHEAP, POSTMARK = "sandbox-sendgrid", "sandbox-postmark"


def declared(service: Service, **said: Any) -> str:
    name = f"t-{uuid4().hex[:8]}"
    made = service.post("/v1/email-types", {"name": name, **said})
    assert made.status_code == 201, made.text
    return name


@contextmanager
def changed(service: Service, provider: str, **change: Any) -> Iterator[None]:
    """The account with other settings for a while."""
    (account,) = [p for p in service.get("/v1/providers", limit=100).json()["data"] if p["name"] == provider]
    url = f"{service.api_url}/v1/providers/{account['id']}"
    if "config" in change:
        change["config"] = {**account["config"], **change["config"]}
    answer = service.http.patch(url, json=change, timeout=10)
    assert answer.status_code == 200, answer.text
    try:
        yield
    finally:
        back = service.http.patch(url, json={name: account[name] for name in change}, timeout=10)
        assert back.status_code == 200, back.text


def carried(service: Service, **fields: Any) -> tuple[str, str]:
    """By which provider an email went, and by which of its streams."""
    email_id = service.send(**fields)
    email = service.ended(email_id)
    assert email["status"] in ("sent", "delivered"), email
    (received,) = service.inbox(email_id)
    return email["attempts"][-1]["provider"], received["stream"]


def test_a_types_emails_go_by_the_providers_that_it_names_and_by_their_stream_for_it(service: Service):
    codes, news = declared(service, providers=[POSTMARK]), declared(service, category="marketing")
    plain = {"email_type": declared(service), "routing": {"pinned": [POSTMARK]}}
    leave = {"List-Unsubscribe": "<mailto:leave@example.com>"}
    said = {"broadcast_stream": "news", "streams": {codes: "codes"}}
    with changed(service, POSTMARK, config=said):
        until(lambda: carried(service, email_type=codes) == (POSTMARK, "codes"), 20)
        bulk = {"email_type": news, "headers": leave, "routing": {"pinned": [POSTMARK]}}
        assert carried(service, **bulk) == (POSTMARK, "news"), "all marketing is bulk"
        assert carried(service, **plain) == (POSTMARK, "outbound")
    drawn = service.post("/v1/emails?dry_run=true", an_email(email_type=codes)).json()["decision"]
    assert {e["because"] for e in drawn["excluded"]} == {"TYPE"}


def test_marketing_has_no_lane_but_that_for_bulk(service: Service):
    wrong = {"name": "n", "category": "marketing", "lane": "transactional"}
    answer = service.post("/v1/email-types", wrong)
    assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, ["/lane"])


def test_an_emails_wishes_of_its_route_are_heeded(service: Service):
    def drawn(**routing: Any) -> dict[str, Any]:
        answer = service.post("/v1/emails?dry_run=true", an_email(routing=routing))
        assert answer.status_code == 200, answer.text
        decision: dict[str, Any] = answer.json()["decision"]
        return decision

    assert carried(service, routing={"pinned": [POSTMARK]})[0] == POSTMARK
    others = [POSTMARK, "sandbox-sendgrid-eu", "sandbox-smtp"]
    assert carried(service, routing={"excluded": others})[0] == CHEAP
    dear = drawn(max_cost="0")
    assert dear["chosen"] is None
    assert {e["because"] for e in dear["excluded"]} == {"MAX_COST"}
    nowhere = service.post("/v1/emails", an_email(routing={"residency": "nowhere"}))
    assert [e["pointer"] for e in nowhere.json()["errors"]] == ["/routing/residency"]
    with changed(service, POSTMARK, region="eu"):
        until(lambda: drawn(residency="eu")["chosen"] == POSTMARK, 20)
        assert {e["because"] for e in drawn(residency="eu")["excluded"]} == {"RESIDENCY"}
        assert carried(service, routing={"residency": "eu"})[0] == POSTMARK


def test_who_carries_no_email_of_that_size_is_left_out_and_where_nobody_does_it_is_refused(service: Service):
    file = {"filename": "large.txt", "content": base64.b64encode(b"x" * 8_000_000).decode()}
    large = an_email(attachments=[file])
    refused = service.post("/v1/emails", {**large, "routing": {"pinned": [POSTMARK]}})
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [("/attachments", "too_large")]
    drawn = service.post("/v1/emails?dry_run=true", large).json()["decision"]
    (left_out,) = [e for e in drawn["excluded"] if e["provider"] == POSTMARK]
    assert left_out["because"] == "UNSUPPORTED"
    assert "larger than 10000000 bytes" in left_out["detail"]
    assert drawn["chosen"] is not None
