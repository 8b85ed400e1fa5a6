"""Providers' webhooks in: proved on the raw body, stored once, answered at once."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from werkzeug.test import TestResponse

from api.hooks import _MOST, LARGEST_CALL, Accounts
from tests.integration.api.world import Caller, World, fields
from wiring.bootstrap import new_id

BASIC = {"username": "hook", "password": "s3cret"}


def basic(username: str = "hook", password: str = "s3cret") -> dict[str, str]:
    given = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {given}", "Content-Type": "application/json"}


def hook(owner: Caller, provider: UUID, *secrets: dict[str, str], **more: Any) -> str:
    """Set the webhook up; its path."""
    answer = owner.put(f"/v1/providers/{provider}/webhook", {"secrets": list(secrets) or [BASIC], **more})
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["url"]).removeprefix("http://localhost")


def call(world: World, path: str, body: Any, headers: dict[str, str] | None = None) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return world.app.test_client().post(path, data=data, headers=headers or basic())


def stored(world: World, provider: UUID) -> list[Any]:
    return list(world.sql("SELECT * FROM inbound_events WHERE provider_id = :id ORDER BY id", id=provider))


@pytest.fixture
def provider(member: Caller) -> UUID:
    return member.provider(f"hooked-{new_id()}")


def test_a_call_is_stored_as_it_came_and_a_repeat_is_not(
    world: World, member: Caller, provider: UUID
) -> None:
    path, attempt = hook(member, provider), new_id()
    event = {
        "event": "bounced",
        "bounce": "hard",
        "id": "e-1",
        "attempt": str(attempt),
        "recipient": "a@b.example",
    }
    assert call(world, path, event).status_code == 200
    again = call(world, path, json.dumps(dict(reversed(event.items())), indent=1).encode())
    assert again.status_code == 200
    (row,) = stored(world, provider)
    assert json.loads(row.raw) == event
    assert (row.state, row.attempt_id) == ("waiting", attempt)
    assert (row.event["type"], row.event["bounce"], row.event["recipient"]) == (
        "bounced",
        "hard",
        "a@b.example",
    )


def test_events_without_an_id_are_told_apart_by_what_they_say(
    world: World, member: Caller, provider: UUID
) -> None:
    path = hook(member, provider)
    for recipient in ("a@b.example", "c@d.example", "a@b.example"):
        call(world, path, [{"event": "delivered", "message_id": "m", "recipient": recipient}])
    assert len(stored(world, provider)) == 2


def test_an_unknown_message_is_no_error(world: World, member: Caller, provider: UUID) -> None:
    assert (
        call(world, hook(member, provider), {"event": "delivered", "message_id": "nobody's"}).status_code
        == 200
    )


def test_an_empty_list_is_a_valid_call(world: World, member: Caller, provider: UUID) -> None:
    assert call(world, hook(member, provider), []).status_code == 200
    assert stored(world, provider) == []


@pytest.mark.parametrize(
    "headers",
    [
        basic(password="wrong"),
        basic(username="other"),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer x"},
        {"X": "1"},
    ],
)
def test_a_forged_call_is_refused_and_leaves_nothing(
    world: World, member: Caller, provider: UUID, headers: dict[str, str]
) -> None:
    answer = call(world, hook(member, provider), {"event": "delivered"}, headers)
    assert (answer.status_code, answer.get_json()["type"]) == (401, "/problems/forged")
    assert stored(world, provider) == []


@pytest.mark.parametrize("body", [b"{", b"[[]]", b"[1]", b"\xff", b"[" * 100_000, b'"x"'])
def test_what_is_not_in_the_documented_form_is_said_so(
    world: World, member: Caller, provider: UUID, body: bytes
) -> None:
    assert call(world, hook(member, provider), body).status_code == 400
    assert stored(world, provider) == []


def test_a_call_that_is_too_large_is_not_read(world: World, member: Caller, provider: UUID) -> None:
    assert call(world, hook(member, provider), b" " * (LARGEST_CALL + 1)).status_code == 413


def test_the_token_is_part_of_the_address(world: World, member: Caller, provider: UUID) -> None:
    path = hook(member, provider)
    wrong = [
        path[:-1] + ("A" if path[-1] != "A" else "B"),
        path.replace("/memory/", "/sendgrid/"),
        path.replace(str(provider), str(new_id())),
    ]
    assert [call(world, p, []).status_code for p in wrong] == [404] * 3
    moved = hook(member, provider, new_address=True)
    assert moved != path
    world.deps.clock.sleep(1)
    assert (call(world, moved, []).status_code, call(world, path, []).status_code) == (200, 404)


def test_a_provider_that_only_looks_is_greeted(world: World, member: Caller, provider: UUID) -> None:
    path = hook(member, provider)
    client = world.app.test_client()
    assert (client.head(path).status_code, client.get(path).status_code) == (200, 200)
    assert client.head(path[:-3]).status_code == 404


def test_secrets_rotate_without_a_gap(world: World, member: Caller, provider: UUID) -> None:
    new = {"username": "hook", "password": "n3w"}
    path = hook(member, provider)
    assert call(world, path, []).status_code == 200
    assert hook(member, provider, BASIC, new) == path
    world.deps.clock.sleep(1)
    assert call(world, path, [], basic(password="n3w")).status_code == 200, "the new one counts at once"
    assert call(world, path, []).status_code == 200
    hook(member, provider, new)
    world.deps.clock.sleep(6)
    assert call(world, path, []).status_code == 401
    assert call(world, path, [], basic(password="n3w")).status_code == 200


def test_a_webhook_can_be_taken_away(world: World, member: Caller, provider: UUID) -> None:
    path = hook(member, provider)
    assert member.get(f"/v1/providers/{provider}/webhook").get_json()["secrets"] == 1
    assert member.delete(f"/v1/providers/{provider}/webhook").status_code == 204
    assert member.get(f"/v1/providers/{provider}/webhook").get_json() == {"url": None, "secrets": 0}
    assert call(world, path, []).status_code == 404


def test_secrets_are_checked_and_sealed(world: World, member: Caller, provider: UUID) -> None:
    path = f"/v1/providers/{provider}/webhook"
    wrong = member.put(path, {"secrets": [{"username": "u"}, {"password": "p", "key": "k"}]})
    assert wrong.status_code == 422
    assert fields(wrong) == {"/secrets/0", "/secrets/1/key"}
    assert member.put(path, {"secrets": []}).status_code == 422
    hook(member, provider)
    (row,) = world.sql("SELECT webhook, api_key FROM providers WHERE id = :id", id=provider)
    assert "s3cret" not in row.webhook
    world.sql("UPDATE providers SET webhook = api_key WHERE id = :id", id=provider)
    assert member.get(path).status_code == 409, "credentials do not open as a webhook's secrets"


def test_sendgrids_signature_covers_the_raw_body_and_the_time(world: World, member: Caller) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = base64.b64encode(
        key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).decode()
    sendgrid = member.provider("sg", kind="sendgrid", credentials={"api_key": "SG.x"})
    path = hook(member, sendgrid, {"verification_key": public})
    body = b'[{"event": "delivered",  "sg_event_id": "e1", "email": "a@b.example", "timestamp": 1}]'
    now = int(world.sql("SELECT EXTRACT(epoch FROM mm_now())")[0][0])

    def signed(at: int, content: bytes = body) -> dict[str, str]:
        signature = base64.b64encode(key.sign(str(at).encode() + content, ec.ECDSA(hashes.SHA256()))).decode()
        name = "X-Twilio-Email-Event-Webhook"
        return {f"{name}-Timestamp": str(at), f"{name}-Signature": signature}

    other = body.replace(b"delivered", b"bounced")
    refused = [
        call(world, path, other, signed(now)),
        call(world, path, body, signed(now, other)),
        call(world, path, body, {**signed(now), "X-Twilio-Email-Event-Webhook-Timestamp": str(now + 1)}),
        call(world, path, body, signed(now - 26 * 3600)),
        call(world, path, body, signed(now + 3600)),
        call(world, path, body, {}),
    ]
    assert [answer.status_code for answer in refused] == [401] * 6
    assert stored(world, sendgrid) == []
    assert call(world, path, body, signed(now - 23 * 3600)).status_code == 200
    assert call(world, path, body, signed(now)).status_code == 200
    assert len(stored(world, sendgrid)) == 1


def test_mailguns_token_counts_once(world: World, member: Caller) -> None:
    mailgun = member.provider("mg", kind="mailgun", credentials={"api_key": "k"})
    path = hook(member, mailgun, {"signing_key": "signing"})
    now = str(int(world.sql("SELECT EXTRACT(epoch FROM mm_now())")[0][0]))
    token = "t" * 50
    signature = hmac.new(b"signing", (now + token).encode(), "sha256").hexdigest()

    def told(kind: str) -> dict[str, Any]:
        data = {"event": kind, "id": kind, "recipient": "a@b.example", "timestamp": float(now)}
        return {"signature": {"timestamp": now, "token": token, "signature": signature}, "event-data": data}

    assert call(world, path, told("delivered"), {"Content-Type": "application/json"}).status_code == 200
    assert call(world, path, told("delivered"), {"Content-Type": "application/json"}).status_code == 200
    assert call(world, path, told("complained"), {"Content-Type": "application/json"}).status_code == 401
    assert len(stored(world, mailgun)) == 1


def test_without_the_database_the_provider_is_asked_to_call_again(
    world: World, member: Caller, provider: UUID
) -> None:
    path = hook(member, provider)
    call(world, path, [])
    with world.locked("inbound_events"):
        assert call(world, path, {"event": "delivered"}).status_code == 503
    assert call(world, path, {"event": "delivered"}).status_code == 200


def test_what_no_kind_is_called_is_not_found(world: World) -> None:
    for kind in ("%00", "post%00mark", "%C3%A9", "%0A"):
        assert world.app.test_client().post(f"/hooks/{kind}/{new_id()}/x", json={}).status_code == 404


def test_where_the_secrets_do_not_open_the_provider_is_asked_to_call_again(
    world: World, member: Caller, provider: UUID
) -> None:
    """A 404 is final to some providers; a key that is missing may come back."""
    path = hook(member, provider)
    (row,) = world.sql("SELECT webhook FROM providers WHERE id = :id", id=provider)
    world.sql(
        'UPDATE providers SET webhook = replace(webhook, \'"key_id":"\', \'"key_id":"x\') WHERE id = :id',
        id=provider,
    )
    answer = call(world, path, [])
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    world.sql("UPDATE providers SET webhook = :sealed WHERE id = :id", sealed=row.webhook, id=provider)
    assert call(world, path, []).status_code == 200


def test_an_account_that_was_deleted_is_told_of_what_it_sent_for_thirty_days(
    world: World, member: Caller, provider: UUID
) -> None:
    path = hook(member, provider)
    assert member.delete(f"/v1/providers/{provider}").status_code == 204
    assert call(world, path, {"event": "bounced", "message_id": "m"}).status_code == 200
    assert len(stored(world, provider)) == 1
    world.sql("UPDATE providers SET deleted_at = deleted_at - interval '30 days' WHERE id = :id", id=provider)
    world.deps.clock.sleep(6)
    assert call(world, path, []).status_code == 404


def test_made_up_addresses_keep_nobody_waiting_and_push_nobody_out(
    world: World, member: Caller, provider: UUID
) -> None:
    hook(member, provider)
    reads: list[UUID] = []
    stuck, going_on = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, unit: Any) -> None:
            self.unit = unit

        def receiver(self, kind: str, id: UUID) -> Any:
            reads.append(id)
            if id == made_up[0]:
                stuck.set()
                assert going_on.wait(10)
            return self.unit.receiver(kind, id)

    @contextmanager
    def units() -> Iterator[Any]:
        with world.deps.units() as unit:
            yield SimpleNamespace(inbound=Slow(unit.inbound))

    accounts = Accounts(replace(world.deps, units=units))  # type: ignore[arg-type]
    made_up = [new_id() for _ in range(_MOST + 2)]
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(accounts.find, "memory", made_up[0])
        assert stuck.wait(10)
        known = accounts.find("memory", provider)
        assert known is not None, "while another address is looked for"
        going_on.set()
        assert waiting.result(10) is None
    for address in made_up[1:]:
        assert accounts.find("memory", address) is None
    before = len(reads)
    assert accounts.find("memory", provider) is known
    assert len(reads) == before


def test_many_calls_for_one_account_read_it_once_and_an_unchanged_row_keeps_its_receiver(
    world: World, member: Caller, provider: UUID
) -> None:
    hook(member, provider)
    reads: list[int] = []

    @contextmanager
    def units() -> Iterator[Any]:
        reads.append(1)
        time.sleep(0.05)
        with world.deps.units() as unit:
            yield unit

    accounts = Accounts(replace(world.deps, units=units))  # type: ignore[arg-type]
    first = accounts.find("memory", provider)
    assert first is not None
    world.deps.clock.sleep(6)
    with ThreadPoolExecutor(8) as crowd:
        found = list(crowd.map(lambda _: accounts.find("memory", provider), range(8)))
    assert len(reads) == 2
    assert all(again is found[0] for again in found)
    assert found[0] is not None
    assert found[0] is not first, "its time is another"
    assert found[0].receiver is first.receiver, "with the certificates that it has fetched"
    hook(member, provider, new_address=True)
    world.deps.clock.sleep(6)
    changed = accounts.find("memory", provider)
    assert changed is not None
    assert changed.receiver is not first.receiver
