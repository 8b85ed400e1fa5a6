"""What emails say, on the real stack: rendered by the API's renderers, received by a provider on a socket."""

from __future__ import annotations

from tests.e2e.client import Service, an_email


def test_a_template_is_rendered_and_received(service: Service):
    made = service.post(
        "/v1/templates",
        {
            "name": "order-sent",
            "subject": "Order {{ number }} for {{ name }}",
            "mjml": "<mjml><mj-body><mj-section><mj-column><mj-text>Dear {{ name }}</mj-text></mj-column>"
            "</mj-section></mj-body></mjml>",
        },
    )
    assert made.status_code == 201, made.text
    body = {k: v for k, v in an_email().items() if k not in ("subject", "text", "html")}
    body |= {"template": "order-sent", "variables": {"number": 7, "name": "A & B"}}
    accepted = service.post("/v1/emails", body)
    assert accepted.status_code == 202, accepted.text
    email_id = accepted.json()["id"]
    assert service.ended(email_id)["status"] == "sent"
    (received,) = service.inbox(email_id)
    assert received["subject"] == "Order 7 for A & B"

    body["variables"] = {"number": 8}
    refused = service.post("/v1/emails", body)
    assert refused.status_code == 422
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/variables/name"]
