"""The Python client against the running service: sending once, lists of several pages, people, and webhooks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from mailmux_client import Mailmux, MailmuxError, NotVerified, set_password, sign_in, verify_webhook

from tests.e2e.client import Service, until
from tests.receiver import Receiver


def session() -> requests.Session:
    made = requests.Session()
    made.trust_env = False  # no proxy of this machine
    return made


@pytest.fixture
def mailmux(service: Service) -> Iterator[Mailmux]:
    with session() as kept:
        yield Mailmux(service.api_url, service.key, session=kept)


def test_an_email_is_sent_once_and_its_webhook_is_proved_also_while_the_secret_rotates(mailmux: Mailmux):
    receiver = Receiver()
    hook = mailmux.webhooks.create(url=receiver.url, types=["email.sent", "webhook.test"])
    try:
        email: dict[str, Any] = {
            "sender": "Shop <shop@client.example>",
            "to": ["ada@example.com"],
            "subject": "s",
            "text": "t",
        }
        key = uuid4().hex
        first, again = (mailmux.emails.send(**email, idempotency_key=key) for _ in range(2))
        assert first["id"] == again["id"]
        until(lambda: mailmux.emails.get(first["id"])["status"] == "sent", 15)
        until(lambda: "email.sent" in receiver.types, 15)
        headers, body = receiver.got[-1]
        assert verify_webhook(hook["secret"], headers, body)["data"]["email_id"] == first["id"]
        fresh = mailmux.webhooks.rotate(hook["id"], overlap_hours=1)["secret"]
        mailmux.webhooks.test(hook["id"])
        until(lambda: "webhook.test" in receiver.types, 15)
        headers, body = receiver.got[-1]
        for secret in (hook["secret"], fresh):
            assert verify_webhook(secret, headers, body)["type"] == "webhook.test"
        with pytest.raises(NotVerified):
            verify_webhook(fresh, headers, body + b" ")
    finally:
        receiver.close()
        mailmux.webhooks.delete(hook["id"])


def test_a_list_goes_on_beyond_its_first_page(mailmux: Mailmux):
    tag = uuid4().hex
    done = mailmux.emails.send_batch(
        [{"to": [f"user{n}@example.com"]} for n in range(130)] + [{"to": ["nobody"]}],
        defaults={"from": "shop@client.example", "subject": "s", "text": "t", "tags": [tag],
                  "send_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
        permissive=True,
    )  # fmt: skip
    assert (done["accepted"], done["rejected"]) == (130, 1)
    assert len({email["id"] for email in mailmux.emails.list(tag=tag)}) == 130
    assert mailmux.emails.cancel_many(tag=tag)["cancelled"] == 130


def test_somebody_is_added_signs_in_and_out(mailmux: Mailmux, service: Service):
    email, password = f"{uuid4().hex}@client.example", "correct horse battery staple"
    user = mailmux.users.create(email=email)
    token = mailmux.users.password_link(user["id"])["token"]
    with session() as kept:
        set_password(service.api_url, token, password, session=kept)
        person = sign_in(service.api_url, email, password, session=kept)
        key = person.keys.create(scopes=["emails:read"], name="mine")
        assert next(person.keys.list())["id"] == key["id"]
        with pytest.raises(MailmuxError) as refused:
            list(person.users.list())
        assert (refused.value.status, refused.value.type) == (403, "/problems/missing-scope")
        person.sign_out()
        with pytest.raises(MailmuxError) as gone:
            list(person.keys.list())
        assert gone.value.status == 401


def test_things_are_made_shown_changed_and_taken_away(mailmux: Mailmux):
    name = f"t-{uuid4().hex[:8]}"
    template = mailmux.templates.create(name=name, subject="Hi {{ name }}", text="x")
    assert mailmux.templates.preview(template["id"], {"name": "Ada"})["subject"] == "Hi Ada"
    campaign = mailmux.campaigns.create(name=name, per_minute=60)
    assert mailmux.campaigns.pause(campaign["id"])["status"] == "paused"
    file = mailmux.attachments.upload(io.BytesIO(b"x"), "a.txt", "text/plain")
    assert file["size"] == 1
    assert mailmux.suppressions.create(entries=[{"address": f"{name}@example.com"}])["added"] == 1
    [entry] = mailmux.suppressions.list(address=f"{name}@example.com")
    with pytest.raises(MailmuxError) as refused:
        mailmux.budgets.create(amount="x", period="year")
    assert {error.where for error in refused.value.errors} == {"/amount", "/period"}
    for things, id_ in ((mailmux.templates, template["id"]), (mailmux.campaigns, campaign["id"]),
                        (mailmux.attachments, file["id"]), (mailmux.suppressions, entry["id"])):  # fmt: skip
        things.delete(id_)
        with pytest.raises(MailmuxError) as gone:
            things.get(id_)
        assert gone.value.status == 404
    assert next(mailmux.audit_log())["action"].startswith("DELETE")
