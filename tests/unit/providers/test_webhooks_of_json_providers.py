"""Webhooks of Brevo, SparkPost, Mailjet, MailerSend and Mailtrap: proofs, forms, and what is no such thing."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import (
    BounceClass,
    DeliveryEvent,
    EventType,
    Forged,
    RejectReason,
    Unreadable,
    WebhookRequest,
)
from domain.ports import WebhookReceiver
from providers import registry
from providers.webhooks import LONGEST_WORDS
from tests.contract.emails import a_world
from tests.contract.json_providers import CREDENTIALS

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ATTEMPT = "0197b2c4-0000-7000-8000-000000000001"
OURS = {"mailmux_attempt": ATTEMPT, "mailmux_email": ATTEMPT, "order": "17"}
BASIC = {"username": "hook", "password": "correct-horse"}
SIGNING = {"signing_secret": "battery-staple"}
SIGNATURES = {"mailersend": "signature", "mailtrap": "mailtrap-signature"}
UNSIGNED = ("brevo", "mailjet", "sparkpost")


def receiver(kind: str, *secrets: dict[str, str], **config: Any) -> WebhookReceiver:
    parsed, _ = registry.validate(kind, config, CREDENTIALS[kind])
    given_ = secrets or ((SIGNING,) if kind in SIGNATURES else (BASIC,))
    built = registry.receiver(kind, f"the-{kind}", parsed, given_, a_world())
    assert built is not None
    return built


def call(body: Any, **headers: str) -> WebhookRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebhookRequest(
        "https://hooks.example/x", {n.replace("_", "-"): v for n, v in headers.items()}, raw
    )


def basic(username: str, password: str) -> str:
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


def event(kind: str, body: Any, **config: Any) -> DeliveryEvent:
    (found,) = receiver(kind, **config).parse(call(body)).events
    return found.event


# -- proofs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["brevo", "sparkpost"])
def test_a_token_proves_a_call_beside_credentials(kind: str) -> None:
    token = "a-token-of-some-length"
    webhook = receiver(kind, BASIC, {"token": token})
    webhook.verify(call([], authorization=f"Bearer {token}"), NOW)
    webhook.verify(call([], authorization=basic(**BASIC)), NOW)
    for wrong in ("Bearer", f"Bearer {token}x", f"Basic {token}", token, ""):
        with pytest.raises(Forged):
            webhook.verify(call([], authorization=wrong), NOW)


@pytest.mark.parametrize("kind", ["brevo", "sparkpost"])
@pytest.mark.parametrize("secret", [{}, {"token": "short"}, {**BASIC, "token": "a-token-of-some-length"}])
def test_either_a_token_or_credentials_are_given(kind: str, secret: dict[str, str]) -> None:
    with pytest.raises(registry.InvalidSettings):
        receiver(kind, secret)


@pytest.mark.parametrize("kind", UNSIGNED)
def test_credentials_prove_a_call_and_several_hold_while_they_rotate(kind: str) -> None:
    old, new = BASIC, {"username": "hook", "password": "another"}
    webhook = receiver(kind, old, new)
    for secret in (old, new):
        webhook.verify(call([], authorization=basic(**secret)), NOW)
    for wrong in (basic("hook", "guess"), basic("", ""), "Basic %%%", "Bearer x", ""):
        with pytest.raises(Forged):
            webhook.verify(call([], authorization=wrong), NOW)
    with pytest.raises(Forged):
        webhook.verify(call([]), NOW)


@pytest.mark.parametrize("kind", SIGNATURES)
def test_the_raw_body_is_signed_and_several_secrets_hold_while_they_rotate(kind: str) -> None:
    webhook = receiver(kind, {"signing_secret": "old"}, {"signing_secret": "new"})
    body = b'{"events": [ ]}'

    def signed(key: bytes, text: bytes = body) -> WebhookRequest:
        return WebhookRequest(
            "https://x", {SIGNATURES[kind]: hmac.new(key, text, "sha256").hexdigest()}, body
        )

    webhook.verify(signed(b"old"), NOW)
    webhook.verify(signed(b"new"), NOW)
    for wrong in (signed(b"guess"), signed(b"old", b'{"events":[]}'), call(body), call(body, signature="é")):
        with pytest.raises(Forged):
            webhook.verify(wrong, NOW)


@pytest.mark.parametrize("kind", SIGNATURES)
def test_credentials_beside_a_signature_have_to_be_right_as_well(kind: str) -> None:
    webhook = receiver(kind, {**SIGNING, **BASIC})
    headers = {SIGNATURES[kind]: hmac.new(b"battery-staple", b"{}", "sha256").hexdigest()}
    right = {"authorization": basic(**BASIC)}
    webhook.verify(WebhookRequest("https://x", {**headers, **right}, b"{}"), NOW)
    for some in (headers, right):
        with pytest.raises(Forged):
            webhook.verify(WebhookRequest("https://x", some, b"{}"), NOW)


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        *(
            (kind, secret)
            for kind in UNSIGNED
            for secret in ({}, {"username": "hook"}, {"password": "x"}, SIGNING)
        ),
        ("mailersend", {}),
        ("mailersend", BASIC),
        ("mailtrap", {}),
        ("mailtrap", {"signing_secret": ""}),
    ],
)
def test_a_secret_that_proves_nothing_is_refused(kind: str, secret: dict[str, str]) -> None:
    with pytest.raises(registry.InvalidSettings):
        receiver(kind, secret)


# -- forms ---------------------------------------------------------------------------------------------------


def test_brevo_tells_the_time_in_milliseconds_and_our_ids_within_a_header() -> None:
    found = event(
        "brevo",
        {
            "event": "hard_bounce", "email": "a@b.example", "ts_epoch": 1520363423000, "message-id": "<1@x>",
            "reason": "550 5.1.1 user unknown", "X-Mailin-custom": json.dumps(OURS), "tag": "one",
        },
    )  # fmt: skip
    assert (found.type, found.bounce, found.status_code) == (EventType.BOUNCED, BounceClass.HARD, "5.1.1")
    assert found.occurred_at == datetime(2018, 3, 6, 19, 10, 23, tzinfo=UTC)
    assert (str(found.attempt_id), found.metadata, found.tags) == (ATTEMPT, {"order": "17"}, ("one",))


def test_sparkpost_sends_batches_whose_events_have_ids() -> None:
    def one(number: int, **more: Any) -> dict[str, Any]:
        return {
            "msys": {
                "message_event": {"type": "delivery", "event_id": str(number), "rcpt_meta": OURS, **more}
            }
        }

    notice = receiver("sparkpost").parse(call([one(1), {"msys": {}}, one(2), one(1)]))
    assert [e.key.split(":")[0] for e in notice.events] == ["1", "2", "1"]
    assert len({e.key for e in notice.events}) == 2
    assert all(str(e.event.attempt_id) == ATTEMPT for e in notice.events)


@pytest.mark.parametrize(
    ("bounce_class", "kind", "bounce"),
    [
        ("10", EventType.BOUNCED, BounceClass.HARD),
        ("30", EventType.BOUNCED, BounceClass.HARD),
        ("22", EventType.BOUNCED, BounceClass.SOFT),
        ("51", EventType.BOUNCED, BounceClass.SOFT),
        ("60", EventType.AUTORESPONDED, None),
        ("90", EventType.UNSUBSCRIBED, None),
        ("777", EventType.BOUNCED, None),
    ],
)
def test_sparkposts_classes_tell_what_a_bounce_is(
    bounce_class: str, kind: EventType, bounce: BounceClass | None
) -> None:
    found = event(
        "sparkpost", [{"msys": {"message_event": {"type": "bounce", "bounce_class": bounce_class}}}]
    )
    assert (found.type, found.bounce) == (kind, bounce)


def test_sparkposts_initial_opens_count_where_the_account_says_so() -> None:
    body = [{"msys": {"track_event": {"type": "initial_open"}}}]
    assert event("sparkpost", body).type is EventType.UNKNOWN
    assert event("sparkpost", body, initial_opens=True).type is EventType.OPENED


def test_mailjet_sends_one_event_or_a_list() -> None:
    one = {"event": "sent", "time": 1498093527, "MessageID": 12345678901234567, "Payload": json.dumps(OURS)}
    single, grouped = (
        receiver("mailjet").parse(call(body)).events for body in (one, [one, {**one, "time": 1}])
    )
    assert len(single) == 1
    assert len(grouped) == 2
    assert single[0].event.provider_message_id == "12345678901234567"
    assert str(single[0].event.attempt_id) == ATTEMPT
    assert str(event("mailjet", {"event": "open", "CustomID": ATTEMPT}).attempt_id) == ATTEMPT


@pytest.mark.parametrize(
    ("fields", "kind", "bounce"),
    [
        ({"hard_bounce": True, "error": "user unknown"}, EventType.BOUNCED, BounceClass.HARD),
        ({"hard_bounce": False, "error": "quota exceeded"}, EventType.BOUNCED, BounceClass.SOFT),
        ({"hard_bounce": False, "error": "greylisted"}, EventType.DEFERRED, None),
    ],
)
def test_mailjets_bounces_are_hard_or_soft_or_no_bounces(
    fields: dict[str, Any], kind: EventType, bounce: BounceClass | None
) -> None:
    found = event("mailjet", {"event": "bounce", **fields})
    assert (found.type, found.bounce) == (kind, bounce)


def test_mailersend_tells_in_two_versions() -> None:
    tags = ["one", f"mailmux_attempt:{ATTEMPT}", f"mailmux_email:{ATTEMPT}"]
    second = event(
        "mailersend",
        {
            "type": "activity.hard_bounced", "created_at": "2026-11-23T10:00:00.000000Z",
            "data": {
                "id": "e1", "type": "hard_bounced", "recipient": "a@b.example", "message_id": "m1", "tags": tags,
                "meta": {"bounce_reason": "no such user", "bounce_code": "5.1.1"},
            },
        },
    )  # fmt: skip
    first = event(
        "mailersend",
        {
            "type": "activity.hard_bounced",
            "data": {
                "id": "e1", "type": "hard_bounced", "created_at": "2026-11-23T10:00:00.000000Z",
                "email": {"message": {"id": "m1"}, "recipient": {"email": "a@b.example"}, "tags": tags},
                "morph": {"object": "recipient_bounce", "reason": "no such user"},
            },
        },
    )  # fmt: skip
    for found in (first, second):
        assert (found.event_id, found.provider_message_id, found.recipient) == ("e1", "m1", "a@b.example")
        assert (str(found.attempt_id), found.tags) == (ATTEMPT, ("one",))
        assert (found.description, found.bounce) == ("no such user", BounceClass.HARD)
        assert found.occurred_at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert receiver("mailersend").parse(call({"type": "webhook.test"})).events == ()


def test_mailtrap_sends_a_list_or_lines() -> None:
    events = [{"event": "delivery", "event_id": str(n), "custom_variables": OURS} for n in range(3)]
    listed = receiver("mailtrap").parse(call({"events": events})).events
    lined = receiver("mailtrap").parse(call("\r\n".join(map(json.dumps, events)).encode() + b"\n")).events
    assert [e.key for e in listed] == [e.key for e in lined]
    assert len({e.key for e in listed}) == 3
    (alone,) = receiver("mailtrap").parse(call(events[0])).events
    assert alone.key == listed[0].key


def test_what_mailtrap_does_not_try_again_is_rejected_and_a_soft_bounce_is_a_bounce() -> None:
    assert event("mailtrap", {"events": [{"event": "suspension"}]}).type is EventType.REJECTED
    soft = event("mailtrap", {"events": [{"event": "soft bounce"}]})
    assert (soft.type, soft.bounce, soft.reject_reason) == (
        EventType.BOUNCED, BounceClass.SOFT, RejectReason.OTHER,
    )  # fmt: skip


# -- no such thing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"7", b'"x"', b"[1]", b"null", b"[" * 100_000])
def test_a_body_that_is_no_such_thing_is_unreadable(kind: str, body: bytes) -> None:
    try:
        found = receiver(kind).parse(call(body)).events
    except Unreadable:
        return
    assert found == ()  # nothing at all is no line of Mailtrap's


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "event", "type", "email", "ts_epoch", "X-Mailin-custom", "tags", "tag", "timestamp", "time", "data", "meta",
        "morph", "custom_variables", "Payload", "CustomID", "rcpt_meta", "bounce_class", "event_id", "message_id",
        "MessageID", "recipient", "error", "hard_bounce", "category", "reason", "created_at",
    ]
)  # fmt: skip


@pytest.mark.parametrize("kind", CREDENTIALS)
@given(item=st.dictionaries(FIELDS, JSON, max_size=8))
def test_fields_of_any_type_are_read_or_refused_and_nothing_else(kind: str, item: dict[str, Any]) -> None:
    body: Any = [{"msys": {"message_event": item}}] if kind == "sparkpost" else item
    try:
        notice = receiver(kind).parse(call(body))
    except Unreadable:
        return
    for found in notice.events:
        assert found.key
        assert isinstance(found.event.type, EventType)


def test_endless_words_of_a_provider_are_cut_and_the_raw_event_has_them_whole():
    words = "no such user " * 100_000
    said = {"event": "hard_bounce", "email": "ada@example.com", "reason": words, "message-id": "<m@x>"}
    (found,) = receiver("brevo").parse(call(said)).events
    assert found.event.mta_response == words[:LONGEST_WORDS]
    assert words in found.raw
