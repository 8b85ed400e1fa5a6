"""Events that the providers' documents show and no recorded call does, and forms that they are sent in as well."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, WebhookRequest
from domain.suppression import Cause, Reach, Verdict, judge
from providers import registry
from providers.webhooks import instant
from tests.contract.adapters import CREDENTIALS
from tests.contract.emails import a_world

HARD, SOFT = BounceClass.HARD, BounceClass.SOFT


def events(kind: str, body: Any, content_type: str = "application/json") -> list[DeliveryEvent]:
    config, _ = registry.validate(kind, {}, CREDENTIALS[kind])
    webhook = registry.receiver(kind, "the-account", config, [], a_world())
    assert webhook is not None
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [
        e.event
        for e in webhook.parse(WebhookRequest("https://x", {"content-type": content_type}, raw)).events
    ]


def one(kind: str, body: Any, content_type: str = "application/json") -> DeliveryEvent:
    (found,) = events(kind, body, content_type)
    return found


def from_sns(kind: str, **more: Any) -> dict[str, Any]:
    mail = {"messageId": "m", "destination": ["ada@example.com"], **more.pop("mail", {})}
    message = json.dumps({"eventType": kind, "mail": mail, **more})
    return {
        "Type": "Notification",
        "MessageId": "1",
        "Timestamp": "2026-11-23T10:00:00.000Z",
        "Message": message,
    }


def from_mailgun(**data: Any) -> dict[str, Any]:
    return {"signature": {"token": "t"}, "event-data": {"id": "e", **data}}


def failed(reason: str, code: int = 550, kind: str | None = None) -> dict[str, Any]:
    answer = {"code": code, **({"bounce-type": kind} if kind else {})}
    return from_mailgun(event="failed", severity="permanent", reason=reason, **{"delivery-status": answer})


def bounced(bounce: dict[str, Any]) -> dict[str, Any]:
    return {"type": "email.bounced", "data": {"bounce": bounce}}


MEANINGS: list[tuple[str, Any, EventType, RejectReason | None, BounceClass | None]] = [
    # SendGrid, "Event Webhook Reference": a bounce is of type bounce, blocked or expired
    ("sendgrid", [{"event": "bounce", "type": "bounce"}], EventType.BOUNCED, None, HARD),
    ("sendgrid", [{"event": "bounce", "type": "blocked"}], EventType.BOUNCED, RejectReason.BLOCKED, SOFT),
    ("sendgrid", [{"event": "bounce", "type": "expired"}], EventType.BOUNCED, None, SOFT),
    ("sendgrid", [{"event": "account_status_change", "type": "compliance_suspend"}], EventType.UNKNOWN, None, None),
    # Postmark, "Subscription change webhook"
    ("postmark", {"RecordType": "SubscriptionChange", "SuppressSending": False, "SuppressionReason": None},
     EventType.SUBSCRIBED, None, None),
    ("postmark", {"RecordType": "SubscriptionChange", "SuppressSending": "false"}, EventType.SUBSCRIBED, None, None),
    ("postmark", {"RecordType": "SubscriptionChange", "SuppressionReason": "ManualSuppression"},
     EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED, None),
    ("postmark", {"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": "HardBounce"},
     EventType.BOUNCED, RejectReason.BOUNCED, HARD),
    ("postmark", {"RecordType": "Bounce", "Type": "InboundError"}, EventType.UNKNOWN, None, None),
    ("postmark", {"RecordType": "Bounce", "Type": "SomethingNew"}, EventType.BOUNCED, None, SOFT),
    # Mailgun's reasons, where the code says nothing of a list
    ("mailgun", failed("suppress-unsubscribe", 600), EventType.REJECTED, RejectReason.UNSUBSCRIBED, None),
    ("mailgun", failed("suppress-complaint", 600), EventType.REJECTED, RejectReason.SPAM, None),
    ("mailgun", failed("suppress-bounce", 600), EventType.REJECTED, RejectReason.BOUNCED, None),
    ("mailgun", failed("generic"), EventType.BOUNCED, RejectReason.OTHER, HARD),
    ("mailgun", failed("espblock"), EventType.BOUNCED, RejectReason.BLOCKED, HARD),
    ("mailgun", failed("bounce", kind="soft"), EventType.BOUNCED, RejectReason.BOUNCED, SOFT),
    ("mailgun", failed("bounce", kind="hard"), EventType.BOUNCED, RejectReason.BOUNCED, HARD),
    # Mailjet's truth as a number or a text
    *(("mailjet", {"event": "bounce", "error": "user unknown", "hard_bounce": hard},
       EventType.BOUNCED, RejectReason.BOUNCED, HARD) for hard in (True, 1, "1", "true")),
    *(("mailjet", {"event": "bounce", "error": "user unknown", "hard_bounce": soft},
       EventType.BOUNCED, RejectReason.BOUNCED, SOFT) for soft in (False, 0, "", None)),
    # MailerSend, the first version of its form without a type within
    ("mailersend", {"type": "activity.hard_bounced", "data": {}}, EventType.BOUNCED, RejectReason.BOUNCED, HARD),
    ("mailersend", {"type": "sender_identity.verified", "data": {"id": "1"}}, EventType.UNKNOWN, None, None),
    # Brevo, by the names that a webhook is set up by
    ("brevo", {"event": "unsubscribed"}, EventType.UNSUBSCRIBED, None, None),
    ("brevo", {"event": "hardBounce"}, EventType.BOUNCED, RejectReason.BOUNCED, HARD),
    ("brevo", {"event": "softBounce"}, EventType.BOUNCED, RejectReason.BOUNCED, SOFT),
    ("brevo", {"event": "invalid"}, EventType.BOUNCED, RejectReason.INVALID, HARD),
    # Resend, where the address is on its own list
    ("resend", bounced({"type": "Permanent", "subType": "Suppressed"}), EventType.BOUNCED, RejectReason.BLOCKED, HARD),
    ("resend", bounced({"type": "Permanent", "subType": "OnAccountSuppressionList"}),
     EventType.BOUNCED, RejectReason.BLOCKED, HARD),
    ("resend", bounced({"message": "Resend has suppressed sending to this address"}),
     EventType.BOUNCED, RejectReason.BLOCKED, SOFT),
    ("resend", {"type": "contact.created", "data": {"email": "ada@example.com"}}, EventType.UNKNOWN, None, None),
    # Amazon SES: RFC 6430's "not-spam" is the opposite of a complaint
    ("ses", from_sns("Complaint", complaint={"complainedRecipients": [], "complaintFeedbackType": "not-spam"}),
     EventType.UNKNOWN, None, None),
    ("ses", from_sns("Complaint", complaint={"complainedRecipients": [], "complaintFeedbackType": "abuse"}),
     EventType.COMPLAINED, RejectReason.SPAM, None),
    ("ses", from_sns("Rendering Failure", failure={"errorMessage": "x"}), EventType.FAILED, None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "body", "event", "reason", "bounce"),
    MEANINGS,
    ids=[f"{m[0]}-{n}" for n, m in enumerate(MEANINGS)],
)
def test_an_event_means_what_the_document_says(
    kind: str, body: Any, event: EventType, reason: RejectReason | None, bounce: BounceClass | None
) -> None:
    found = one(kind, body)
    assert (found.type, found.reject_reason, found.bounce) == (event, reason, bounce)


def test_resends_recipient_may_come_with_a_name() -> None:
    assert (
        one("resend", {"type": "email.sent", "data": {"to": ["Ada <ada@x.example>"]}}).recipient
        == "ada@x.example"
    )
    twice = {"to": ["Ada <ada@x.example>"], "cc": ["ada@x.example"]}
    assert one("resend", {"type": "email.sent", "data": twice}).recipient == "ada@x.example"


def test_one_item_of_sparkposts_batch_that_is_none_spoils_no_other() -> None:
    good = {"msys": {"message_event": {"type": "delivery", "event_id": "1"}}}
    found = events("sparkpost", [good, {"other": 1}, {"msys": None}, 7, good | {}])
    assert [e.type for e in found] == [
        EventType.DELIVERED,
        *[EventType.UNKNOWN] * 3,
        EventType.DELIVERED,
    ]


def test_an_object_may_stand_where_its_json_is_documented() -> None:
    assert one("mailjet", {"event": "sent", "Payload": {"order": 17}}).metadata == {"order": "17"}
    assert one("brevo", {"event": "sent", "X-Mailin-custom": {"order": 17}}).metadata == {"order": "17"}
    for wrong in ("", "words", "[1]", None, 7):
        assert one("mailjet", {"event": "sent", "Payload": wrong}).metadata == {}
        assert one("brevo", {"event": "sent", "X-Mailin-custom": wrong}).metadata == {}


def test_metadata_of_other_types_are_told_as_json() -> None:
    found = one(
        "mailtrap",
        {"event": "delivery", "custom_variables": {"a": True, "b": [1], "c": {}, "d": None, "e": 1}},
    )
    assert found.metadata == {"a": "true", "b": "[1]", "c": "{}", "e": "1"}


def test_sendgrids_own_fields_are_no_metadata() -> None:
    own = {
        "marketing_campaign_id": 1,
        "marketing_campaign_name": "n",
        "nlvx_user_id": 1,
        "post_type": "event",
    }
    assert one("sendgrid", [{"event": "open", **own, "order": "17"}]).metadata == {"order": "17"}


def test_tags_and_metadata_of_another_library_are_read_from_the_head() -> None:
    head = [
        {"name": "X-Tag", "value": "one"},
        {"name": "X-Tag", "value": "two"},
        {"name": "X-Metadata", "value": '{"order": 17}'},
    ]
    found = one("ses", from_sns("Send", send={}, mail={"headers": head}))
    assert (found.tags, found.metadata) == (("one", "two"), {"order": "17"})
    head = [{"name": "X-Tags", "value": '["one","two"]'}, {"name": "X-Metadata", "value": '{"order": 17}'}]
    found = one("resend", {"type": "email.sent", "data": {"headers": head, "tags": {"own": "1"}}})
    assert (found.tags, found.metadata) == (("one", "two"), {"order": "17", "own": "1"})


@pytest.mark.parametrize("value", [None, 5, "x", "{", '"},{"', "[" * 5000, ["a"], {"a": 1}])
def test_a_strange_head_is_no_obstacle(value: Any) -> None:
    head = [{"name": name, "value": value} for name in ("X-Tags", "X-Metadata", "X-Tag", None, 5)]
    assert one("ses", from_sns("Send", send={}, mail={"headers": [*head, 5, None]})).type is EventType.SENT


# -- Mailgun's old form --------------------------------------------------------------------------------------


def legacy(*fields: tuple[str, str]) -> DeliveryEvent:
    signature = (("token", "t"), ("timestamp", "1461261330"), ("signature", "s"))
    form = "application/x-www-form-urlencoded"
    return one("mailgun", urlencode([*fields, *signature]).encode(), form)


@pytest.mark.parametrize(
    ("reason", "code", "because"),
    [
        ("hardfail", "605", RejectReason.BOUNCED),
        ("hardfail", "607", RejectReason.SPAM),
        ("hardfail", "550", RejectReason.BOUNCED),
        ("hardfail", "5.1.1", RejectReason.BOUNCED),
        ("old", "499", RejectReason.TIMED_OUT),
        ("old", "602", RejectReason.TIMED_OUT),
        ("hardfail", "602", RejectReason.OTHER),
        ("hardfail", "", RejectReason.OTHER),
    ],
)
def test_why_mailgun_dropped_an_email(reason: str, code: str, because: RejectReason) -> None:
    found = legacy(("event", "dropped"), ("reason", reason), ("code", code))
    assert (found.type, found.reject_reason, found.bounce) == (EventType.REJECTED, because, None)


def test_mailguns_variables_are_merged_from_all_their_headers() -> None:
    head = [["X-Mailgun-Variables", '{"a": "1"}'], ["Subject", "s"], ["X-Mailgun-Variables", '{"b": 2}']]
    found = legacy(("event", "delivered"), ("message-headers", json.dumps(head)), ("X-Mailgun-Sid", "x"))
    assert found.metadata == {"a": "1", "b": "2"}


def test_a_variable_with_the_name_of_a_field_is_told_apart_from_it() -> None:
    found = legacy(
        ("event", "opened"), ("ip", "192.0.2.1"), ("ip", "mine"), ("recipient", "ada@x.example"),
        ("recipient", "mine"), ("url", "mine"), ("timestamp", "mine"), ("token", "mine"), ("tag", "t"), ("tag", "v"),
        ("event", "opened"),
    )  # fmt: skip
    assert found.metadata == {
        "ip": "mine", "recipient": "mine", "url": "mine", "timestamp": "mine", "token": "mine", "event": "opened",
    }  # fmt: skip
    assert (found.recipient, found.tags) == ("ada@x.example", ("t", "v"))
    clicked = legacy(("event", "clicked"), ("url", "https://x.example"))
    assert (clicked.click_url, clicked.metadata) == ("https://x.example", {})


# -- times ---------------------------------------------------------------------------------------------------

AT = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
SECONDS = int(AT.timestamp())


@pytest.mark.parametrize(
    "value",
    [
        SECONDS, str(SECONDS), f" {SECONDS} ", f"{SECONDS}.", float(SECONDS), f"{SECONDS}.0", SECONDS * 1000,
        f"{SECONDS}000", f"{SECONDS}000.0", "2026-11-23T10:00:00Z", "2026-11-23T12:00:00+02:00",
        "2026-11-23 10:00:00", "2026-11-23T10:00:00.000000000Z", "20261123T100000Z",
    ],
)  # fmt: skip
def test_a_time_is_read_in_every_form(value: object) -> None:
    assert instant(value) == AT


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, "", "never", "١٢٣٤٥٦٧٨٩٠", [], {}, [SECONDS], float("nan"), float("inf"),
        -float("inf"), 10**400,
        10**20, -1, "-1", "1" * 17, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-13-01", "2026-11",
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(value: object) -> None:
    assert instant(value) is None


def sns_bounce(kind: str, sub: str) -> dict[str, Any]:
    about = {
        "bounceType": kind,
        "bounceSubType": sub,
        "bouncedRecipients": [{"emailAddress": "ada@example.com"}],
    }
    return from_sns("Bounce", bounce=about)


def sendgrid_bounce(**more: str) -> list[dict[str, str]]:
    return [{"event": "bounce", "type": "bounce", **more}]


BY_PROVIDER, OF_ITS_KIND = Verdict(Cause.PROVIDER, Reach.ALL), Verdict(Cause.PROVIDER, Reach.ITS_KIND)
GONE, STRIKE = Verdict(Cause.HARD_BOUNCE, Reach.ALL), Verdict(Cause.SOFT_BOUNCES, Reach.ALL)
LISTS: list[tuple[str, Any, Verdict | None]] = [
    ("sendgrid", sendgrid_bounce(), GONE),
    ("sendgrid", sendgrid_bounce(bounce_classification="Invalid Address"), GONE),
    ("sendgrid", sendgrid_bounce(bounce_classification="Content"), None),
    ("sendgrid", sendgrid_bounce(bounce_classification="Reputation"), None),
    ("sendgrid", sendgrid_bounce(bounce_classification="Frequency or Volume Too High"), None),
    ("sendgrid", sendgrid_bounce(type="blocked"), None),
    ("sendgrid", [{"event": "blocked"}], None),
    ("sendgrid", [{"event": "dropped", "reason": "Bounced Address"}], BY_PROVIDER),
    ("ses", sns_bounce("Permanent", "General"), GONE),
    ("ses", sns_bounce("Transient", "MailboxFull"), STRIKE),
    ("ses", sns_bounce("Transient", "ContentRejected"), None),
    ("ses", sns_bounce("Transient", "AttachmentRejected"), None),
    ("ses", sns_bounce("Transient", "MessageTooLarge"), None),
    ("ses", sns_bounce("Permanent", "Suppressed"), BY_PROVIDER),
    ("ses", sns_bounce("Permanent", "OnAccountSuppressionList"), OF_ITS_KIND),
    ("resend", {"type": "email.suppressed", "data": {}}, OF_ITS_KIND),
    ("resend", {"type": "email.suppressed", "data": {"suppressed": {"reason": "previous_bounce"}}}, BY_PROVIDER),
    ("resend", bounced({"type": "Permanent", "subType": "General"}), GONE),
    ("resend", bounced({"type": "Permanent", "subType": "OnAccountSuppressionList"}), OF_ITS_KIND),
    ("resend", bounced({"type": "Transient", "subType": "ContentRejected"}), None),
    ("mailersend", {"data": {"type": "suppressed"}}, OF_ITS_KIND),
    ("mailersend", {"data": {"type": "suppressed", "meta": {"suppression_reason": "hard_bounced"}}}, BY_PROVIDER),
    ("brevo", {"event": "blocked", "email": "ada@example.com"}, OF_ITS_KIND),
    ("postmark", {"RecordType": "Bounce", "Type": "ManuallyDeactivated"}, OF_ITS_KIND),
    ("postmark", {"RecordType": "Bounce", "Type": "Blocked"}, None),
    ("postmark", {"RecordType": "Bounce", "Type": "DMARCPolicy"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "verdict"), LISTS, ids=str)
def test_a_providers_list_is_the_users_and_a_policy_is_not_the_addresss_fault(
    kind: str, body: Any, verdict: Verdict | None
) -> None:
    assert judge(one(kind, body)) == verdict
