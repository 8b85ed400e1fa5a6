"""What Amazon SES's events say.

Source: docs.aws.amazon.com/ses, "Contents of event notifications" and "Examples of event data".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason
from providers.webhooks import (
    attempt_of,
    email_of,
    enhanced_code,
    instant,
    labels_in_head,
    mapping,
    theirs,
    word,
    words,
)

_KINDS = {
    "Send": EventType.SENT,
    "Delivery": EventType.DELIVERED,
    "Bounce": EventType.BOUNCED,
    "Complaint": EventType.COMPLAINED,
    "Reject": EventType.REJECTED,
    "Open": EventType.OPENED,
    "Click": EventType.CLICKED,
    "Rendering Failure": EventType.FAILED,
    "DeliveryDelay": EventType.DEFERRED,
    "Subscription": EventType.UNSUBSCRIBED,
}
# Where the recipients stand that an event is about; else it is about all of the email's.
_ABOUT = {
    "Delivery": ("delivery", "recipients"),
    "Bounce": ("bounce", "bouncedRecipients"),
    "Complaint": ("complaint", "complainedRecipients"),
    "DeliveryDelay": ("deliveryDelay", "delayedRecipients"),
}
_REASONS = {
    EventType.BOUNCED: RejectReason.BOUNCED,
    EventType.COMPLAINED: RejectReason.SPAM,
    EventType.REJECTED: RejectReason.BLOCKED,
}

# `bounceSubType`, where it tells of more than of the address: of SES's own lists, or of the content.
_LISTED = frozenset({"Suppressed", "OnAccountSuppressionList", "UnsubscribedRecipient"})
_BOUNCES = {
    "OnAccountSuppressionList": RejectReason.BLOCKED,  # for a bounce or a complaint: it does not say which
    "UnsubscribedRecipient": RejectReason.UNSUBSCRIBED,
    "ContentRejected": RejectReason.BLOCKED,
    "AttachmentRejected": RejectReason.BLOCKED,
    "MessageTooLarge": RejectReason.BLOCKED,
    "CustomTimeoutExceeded": RejectReason.TIMED_OUT,
}


def read(kind: str, event: Mapping[str, Any], envelope: Mapping[str, Any]) -> Iterable[DeliveryEvent]:
    """An event for each recipient that it is about. Raises ValueError and its kin where the form is another."""
    mail = event["mail"]
    if not isinstance(mail, dict):
        raise TypeError("nothing is said of the email")
    part, field = _ABOUT.get(kind, ("", ""))
    about = mapping(event.get(part or _part_of(kind)))
    destination = words(mail.get("destination"))
    recipients: list[Any]
    if part:
        named = about.get(field)
        recipients = named if isinstance(named, list) and named else [None]  # an event of nobody is no event
    elif kind in ("Open", "Click") and len(destination) > 1:
        recipients = [None]  # SES does not say who
    else:
        recipients = list(destination) or [None]
    labels = _labels(mail)
    tags, metadata = labels_in_head(mail.get("headers"))
    meaning = _kind(kind, about)
    cause = (word(about.get("bounceSubType")) or "") if meaning is EventType.BOUNCED else ""
    for one in recipients:
        detail = one if isinstance(one, dict) else {"emailAddress": one}
        answered = word(detail.get("diagnosticCode")) or word(about.get("smtpResponse"))
        yield DeliveryEvent(
            type=meaning,
            event_id=word(envelope.get("MessageId")),
            occurred_at=instant(envelope.get("Timestamp")),
            recipient=word(detail.get("emailAddress")),
            attempt_id=attempt_of(labels) or attempt_of(_headers(mail), "x-mailmux-attempt"),
            email_id=email_of(labels),
            provider_message_id=word(mail.get("messageId")),
            reject_reason=_BOUNCES.get(cause, _REASONS.get(meaning)),
            listed=cause in _LISTED,
            bounce=_class(about) if meaning is EventType.BOUNCED else None,
            status_code=word(detail.get("status")) or enhanced_code(answered),
            description=_description(kind, about),
            mta_response=answered,
            click_url=word(about.get("link")),
            user_agent=word(about.get("userAgent")),
            tags=tags,
            metadata=theirs(labels) | metadata,
        )


def _part_of(kind: str) -> str:
    """The field with an event's own object: "Rendering Failure" has its in `failure`."""
    return "failure" if kind == "Rendering Failure" else kind[:1].lower() + kind[1:]


def _kind(kind: str, about: Mapping[str, Any]) -> EventType:
    if kind == "Subscription":
        wishes = about.get("newTopicPreferences") or {}
        topics = wishes.get("topicSubscriptionStatus") or []
        out = wishes.get("unsubscribeAll") or any(t.get("subscriptionStatus") == "OptOut" for t in topics)
        return EventType.UNSUBSCRIBED if out or not wishes else EventType.SUBSCRIBED
    if kind == "Complaint" and about.get("complaintFeedbackType") == "not-spam":
        return EventType.UNKNOWN  # RFC 6430: somebody took it out of the folder of spam
    return _KINDS.get(kind, EventType.UNKNOWN)


def _class(bounce: Mapping[str, Any]) -> BounceClass:
    return BounceClass.HARD if bounce.get("bounceType") == "Permanent" else BounceClass.SOFT


def _description(kind: str, about: Mapping[str, Any]) -> str | None:
    if kind == "Bounce":
        return ": ".join(words([about.get("bounceType"), about.get("bounceSubType")])) or None
    names = {
        "Complaint": "complaintFeedbackType", "Reject": "reason", "DeliveryDelay": "delayType",
        "Rendering Failure": "errorMessage",
    }  # fmt: skip
    return word(about.get(names[kind])) if kind in names else None


def _labels(mail: Mapping[str, Any]) -> dict[str, str]:
    """The message tags; each has a list of values. Those of SES's own begin with `ses:`."""
    tags = mail.get("tags")
    found = {n: words(v) for n, v in tags.items()} if isinstance(tags, dict) else {}
    return {str(n): v[0] for n, v in found.items() if v and not str(n).startswith("ses:")}


def _headers(mail: Mapping[str, Any]) -> dict[str, str]:
    found = mail.get("headers") if isinstance(mail.get("headers"), list) else []
    pairs = ((h.get("name"), h.get("value")) for h in found or () if isinstance(h, dict))
    return {str(n).lower(): str(v) for n, v in pairs}
