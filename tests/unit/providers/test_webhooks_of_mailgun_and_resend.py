"""What the recorded calls of Mailgun and Resend do not show: forgery, replay, rotation, and events that are rare."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from domain.events import BounceClass, EventType, Forged, RejectReason, Unreadable, WebhookRequest
from providers import mailgun_webhook, registry, resend_webhook
from providers.registry import InvalidSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ATTEMPT = UUID("01933b6e-0000-7000-8000-000000000001")


# -- Mailgun ------------------------------------------------------------------------------------------------


def mailgun(*keys: str) -> mailgun_webhook.Webhook:
    return mailgun_webhook.Webhook(
        registry.webhook_secrets("mailgun", [{"signing_key": k} for k in (keys or ("key",))])  # type: ignore[arg-type]
    )


def from_mailgun(
    data: Any = None, key: str = "key", at: datetime = NOW, token: str = "t" * 50
) -> WebhookRequest:
    stamp = str(int(at.timestamp()))
    signature = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    body = {
        "signature": {"timestamp": stamp, "token": token, "signature": signature},
        "event-data": data or {},
    }
    return WebhookRequest(
        "https://m.example", {"content-type": "application/json"}, json.dumps(body).encode()
    )


def test_mailguns_token_may_be_used_once() -> None:
    assert mailgun().verify(from_mailgun(), NOW).nonce == "t" * 50


@pytest.mark.parametrize("token", ["", "\0", "a b", "t" * 201])
def test_a_signed_token_that_is_none_of_mailguns_proves_nothing(token: str) -> None:
    with pytest.raises(Forged):
        mailgun().verify(from_mailgun(token=token), NOW)


def test_either_key_proves_a_call_while_they_rotate() -> None:
    both = mailgun("old", "new")
    both.verify(from_mailgun(key="old"), NOW)
    both.verify(from_mailgun(key="new"), NOW)
    with pytest.raises(Forged):
        both.verify(from_mailgun(key="another"), NOW)
    with pytest.raises(Forged):
        mailgun_webhook.Webhook([]).verify(from_mailgun(), NOW)


def test_a_call_that_mailgun_repeats_for_eight_hours_is_taken() -> None:
    assert mailgun().verify(from_mailgun(at=NOW - timedelta(hours=8)), NOW).nonce


@pytest.mark.parametrize("seconds", [-9 * 3600 - 1, 301])
def test_mailguns_signature_holds_no_longer_than_its_repeats(seconds: int) -> None:
    with pytest.raises(Forged):
        mailgun().verify(from_mailgun(at=NOW + timedelta(seconds=seconds)), NOW)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"signature":5}', b'{"signature":{"token":"t"}}', b"[" * 100_000, b"\xff"]
)
def test_a_call_without_mailguns_signature_is_forged(body: bytes) -> None:
    with pytest.raises(Forged):
        mailgun().verify(WebhookRequest("https://m.example", {"content-type": "application/json"}, body), NOW)


@pytest.mark.parametrize(
    ("data", "kind", "reason", "bounce"),
    [
        ({"event": "failed", "severity": "permanent", "reason": "bounce", "delivery-status": {"code": 550}},
         EventType.BOUNCED, RejectReason.BOUNCED, BounceClass.HARD),
        ({"event": "failed", "severity": "permanent", "reason": "old", "delivery-status": {"code": 499}},
         EventType.BOUNCED, RejectReason.TIMED_OUT, BounceClass.SOFT),
        ({"event": "failed", "severity": "temporary", "delivery-status": {"code": 450}},
         EventType.DEFERRED, RejectReason.OTHER, None),
        ({"event": "failed", "severity": "permanent", "reason": "suppress-bounce", "delivery-status": {"code": 605}},
         EventType.REJECTED, RejectReason.BOUNCED, None),
        ({"event": "failed", "severity": "permanent", "delivery-status": {"code": 606}},
         EventType.REJECTED, RejectReason.UNSUBSCRIBED, None),
        ({"event": "failed", "severity": "permanent", "delivery-status": {"code": "607"}},
         EventType.REJECTED, RejectReason.SPAM, None),
        ({"event": "failed", "severity": "permanent", "delivery-status": {"code": 625}},
         EventType.REJECTED, RejectReason.BLOCKED, None),
        ({"event": "complained"}, EventType.COMPLAINED, None, None),
        ({"event": "accepted"}, EventType.QUEUED, None, None),
        ({"event": "stored"}, EventType.UNKNOWN, None, None),
        ({}, EventType.UNKNOWN, None, None),
    ],
)  # fmt: skip
def test_mailguns_events_have_their_words(
    data: dict[str, Any], kind: EventType, reason: RejectReason | None, bounce: BounceClass | None
) -> None:
    (event,) = (e.event for e in mailgun().parse(from_mailgun(data)).events)
    assert (event.type, event.reject_reason, event.bounce) == (kind, reason, bounce)


def test_mailguns_event_finds_its_attempt() -> None:
    variables = {"mailmux_attempt": str(ATTEMPT), "mailmux_email": "x", "order": "17"}
    data = {"event": "delivered", "id": "e-1", "recipient": "ada@example.com", "user-variables": variables}
    (found,) = mailgun().parse(from_mailgun(data)).events
    assert (found.event.attempt_id, found.event.metadata, found.event.event_id) == (
        ATTEMPT,
        {"order": "17"},
        "e-1",
    )
    again = mailgun().parse(from_mailgun(data, token="u" * 50)).events[0]
    assert again.key == found.key


def test_mailguns_old_form_comes_urlencoded_as_well() -> None:
    stamp, token = str(int(NOW.timestamp())), "t" * 50
    signature = hmac.new(b"key", f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    fields = {"event": "delivered", "recipient": "ada@example.com", "Message-Id": "<m@x>", "timestamp": stamp}
    body = urlencode(
        {**fields, "token": token, "signature": signature, "mailmux_attempt": str(ATTEMPT)}
    ).encode()
    request = WebhookRequest("https://m.example", {"content-type": "application/x-www-form-urlencoded"}, body)
    mailgun().verify(request, NOW)
    (found,) = mailgun().parse(request).events
    assert (found.event.type, found.event.attempt_id, found.event.provider_message_id) == (
        EventType.DELIVERED,
        ATTEMPT,
        "<m@x>",
    )


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_body_of_another_kind_is_unreadable(kind: str) -> None:
    request = WebhookRequest("https://m.example", {"content-type": kind}, b"event=delivered")
    with pytest.raises(Unreadable):
        mailgun().parse(request)
    with pytest.raises(Forged):
        mailgun().verify(request, NOW)


# -- Resend -------------------------------------------------------------------------------------------------

SECRET = "whsec_" + b64encode(b"secret").decode()


def resend(*secrets: str) -> resend_webhook.Webhook:
    return resend_webhook.Webhook(
        registry.webhook_secrets("resend", [{"signing_secret": s} for s in (secrets or (SECRET,))])  # type: ignore[arg-type]
    )


def from_resend(
    kind: str,
    data: Any,
    key: bytes = b"secret",
    at: datetime = NOW,
    before: str = "",
    message_id: str = "msg_1",
) -> WebhookRequest:
    body = json.dumps({"type": kind, "created_at": "2026-11-23T11:59:59.123Z", "data": data}).encode()
    stamp = str(int(at.timestamp()))
    signature = b64encode(hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, "sha256")).decode()
    headers = {"svix-id": message_id, "svix-timestamp": stamp, "svix-signature": f"{before}v1,{signature}"}
    return WebhookRequest("https://m.example", headers, body)


def test_one_of_several_signatures_is_enough() -> None:
    resend().verify(from_resend("email.sent", {}, before="v1,AAAA v2,BBBB "), NOW)
    resend("whsec_" + b64encode(b"new").decode(), SECRET).verify(from_resend("email.sent", {}), NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_resends_signature_holds_five_minutes(seconds: int) -> None:
    with pytest.raises(Forged):
        resend().verify(from_resend("email.sent", {}, at=NOW + timedelta(seconds=seconds)), NOW)


def test_what_resend_signed_cannot_be_changed() -> None:
    good = from_resend("email.sent", {})
    changed = [
        WebhookRequest(good.url, good.headers, good.body + b" "),
        WebhookRequest(good.url, {**good.headers, "svix-id": "msg_2"}, good.body),
        WebhookRequest(
            good.url, {**good.headers, "svix-timestamp": str(int(NOW.timestamp()) + 1)}, good.body
        ),
        WebhookRequest(good.url, {**good.headers, "svix-signature": ""}, good.body),
        WebhookRequest(
            good.url, {**good.headers, "svix-signature": good.headers["svix-signature"][3:]}, good.body
        ),
        WebhookRequest(good.url, {}, good.body),
        from_resend("email.sent", {}, key=b"another"),
    ]
    for request in changed:
        with pytest.raises(Forged):
            resend().verify(request, NOW)


@pytest.mark.parametrize("secret", ["whsec_not base64", "whsec_a", "ключ"])
def test_a_secret_that_is_none_is_refused_when_it_is_set(secret: str) -> None:
    with pytest.raises(InvalidSettings, match=r"secrets\.0\.signing_secret"):
        registry.webhook_secrets("resend", [{"signing_secret": secret}])


@pytest.mark.parametrize(
    ("kind", "data", "event", "reason", "bounce"),
    [
        ("email.bounced", {"bounce": {"type": "Permanent", "message": "gone"}},
         EventType.BOUNCED, RejectReason.BOUNCED, BounceClass.HARD),
        ("email.bounced", {"bounce": {"type": "Transient"}}, EventType.BOUNCED, RejectReason.BOUNCED, BounceClass.SOFT),
        ("email.suppressed", {"suppressed": {"reason": "previous_bounce"}},
         EventType.REJECTED, RejectReason.BOUNCED, None),
        ("email.suppressed", {"suppressed": {"reason": "previous_complaint"}},
         EventType.REJECTED, RejectReason.SPAM, None),
        ("email.suppressed", {}, EventType.REJECTED, RejectReason.BLOCKED, None),
        ("email.failed", {"failed": {"reason": "reached_daily_quota"}}, EventType.FAILED, RejectReason.OTHER, None),
        ("email.scheduled", {}, EventType.QUEUED, None, None),
        ("email.received", {}, EventType.UNKNOWN, None, None),
        ("domain.updated", {}, EventType.UNKNOWN, None, None),
    ],
)  # fmt: skip
def test_resends_events_have_their_words(
    kind: str, data: Any, event: EventType, reason: RejectReason | None, bounce: BounceClass | None
) -> None:
    (found,) = (e.event for e in resend().parse(from_resend(kind, data)).events)
    assert (found.type, found.reject_reason, found.bounce) == (event, reason, bounce)


@pytest.mark.parametrize(
    "tags",
    [
        {"mailmux_attempt": str(ATTEMPT), "order": "17"},
        [{"name": "mailmux_attempt", "value": str(ATTEMPT)}, {"name": "order", "value": "17"}],
    ],
)
def test_resends_event_finds_its_attempt(tags: Any) -> None:
    answers = {"type": "Permanent", "diagnosticCode": ["smtp; 550 5.1.1 user unknown"]}
    data = {"email_id": "re-1", "to": ["ada@example.com"], "tags": tags, "bounce": answers}
    (found,) = (e.event for e in resend().parse(from_resend("email.bounced", data)).events)
    assert (found.attempt_id, found.metadata, found.provider_message_id) == (ATTEMPT, {"order": "17"}, "re-1")
    assert (found.recipient, found.status_code, found.mta_response) == (
        "ada@example.com",
        "5.1.1",
        "smtp; 550 5.1.1 user unknown",
    )


@pytest.mark.parametrize("more", [{"to": ["a@example.com", "b@example.com"]}, {"cc": ["c@example.com"]}])
def test_which_of_several_recipients_resend_means_is_not_known(more: dict[str, list[str]]) -> None:
    data = {"to": ["a@example.com"], **more}
    (found,) = (e.event for e in resend().parse(from_resend("email.delivered", data)).events)
    assert found.recipient is None


@pytest.mark.parametrize("body", [b"", b"5", b"[5]", b'{"data":[5]}', b"{"])
def test_what_is_no_event_of_resends_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        resend().parse(WebhookRequest("https://m.example", {}, body))
