"""What the clock's duties find out of emails by themselves: calls made again, and mailboxes that are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.smtp_server import SMTPServer
from tests.e2e.client import Service, until
from tests.integration.delivery.test_reports import PASSWORD, USER, ImapServer, a_bounce
from tests.integration.sandbox_driver import running_accounts


@contextmanager
def account(service: Service, name: str, **body: Any) -> Iterator[str]:
    """An account that nobody uses who does not ask for it."""
    made = service.post("/v1/providers", {"name": name, "base_cost": "0.01", "currency": "USD", **body})
    assert made.status_code == 201, made.text
    yield name
    gone = service.http.delete(f"{service.api_url}/v1/providers/{made.json()['id']}", timeout=20)
    assert gone.status_code == 204, gone.text


def test_a_call_whose_answer_was_lost_is_made_again_and_is_the_same_email(
    service: Service, tmp_path: Path
) -> None:
    with running_accounts(tmp_path, "resend") as sandbox:
        known = sandbox.account("resend")
        body = {
            "kind": "resend",
            "config": {"base_url": known["base_url"]},
            "credentials": known["credentials"],
        }
        with account(service, "repeatable", **body) as name:
            sandbox.fail("resend", "drop", count=1)
            email_id = service.send(routing={"pinned": [name]})
            until(lambda: service.email(email_id)["status"] == "unknown", 10)
            until(lambda: service.email(email_id)["status"] == "sent", 30, lambda: service.email(email_id))
            (received,) = sandbox.received(email_id=email_id)
            (attempt,) = service.email(email_id)["attempts"]
            assert (attempt["outcome"], attempt["provider_message_id"]) == (
                "accepted",
                received["message_id"],
            )


def test_a_bounce_that_comes_back_as_an_email_is_the_emails(service: Service) -> None:
    imap, relay = ImapServer(), SMTPServer(None, "none")
    mailbox = {"host": "127.0.0.1", "port": imap.port, "tls": "none", "username": USER}
    config = {"host": "127.0.0.1", "port": relay.port, "tls": "none", "return_path": USER, "reports": mailbox}
    try:
        with account(
            service, "relay", kind="smtp", config=config, credentials={"reports_password": PASSWORD}
        ) as name:
            email_id = service.send(to=["ada@x.example"], routing={"pinned": [name]})
            assert service.ended(email_id)["status"] == "sent"
            imap.bring(a_bounce(relay.messages[-1][2], "ada@x.example", "failed", "5.1.1"))
            until(lambda: service.email(email_id)["status"] == "bounced", 30, lambda: service.email(email_id))
            assert imap.unseen() == 0
    finally:
        relay.stop()
        imap.stop()
