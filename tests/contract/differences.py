"""Where our events differ from those of django-anymail 15.1 on purpose. docs/reference/providers-differences.md lists
the same with the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.mailgun_webhook import _SUPPRESSED as SUPPRESSED
from providers.sendgrid_webhook import EVENT_FIELDS
from providers.webhooks import canonical

NOTHING: tuple[Any, ...] = ("", [], [""], [None], None)
# Events that are documented, and unknown there; or decided otherwise.
OTHER_TYPES: dict[str, dict[Any, set[str]]] = {
    "ses": {
        "DeliveryDelay": {"deferred"},
        "Subscription": {"unsubscribed", "subscribed"},
        "Complaint": {"unknown"},  # of the type not-spam
    },
    "resend": {
        "email.scheduled": {"queued"},
        "email.suppressed": {"rejected"},
        "email.failed": {"failed"},
    },
    "mailersend": {
        "opened_unique": {"opened"},
        "clicked_unique": {"clicked"},
        "deferred": {"deferred"},
        "suppressed": {"rejected"},
    },
    "mailtrap": {"suspension": {"rejected"}, "soft bounce": {"bounced"}},
    "postmark": {"Bounce": {"unknown"}, "SubscriptionChange": {"subscribed"}},  # InboundError; "false" as text
    "sendgrid": {"blocked": {"bounced"}},
    "brevo": {
        "unsubscribed": {"unsubscribed"}, "hardBounce": {"bounced"}, "softBounce": {"bounced"}, "invalid": {"bounced"},
        "uniqueOpened": {"opened"}, "proxyOpen": {"opened"}, "uniqueProxyOpen": {"opened"}, "sent": {"queued"},
    },
}  # fmt: skip


def name_of(kind: str, item: Mapping[str, Any]) -> Any:
    """What the provider calls the event."""
    match kind:
        case "mailersend":
            return item.get("data", {}).get("type")
        case "mailgun":
            return item.get("event-data", item).get("event")
        case "postmark":
            return item.get("RecordType")
        case "resend" | "sparkpost":
            return item.get("type")
        case "ses":
            return item.get("eventType") or item.get("notificationType")
    return item.get("event")


# What the providers call the two classes of bounces; what is not here is none.
_HARD, _SOFT = "hard", "soft"
_CLASSES: dict[str, dict[str, str]] = {
    "brevo": {
        "hard_bounce": _HARD, "hardBounce": _HARD, "invalid_email": _HARD, "invalid": _HARD,
        "soft_bounce": _SOFT, "softBounce": _SOFT,
    },
    "mailersend": {"hard_bounced": _HARD, "soft_bounced": _SOFT},
    "mailgun": {"permanent": _HARD, "bounced": _HARD, "dropped": _HARD},
    "mailjet": {"true": _HARD, "1": _HARD, "false": _SOFT, "0": _SOFT, "": _SOFT},
    "mailtrap": {"bounce": _HARD, "soft bounce": _SOFT},
    "postmark": {"HardBounce": _HARD, "1": _HARD, "SoftBounce": _SOFT, "4096": _SOFT},
    "resend": {"Permanent": _HARD, "Transient": _SOFT, "Undetermined": _SOFT},
    "sendgrid": {"bounce": _HARD, "blocked": _SOFT},
    "ses": {"Permanent": _HARD, "Transient": _SOFT, "Undetermined": _SOFT},
    "sparkpost": {
        **dict.fromkeys(("10", "30"), _HARD),
        **dict.fromkeys(("20", "21", "22", "23", "24", "25", "40", "50", "51", "52", "53", "54", "70"), _SOFT),
    },
}  # fmt: skip


def bounce_told(kind: str, item: Mapping[str, Any]) -> str | None:
    """The class of the bounce in the provider's own words; None: they leave it open."""
    match kind:
        case "mailgun":
            data = item.get("event-data", item)
            told = data.get("severity") or data.get("event")
        case "mailjet":
            told = str(item.get("hard_bounce", "")).lower()
        case "postmark":
            told = item.get("Type") or item.get("SuppressionReason") or item.get("TypeCode")
        case "resend":
            told = item["data"]["bounce"]["type"]
        case "sendgrid":
            policy = item.get("bounce_classification") in ("Content", "Reputation")
            told = "blocked" if policy else item.get("type") or item.get("event")
        case "ses":
            told = item["bounce"]["bounceType"]
        case "sparkpost":
            told = item.get("bounce_class")
        case _:
            told = name_of(kind, item)
    return _CLASSES[kind].get(str(told))


def is_meant(kind: str, field: str, ours: Any, its: Any, item: Mapping[str, Any]) -> bool:
    """Whether the difference is one of the list. `item`: the event as the provider wrote it."""
    if ours in NOTHING and its in NOTHING:
        return True
    match field:
        case "metadata":
            return _metadata(kind, ours, its)
        case "tags":
            return bool([its] == ours)
        case "event_type" if name_of(kind, item) in OTHER_TYPES.get(kind, {}):
            return ours in OTHER_TYPES[kind][name_of(kind, item)]
        case "event_type" if kind == "mailgun":
            return ours == "rejected" and _is_suppressed(item)
        case "reject_reason":
            return _reason(kind, ours, its, item)
        case "event_id":  # its own id before the signature's token
            return kind == "mailgun" and ours == item["event-data"]["id"]
        case "message_id":  # the id of the answer to the send; there one of the library's own
            return kind == "sendgrid" and its in (item.get("anymail_id"), item.get("smtp-id"))
        case "timestamp" if kind == "brevo":  # an example of seconds, in a field of milliseconds
            return its is not None and its.year == 1970
        case "timestamp":  # RFC 3339, as generation events have it
            return kind == "sparkpost" and its is None
        case "recipient":
            return _recipient(kind, ours, its, item)
        case "description" | "mta_response" | "user_agent":
            return _words(kind, field, ours, its, item)
    return False


def counts_differ(kind: str, item: Mapping[str, Any]) -> bool:
    """Whether there may be another number of events."""
    return kind == "ses" and name_of(kind, item) in ("Open", "Click", "DeliveryDelay")


def _metadata(kind: str, ours: Mapping[str, str], its: Any) -> bool:
    """Texts for all values; of message tags more. What is no object there is none."""
    found = its if isinstance(its, dict) else {}
    texts = {k: v if isinstance(v, str) else canonical(v) for k, v in found.items() if v is not None}
    if kind in ("ses", "resend"):
        return texts.items() <= ours.items()
    if kind == "sendgrid":
        texts = {k: v for k, v in texts.items() if k not in EVENT_FIELDS}
        return {k: v for k, v in ours.items() if k != "anymail_id"} == texts
    return ours == texts


def _is_suppressed(item: Mapping[str, Any]) -> bool:
    data = item["event-data"]
    status = data.get("delivery-status") or {}
    return str(status.get("code")) in map(str, SUPPRESSED) or str(data.get("reason")).startswith("suppress-")


def _reason(kind: str, ours: Any, its: Any, item: Mapping[str, Any]) -> bool:
    match kind:
        case "mailgun":  # what its codes and reasons say beyond "bounce"
            return (
                _is_suppressed(item)
                or ours in ("timed_out", "blocked")
                or (ours, its) in (("other", None), ("bounced", None), ("bounced", "other"))
            )
        case "mailersend":  # told by the event's type, where nothing more is told
            return its is None
        case "resend":  # the words alone there
            return name_of(kind, item) in ("email.bounced", "email.suppressed", "email.failed")
        case "sendgrid":
            policy = item.get("type") == "blocked" or item.get("bounce_classification")
            return (ours, its) == ("spam", "other") or (ours == "blocked" and bool(policy))
        case "postmark":
            return bool(name_of(kind, item) == "SubscriptionChange")
        case "ses":  # a list's or a policy's bounce
            known = ("OnAccountSuppressionList", "ContentRejected", "AttachmentRejected", "MessageTooLarge")
            told = item.get("bounce", {}).get("bounceSubType")
            return name_of(kind, item) == "Complaint" or (ours == "blocked" and told in known)
        case "sparkpost" | "mailjet":  # an empty one is none; a class may be a number, an error in capitals
            return bool(its == "other")
        case "brevo":
            return its is None and name_of(kind, item) in OTHER_TYPES["brevo"]
        case "mailtrap":
            return (ours, its) == (None, "blocked")
    return False


def _recipient(kind: str, ours: Any, its: Any, item: Mapping[str, Any]) -> bool:
    if kind == "resend":  # nobody knows whom it means
        return ours is None and len(item["data"]["to"]) > 1
    if kind == "ses":
        return name_of(kind, item) in ("Open", "Click", "DeliveryDelay")
    return kind == "sparkpost" and its is None


def _words(kind: str, field: str, ours: Any, its: Any, item: Mapping[str, Any]) -> bool:
    """More than there, where something is told."""
    if its is not None:
        return kind == "ses" and str(its).startswith("Unknown SES eventType")
    told: dict[str, set[str]] = {
        "ses": {"mta_response"},
        "resend": {"description", "mta_response", "user_agent"},
        "mailjet": {"description", "mta_response"},
        "mailtrap": {"description"},
        "mailersend": {"mta_response", "user_agent", "description"},
        "sendgrid": {"description"},
        "sparkpost": {"mta_response"},
    }
    return field in told.get(kind, ()) and str(ours) in str(item)
