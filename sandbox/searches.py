"""How each provider's API tells of the messages that it took, where it can be asked by what was sent with them.

Sources: Postmark's "Messages API", "Custom metadata FAQ" and "Bounce API"; Mailgun's OpenAPI document, GET
/v3/{domain_name}/events; SparkPost's "Events API"; dev.mailjet.com, "/message"; SendGrid's "Email Activity API".
What became of a message is told as by the webhooks.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from sandbox.json_events import event_body
from sandbox.mailgun_events import event_body as mailgun_event
from sandbox.messages import Received
from sandbox.sendgrid_events import event_body as sendgrid_event
from sandbox.stories import Happening, story_of

Json = dict[str, Any]
Taken = Sequence[tuple[Received, float]]

POSTMARK = ("/messages/outbound", "/bounces")
SPARKPOST = "/api/v1/events/message"
MAILJET = "/v3/REST/message"
SENDGRID = "/v3/messages"


class NotFound(LookupError):
    """There is no message of that id."""


class Wrong(ValueError):
    """The question is not in the documented form."""


def _asked(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _story(message: Received, recipient: str, at_least: Happening | None = None) -> list[Happening]:
    """What became of a recipient's copy; where nothing else did, that it was taken."""
    return [*story_of(recipient, message.account)] or ([at_least] if at_least else [])


_POSTMARK_EVENTS = {
    Happening.DELIVERED: ("Delivered", {"DeliveryMessage": "smtp;250 2.0.0 OK"}),
    Happening.BOUNCED_HARD: ("Bounced", {"Summary": "smtp;550 5.1.1", "BounceID": "1"}),
    Happening.BOUNCED_SOFT: ("Bounced", {"Summary": "smtp;552 5.2.2", "BounceID": "1"}),
    Happening.DROPPED: ("Bounced", {"Summary": "", "BounceID": "1"}),
    Happening.DROPPED_LISTED: ("Bounced", {"Summary": "", "BounceID": "1"}),
    Happening.COMPLAINED: ("Bounced", {"Summary": "", "BounceID": "1"}),
    Happening.DEFERRED: ("Transient", {"DeliveryMessage": "smtp;451 4.7.1 Try again later"}),
    Happening.OPENED: ("Opened", {"Summary": "Email opened with Sandbox/1.0"}),
    Happening.CLICKED: ("LinkClicked", {"Link": "https://example.com/"}),
}


def postmark_messages(taken: Taken, query: str) -> Json:
    """Raises Wrong: `count` and `offset` are required, and only one field of the metadata may be asked for."""
    asked = _asked(query)
    fields = {name: value for name, value in asked.items() if name.startswith("metadata_")}
    if not {"count", "offset"} <= asked.keys() or len(fields) > 1:
        raise Wrong
    found = [
        _postmark_message(message, at)
        for message, at in taken
        if all(
            message.custom_args.get(name.removeprefix("metadata_")) == value for name, value in fields.items()
        )
        and (message.stream or "outbound") == asked.get("messagestream", "outbound")
    ]
    page = found[int(asked["offset"]) :][: int(asked["count"])]
    return {"TotalCount": len(found), "Messages": page}


def _postmark_message(message: Received, at: float) -> Json:
    def people(mailboxes: tuple[Any, ...]) -> list[Json]:
        return [{"Email": mailbox.email, "Name": mailbox.name} for mailbox in mailboxes]

    return {
        "Tag": message.categories[0] if message.categories else "",
        "MessageID": message.message_id,
        "MessageStream": message.stream or "outbound",
        "To": people(message.to),
        "Cc": people(message.cc),
        "Bcc": people(message.bcc),
        "Recipients": list(message.envelope.recipients),
        "ReceivedAt": _moment(at),
        "From": str(message.sender),
        "Subject": message.subject,
        "Attachments": [],
        "Status": _postmark_status(message),
        "TrackOpens": False,
        "TrackLinks": "None",
        "Metadata": message.custom_args,
        "Sandboxed": False,
    }


def _postmark_status(message: Received) -> str:
    told = {
        happening for recipient in message.envelope.recipients for happening in _story(message, recipient)
    }
    return "Blocked" if Happening.DROPPED in told else "Sent"


def postmark_details(taken: Taken, message_id: str) -> Json:
    """Raises NotFound."""
    message, at = _one(taken, message_id)
    events = [
        {"Recipient": recipient, "Type": kind, "ReceivedAt": _moment(at), "Details": details}
        for recipient in message.envelope.recipients
        for happening in _story(message, recipient)
        if happening in _POSTMARK_EVENTS
        for kind, details in (_POSTMARK_EVENTS[happening],)
    ]
    return {
        **_postmark_message(message, at),
        "TextBody": "",
        "HtmlBody": "",
        "Body": "",
        "MessageEvents": events,
    }


def postmark_bounces(taken: Taken, query: str, tell_of: Any) -> Json:
    """`tell_of`: the bodies of the webhook's calls. Raises Wrong."""
    asked = _asked(query)
    if not {"count", "offset"} <= asked.keys():
        raise Wrong
    told = [
        json.loads(body)
        | {
            "From": message.sender.email,
            "Subject": message.subject,
            "DumpAvailable": False,
            "CanActivate": True,
        }
        for message, at in taken
        if message.message_id == asked.get("messageID", message.message_id)
        for recipient in message.envelope.recipients
        for happening in _story(message, recipient)
        if (body := tell_of(message, recipient, happening, at)) is not None
    ]
    bounces = [
        {name: value for name, value in one.items() if name not in ("Metadata", "RecordType")}
        for one in told
        if one["RecordType"] in ("Bounce", "SpamComplaint") and one["Type"] != "Transient"
    ]
    return {"TotalCount": len(bounces), "Bounces": bounces}


def _one(taken: Taken, message_id: str) -> tuple[Received, float]:
    for message, at in taken:
        if message.message_id == message_id:
            return message, at
    raise NotFound(message_id)


def mailgun(taken: Taken, domain: str, query: str, base_url: str) -> Json:
    asked = _asked(query)
    begin, limit = float(asked.get("begin", "0")), min(int(asked.get("limit", "100")), 300)
    items = [
        json.loads(mailgun_event(message, recipient, happening, at))["event-data"]
        for message, at in reversed(taken)
        if at >= begin and message.message_id.endswith(f"@{unquote(domain)}>")
        for recipient in message.envelope.recipients
        if asked.get("recipient", recipient).lower() == recipient.lower()
        for happening in _story(message, recipient, Happening.QUEUED)
    ]
    paging = {name: f"{base_url}/v3/{domain}/events/{name}" for name in ("next", "previous", "first", "last")}
    return {"items": items[:limit], "paging": paging}


def sparkpost(taken: Taken, query: str) -> Json:
    """Raises Wrong where `from` is no time of the documented form."""
    asked = _asked(query)
    wanted = {address.lower() for address in asked.get("recipients", "").split(",") if address}
    begin = 0.0
    if "from" in asked:
        try:
            begin = datetime.strptime(asked["from"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError as error:
            raise Wrong from error
    results = [
        {**event, "timestamp": _moment(at)}
        for message, at in taken
        if at >= begin
        for recipient in message.envelope.recipients
        if not wanted or recipient.lower() in wanted
        for happening in _story(message, recipient, Happening.QUEUED)
        if (body := event_body(message, recipient, happening, at)) is not None
        for event in json.loads(body)[0]["msys"].values()
    ]
    return {
        "results": results[: int(asked.get("per_page", "1000"))],
        "total_count": len(results),
        "links": {},
    }


_MAILJET_STATUS = {
    Happening.DELIVERED: "sent",
    Happening.BOUNCED_HARD: "hardbounced",
    Happening.BOUNCED_SOFT: "softbounced",
    Happening.DEFERRED: "deferred",
    Happening.DROPPED: "blocked",
    Happening.DROPPED_LISTED: "blocked",
    Happening.COMPLAINED: "spam",
    Happening.OPENED: "opened",
    Happening.CLICKED: "clicked",
    Happening.UNSUBSCRIBED: "unsub",
}
_MAILJET_STATES = {Happening.BOUNCED_HARD: 1, Happening.BOUNCED_SOFT: 3, Happening.DROPPED: 8}


def mailjet(taken: Taken, query: str) -> Json:
    asked = _asked(query)
    wanted = asked.get("CustomID")
    found = [
        _mailjet_message(message, recipient, at, asked)
        for message, at in taken
        if wanted is None or message.custom_args.get("CustomID") == wanted
        for recipient in message.envelope.recipients
    ]
    return {"Count": len(found), "Data": found[: int(asked.get("Limit", "10"))], "Total": len(found)}


def _mailjet_message(message: Received, recipient: str, at: float, asked: dict[str, str]) -> Json:
    last = (_story(message, recipient) or [Happening.QUEUED])[-1]
    shown = {
        "CustomID": message.custom_args.get("CustomID", "") if asked.get("ShowCustomID") == "true" else "",
        "ContactAlt": recipient if asked.get("ShowContactAlt") == "true" else "",
    }
    return {
        "ArrivedAt": _moment(at), "AttachmentCount": 0, "AttemptCount": 0, "CampaignID": 1, "ContactID": 1, "Delay": 0,
        "DestinationID": 1, "FilterTime": 0, "ID": int(message.message_id), "IsClickTracked": False,
        "IsHTMLPartIncluded": False, "IsOpenTracked": False, "IsTextPartIncluded": True, "IsUnsubTracked": False,
        "MessageSize": message.size, "SenderID": 1, "SpamassassinScore": 0, "SpamassRules": "", "StatePermanent": False,
        "StateID": _MAILJET_STATES.get(last, 0), "Status": _MAILJET_STATUS.get(last, "queued"), **shown,
    }  # fmt: skip


_SENDGRID_NAMES = {"bounce": "bounced", "open": "opened", "click": "clicked", "spamreport": "spam_report"}


def sendgrid_messages(taken: Taken, query: str) -> Json:
    """Of queries this knows one form only: (unique_args['name']="value"). Raises Wrong for another."""
    asked = _asked(query)
    wanted = asked.get("query", "")
    if not (wanted.startswith("(unique_args['") and wanted.endswith('")') and wanted.count("']=\"") == 1):
        raise Wrong
    name, value = wanted.removeprefix("(unique_args['").removesuffix('")').split("']=\"")
    found = [
        {
            part: told[part]
            for part in ("from_email", "msg_id", "subject", "to_email", "status", "last_event_time")
        }
        | {"opens_count": 0, "clicks_count": 0}
        for message, at in taken
        if message.custom_args.get(name) == value
        for told in _sendgrid_details(message, at)
    ]
    return {"messages": found[: int(asked.get("limit", "10"))]}


def sendgrid_details(taken: Taken, message_id: str) -> Json:
    """Raises NotFound."""
    for message, at in taken:
        for told in _sendgrid_details(message, at):
            if told["msg_id"] == message_id:
                return told
    raise NotFound(message_id)


def _sendgrid_details(message: Received, at: float) -> Iterator[Json]:
    for recipient in message.envelope.recipients:
        events, digest = [], hashlib.sha256(recipient.encode()).hexdigest()
        for happening in _story(message, recipient, Happening.QUEUED):
            (told,) = json.loads(sendgrid_event(message, recipient, happening, at))
            event = {
                "event_name": _SENDGRID_NAMES.get(told["event"], told["event"]),
                "processed": _moment(at),
            }
            if told["event"] == "bounce":
                event["bounce_type"] = "soft" if told["type"] == "blocked" else "hard"
            events.append(event | {name: told[name] for name in ("reason", "url") if name in told})
        names = [event["event_name"] for event in events]
        if "dropped" in names:
            events = [event for event in events if event["event_name"] != "processed"]
        bad = {"bounced", "dropped"} & set(names)
        yield {
            "from_email": message.sender.email,
            "msg_id": f"{message.message_id}.filterdrecv-sandbox-1-{digest[:8]}.0",
            "subject": message.subject,
            "to_email": recipient,
            "status": "not_delivered" if bad else "delivered" if "delivered" in names else "processing",
            "last_event_time": _moment(at),
            "unique_args": json.dumps(message.custom_args),
            "categories": list(message.categories),
            "events": events,
        }
