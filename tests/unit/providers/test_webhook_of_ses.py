"""Amazon SES's events: SNS's signature, the pinned topic, and one event for each recipient."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from domain.errors import ProviderUnavailable
from domain.events import BounceClass, EventType, Forged, RejectReason, Unreadable, WebhookRequest
from providers.ses_webhook import Webhook, WebhookSecret

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-events"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
ATTEMPT = UUID("01933b6e-0000-7000-8000-000000000001")

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(
    key: rsa.RSAPrivateKey = KEY, begins: datetime = NOW - timedelta(days=1), days: int = 30
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


PEM = certificate()


def an_envelope(message: Any = None, **changes: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": message if isinstance(message, str) else json.dumps(message or {}),
        "Timestamp": "2026-11-23T11:59:30.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
        **changes,
    }


def signed(envelope: dict[str, Any], key: rsa.RSAPrivateKey = KEY) -> WebhookRequest:
    """Written from Amazon's page: names in order, each name and value with a line end."""
    names = ["Message", "MessageId"]
    names += ["Subject"] if "Subject" in envelope and envelope["Type"] == "Notification" else []
    names += ["SubscribeURL"] if envelope["Type"] != "Notification" else []
    names += ["Timestamp"]
    names += ["Token"] if envelope["Type"] != "Notification" else []
    names += ["TopicArn", "Type"]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names)
    algorithm: hashes.HashAlgorithm = (
        hashes.SHA1() if envelope["SignatureVersion"] == "1" else hashes.SHA256()
    )
    signature = key.sign(text.encode(), padding.PKCS1v15(), algorithm)
    return call({**envelope, "Signature": b64encode(signature).decode()})


def call(envelope: Any) -> WebhookRequest:
    return WebhookRequest("https://m.example/hooks", {}, json.dumps(envelope).encode())


def webhook(fetch: Callable[[str], bytes] | None = None, *topics: str) -> Webhook:
    def fetch_it(url: str) -> bytes:
        assert url == CERTIFICATE
        return PEM

    return Webhook([WebhookSecret(topic_arn=t) for t in (topics or (TOPIC,))], fetch or fetch_it)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Subject": "Amazon SES Email Event Notification"},
        {
            "Type": "SubscriptionConfirmation",
            "Token": "t",
            "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?A=B",
        },
        {
            "Type": "UnsubscribeConfirmation",
            "Token": "t",
            "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?A=B",
        },
    ],
)
def test_what_amazon_signed_is_taken(version: str, more: dict[str, str]) -> None:
    webhook().verify(signed(an_envelope(SignatureVersion=version, **more)), NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "{}x"},
        {"MessageId": "another"},
        {"Subject": "one that was not signed"},
        {"Type": "SubscriptionConfirmation"},
        {"Type": "Surprise"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"Signature": "AAAA"},
        {"Signature": "!"},
        {"Signature": None},
        {"Timestamp": "2026-11-23T11:59:31.000Z"},
        {"Timestamp": None},
        {"TopicArn": TOPIC + "-of-somebody"},
    ],
)
def test_what_was_changed_afterwards_is_forged(change: dict[str, Any]) -> None:
    envelope = json.loads(signed(an_envelope()).body)
    with pytest.raises(Forged):
        webhook().verify(call({**envelope, **change}), NOW)


def test_a_topic_of_somebody_else_is_forged_though_amazon_signed_it() -> None:
    other = TOPIC.replace("123456789012", "210987654321")
    with pytest.raises(Forged, match="another topic"):
        webhook().verify(signed(an_envelope(TopicArn=other)), NOW)
    webhook(None, TOPIC, other).verify(signed(an_envelope(TopicArn=other)), NOW)


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem",
        "https://evil.example/SimpleNotificationService-0.pem",
        "https://sns.evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
        "https://evil@sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0.pem",
        "https://s3.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu_west.1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://snsXeu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com/other.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem?x=y",
        "https://sns.eu-west-1.amazonaws.com/a/../SimpleNotificationService-0.pem",
        "https://[::1",
        "",
    ],
)
def test_no_certificate_is_fetched_from_elsewhere(url: str) -> None:
    def never(address: str) -> bytes:
        raise AssertionError(address)

    with pytest.raises(Forged):
        webhook(never).verify(signed(an_envelope(SigningCertURL=url)), NOW)


def test_a_certificate_is_fetched_once() -> None:
    fetched: list[str] = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return PEM

    receiver = webhook(fetch)
    for _ in range(3):
        receiver.verify(signed(an_envelope()), NOW)
    assert fetched == [CERTIFICATE]


def test_where_the_certificate_cannot_be_had_the_call_is_to_come_again() -> None:
    def fail(_url: str) -> bytes:
        raise ProviderUnavailable("the-ses", "timed out")

    with pytest.raises(ProviderUnavailable):
        webhook(fail).verify(signed(an_envelope()), NOW)


@pytest.mark.parametrize(
    "pem",
    [
        certificate(begins=NOW - timedelta(days=31), days=30),
        certificate(begins=NOW + timedelta(hours=1)),
        certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        b"<html>not found</html>",
    ],
    ids=["expired", "not yet", "another key", "none"],
)
def test_a_certificate_that_does_not_fit_proves_nothing(pem: bytes) -> None:
    with pytest.raises(Forged):
        webhook(lambda _url: pem).verify(signed(an_envelope()), NOW)


def test_a_pinned_certificate_is_used_without_asking_amazon() -> None:
    def never(url: str) -> bytes:
        raise AssertionError(url)

    pinned = Webhook([WebhookSecret(topic_arn=TOPIC, certificate_pem=PEM.decode())], never)
    pinned.verify(signed(an_envelope(SigningCertURL="http://127.0.0.1/x.pem")), NOW)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(Forged):
        pinned.verify(signed(an_envelope(), other), NOW)


@pytest.mark.parametrize(("age", "taken"), [(0, True), (6 * 3600, True), (8 * 3600, False), (-600, False)])
def test_an_old_call_is_not_taken_though_it_was_signed(age: int, taken: bool) -> None:
    stamp = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    request = signed(an_envelope(Timestamp=stamp))
    if taken:
        webhook().verify(request, NOW)
    else:
        with pytest.raises(Forged):
            webhook().verify(request, NOW)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_message_of_sns_is_forged_and_unreadable(body: bytes) -> None:
    request = WebhookRequest("https://m.example", {}, body)
    with pytest.raises(Forged):
        webhook().verify(request, NOW)
    with pytest.raises(Unreadable):
        webhook().parse(request)


def events(message: Any, **changes: Any) -> list[Any]:
    return [e.event for e in webhook().parse(call(an_envelope(message, **changes))).events]


MAIL = {
    "messageId": "0100-1",
    "destination": ["ada@example.com", "bo@example.com"],
    "tags": {
        "mailmux_attempt": [str(ATTEMPT)],
        "mailmux_email": ["x"],
        "order": ["17"],
        "ses:operation": ["SendEmail"],
    },
}


def test_each_bounced_recipient_has_an_event() -> None:
    bounced = [
        {"emailAddress": "ada@example.com", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 unknown"},
        {"emailAddress": "bo@example.com", "diagnosticCode": "smtp; 552 5.2.2 full"},
    ]
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": bounced}
    one, two = events({"eventType": "Bounce", "mail": MAIL, "bounce": bounce})
    assert (one.recipient, one.status_code, one.mta_response) == (
        "ada@example.com",
        "5.1.1",
        "smtp; 550 5.1.1 unknown",
    )
    assert (two.recipient, two.status_code) == ("bo@example.com", "5.2.2")
    assert (one.type, one.bounce, one.reject_reason) == (
        EventType.BOUNCED,
        BounceClass.HARD,
        RejectReason.BOUNCED,
    )
    assert (one.attempt_id, one.metadata, one.provider_message_id) == (ATTEMPT, {"order": "17"}, "0100-1")


@pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
def test_what_is_not_permanent_is_a_soft_bounce(kind: str) -> None:
    bounce = {"bounceType": kind, "bouncedRecipients": [{"emailAddress": "ada@example.com"}]}
    (event,) = events({"notificationType": "Bounce", "mail": MAIL, "bounce": bounce})
    assert event.bounce is BounceClass.SOFT


def test_who_opened_an_email_to_several_is_not_known() -> None:
    opened = {"userAgent": "Mozilla", "link": "https://x.example/"}
    (event,) = events({"eventType": "Click", "mail": MAIL, "click": opened})
    assert (event.type, event.recipient, event.click_url, event.user_agent) == (
        EventType.CLICKED,
        None,
        "https://x.example/",
        "Mozilla",
    )
    (event,) = events(
        {"eventType": "Open", "mail": {**MAIL, "destination": ["ada@example.com"]}, "open": opened}
    )
    assert event.recipient == "ada@example.com"


def test_the_attempt_is_found_in_the_headers_too() -> None:
    mail = {**MAIL, "tags": None, "headers": [{"name": "X-Mailmux-Attempt", "value": str(ATTEMPT)}]}
    (one, _) = events(
        {"notificationType": "Delivery", "mail": mail, "delivery": {"recipients": MAIL["destination"]}}
    )
    assert (one.type, one.attempt_id) == (EventType.DELIVERED, ATTEMPT)


@pytest.mark.parametrize(
    ("message", "kind", "description"),
    [
        (
            {"eventType": "Rendering Failure", "failure": {"errorMessage": "no {{x}}"}},
            EventType.FAILED,
            "no {{x}}",
        ),
        ({"eventType": "Send", "send": {}}, EventType.SENT, None),
        (
            {
                "eventType": "DeliveryDelay",
                "deliveryDelay": {
                    "delayType": "MailboxFull",
                    "delayedRecipients": [{"emailAddress": "ada@example.com", "status": "4.2.2"}],
                },
            },
            EventType.DEFERRED,
            "MailboxFull",
        ),
        (
            {"eventType": "Subscription", "subscription": {"newTopicPreferences": {"unsubscribeAll": True}}},
            EventType.UNSUBSCRIBED,
            None,
        ),
        (
            {"eventType": "Subscription", "subscription": {"newTopicPreferences": {"unsubscribeAll": False}}},
            EventType.SUBSCRIBED,
            None,
        ),
        ({"eventType": "Something New"}, EventType.UNKNOWN, None),
    ],
)
def test_every_kind_of_event_has_a_word(
    message: dict[str, Any], kind: EventType, description: str | None
) -> None:
    found = events({**message, "mail": MAIL})
    assert {(e.type, e.description) for e in found} == {(kind, description)}


@pytest.mark.parametrize(
    "message", ["Successfully validated SNS topic.", "{}", '{"notificationType":"Received"}', "5"]
)
def test_what_is_no_event_is_no_error(message: str) -> None:
    notice = webhook().parse(call(an_envelope(message)))
    assert (notice.events, notice.confirm) == ((), None)


@pytest.mark.parametrize(
    "message", [{"eventType": "Bounce"}, {"eventType": "Bounce", "mail": [], "bounce": 5}]
)
def test_an_event_in_no_known_form_is_unreadable(message: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        events(message)


def test_only_amazons_own_address_is_to_be_confirmed() -> None:
    def parse(url: str) -> str | None:
        return webhook().parse(call(an_envelope(Type="SubscriptionConfirmation", SubscribeURL=url))).confirm

    good = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    assert parse(good) == good
    for bad in (
        "https://169.254.169.254/",
        "https://sns.eu-west-1.amazonaws.com.evil.example/",
        "http://sns.x.amazonaws.com/",
    ):
        with pytest.raises(Unreadable):
            parse(bad)
