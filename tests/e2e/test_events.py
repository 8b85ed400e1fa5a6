"""What providers tell later, on the real stack: the sandbox calls the webhooks back, workers apply the events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from tests.e2e.client import Service, until

SENDGRID, NEXT, POSTMARK = "sandbox-sendgrid", "sandbox-sendgrid-eu", "sandbox-postmark"


def magic(story: str) -> str:
    return f"{story}+{uuid4().hex[:10]}@example.com"


def told(service: Service, email_id: str, kind: str, seconds: float = 15) -> dict[str, Any]:
    """The email, once an event of this kind is applied."""
    until(
        lambda: kind in [e["type"] for e in service.email(email_id)["events"]],
        seconds,
        lambda: service.email(email_id),
    )
    return service.email(email_id)


def again(service: Service, email_id: str, **how: Any) -> list[int]:
    """Have the provider tell all of it once more; the statuses of our answers."""
    (received,) = service.inbox(email_id)
    said = service.cli("sandbox", "tell", str(received["seq"]), "--json", *_options(how))
    statuses: list[int] = json.loads(said)["statuses"]
    return statuses


def _options(how: dict[str, Any]) -> list[str]:
    return [
        word
        for name, value in how.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]


@pytest.mark.parametrize("provider", [SENDGRID, POSTMARK])
@pytest.mark.parametrize(
    ("story", "kind", "status", "bounce"),
    [
        ("delivered", "delivered", "delivered", None),
        ("bounce-hard", "bounced", "bounced", "hard"),
        ("bounce-soft", "bounced", "bounced", "soft"),
        ("late-bounce", "bounced", "bounced", "hard"),
        ("complaint", "complained", "complained", None),
        ("deferred", "deferred", "sent", None),
        ("delayed", "delivered", "delivered", None),
    ],
)
def test_what_became_of_an_email_comes_back(
    service: Service, provider: str, story: str, kind: str, status: str, bounce: str | None
):
    to = magic(story)
    email_id = service.send(to=[to], routing={"pinned": [provider]})
    email = told(service, email_id, kind)
    until(lambda: service.email(email_id)["status"] == status, 10, lambda: service.email(email_id))
    email = service.email(email_id)
    (recipient,) = email["recipients"]
    assert (recipient["status"], recipient["bounce"]) == (status, bounce)
    (event,) = [e for e in email["events"] if e["type"] == kind]
    assert (event["recipient"], event["provider"]) == (to, provider)
    assert event["attempt_id"] == email["attempts"][0]["id"]
    assert kind in [line["event"] for line in email["timeline"]]
    if bounce == "hard":
        assert event["status_code"] == "5.1.1"


def test_a_webhook_that_comes_before_the_record_of_the_send_waits_for_it(service: Service):
    service.cli("sandbox", "fail", SENDGRID, "--mode", "slow", "--delay", "1.5")
    email_id = service.send(to=[magic("delivered")], routing={"pinned": [SENDGRID]})
    until(lambda: bool(service.inbox(email_id)))
    email = told(service, email_id, "delivered")
    assert email["status"] == "delivered"
    (attempt,) = email["attempts"]
    events = [e["received_at"] for e in email["events"]]
    assert all(at < attempt["settled_at"] for at in events), "the events came first"


@pytest.mark.parametrize("provider", [SENDGRID, POSTMARK])
def test_repeated_and_shuffled_events_change_nothing_and_forged_ones_are_refused(
    service: Service, provider: str
):
    email_id = service.send(to=[magic("late-bounce")], routing={"pinned": [provider]})
    for kind in ("delivered", "bounced"):  # two requests, whichever comes first
        told(service, email_id, kind)
    until(lambda: service.email(email_id)["status"] == "bounced")
    before = service.email(email_id)
    assert set(again(service, email_id, times=5, shuffle=True)) == {200}
    assert set(again(service, email_id, forged=True)) == {401}
    if provider == SENDGRID:
        assert set(again(service, email_id, age=30 * 3600)) == {401}, "signed too long ago"
    service.ended(service.send())
    assert service.email(email_id) == before


@pytest.mark.parametrize("provider", [SENDGRID, POSTMARK])
@pytest.mark.parametrize("mode", ["timeout", "drop", "garbage"])
def test_a_send_that_hung_is_settled_by_its_webhook(service: Service, provider: str, mode: str):
    service.fail(provider, mode)
    email_id = service.send(to=[magic("delivered")], routing={"pinned": [provider]})
    email = told(service, email_id, "delivered", 20)
    assert email["status"] == "delivered"
    (attempt,) = email["attempts"]
    assert attempt["outcome"] == "accepted"
    assert attempt["provider_message_id"] == service.inbox(email_id)[0]["message_id"]
    assert [line["status"] for line in email["timeline"]][:2] == ["queued", "unknown"]


@pytest.mark.parametrize("mode", ["timeout", "drop"])
def test_a_send_that_hung_is_settled_by_asking_where_no_webhook_comes(service: Service, mode: str):
    service.fail(POSTMARK, mode)
    email_id = service.send(to=[magic("untold-delivered")], routing={"pinned": [POSTMARK]})
    assert service.ended(email_id)["status"] == "unknown"
    service.heal()  # a provider that answers nothing at all cannot be asked either
    email = told(service, email_id, "delivered", 30)
    assert email["status"] == "delivered"
    (attempt,) = email["attempts"]
    (received,) = service.inbox(email_id)
    assert (attempt["outcome"], attempt["provider_message_id"]) == ("accepted", received["message_id"])
    assert [line["status"] for line in email["timeline"]][:2] == ["queued", "unknown"]


def test_a_send_that_hung_and_was_dropped_goes_through_the_next_provider(service: Service):
    service.fail(SENDGRID, "drop")
    email_id = service.send(to=[magic("dropped")], routing={"pinned": [SENDGRID, NEXT]})
    until(lambda: len(service.email(email_id)["attempts"]) == 2, 20, lambda: service.email(email_id))
    until(lambda: service.email(email_id)["attempts"][1]["outcome"] == "accepted")
    first, second = service.email(email_id)["attempts"]
    assert (first["outcome"], first["error"], second["provider"]) == ("not_sent", "rejected", NEXT)


def test_a_send_that_hung_to_a_refused_recipient_is_tried_nowhere_else(service: Service):
    service.fail(SENDGRID, "drop")
    email_id = service.send(to=[magic("dropped-listed")], routing={"pinned": [SENDGRID, NEXT]})
    until(lambda: service.email(email_id)["status"] == "failed", 20, lambda: service.email(email_id))
    assert [a["outcome"] for a in service.email(email_id)["attempts"]] == ["not_sent"]


def test_recipients_are_unresolved_where_the_provider_does_not_say_which_one(service: Service):
    quiet = [f"quiet-{uuid4().hex[:8]}@example.com" for _ in range(2)]
    email_id = service.send(to=quiet, routing={"pinned": [POSTMARK]})
    (attempt,) = service.ended(email_id)["attempts"]
    (account,) = [p for p in service.get("/v1/providers").json()["data"] if p["name"] == POSTMARK]
    address = service.get(f"/v1/providers/{account['id']}/webhook").json()["url"]
    file = json.loads((Path(service.data_dir) / "sandbox" / "accounts.json").read_text())
    (played,) = [a for a in file["accounts"] if a["name"] == POSTMARK]
    secret = played["webhook"]["secret"]
    event = {
        "RecordType": "Delivery", "MessageID": attempt["provider_message_id"], "ServerID": 1,
        "Recipient": "forwarded@elsewhere.example", "MessageStream": "outbound", "Tag": "", "Metadata": {},
        "DeliveredAt": datetime.now(UTC).isoformat(), "Details": "250 OK",
    }  # fmt: skip
    path = urlsplit(address).path
    told = requests.post(
        service.api_url + path, json=event, auth=(secret["username"], secret["password"]), timeout=10
    )
    assert told.status_code == 200, told.text
    until(lambda: service.email(email_id)["status"] == "delivered", 15, lambda: service.email(email_id))
    found = service.email(email_id)["recipients"]
    assert {r["email"]: r["status"] for r in found} == dict.fromkeys(quiet, "unresolved")


def test_each_recipient_has_a_status_of_its_own(service: Service):
    good, bad, quiet = magic("delivered"), magic("bounce-hard"), f"quiet-{uuid4().hex[:8]}@example.com"
    email_id = service.send(to=[good], cc=[bad, quiet], routing={"pinned": [SENDGRID]})
    told(service, email_id, "bounced")
    told(service, email_id, "delivered")
    email = service.email(email_id)
    found = {r["email"]: r["status"] for r in email["recipients"]}
    assert found == {good: "delivered", bad: "bounced", quiet: "sent"}
    assert email["status"] == "bounced"
