"""Postmark's API, as far as sending goes: POST /email, POST /email/batch, GET /server; its lists and its search; and
its webhooks.

Sources: postmarkapp.com/developer: api/overview (error codes), api/email-api, webhooks/*. A field that the page does
not know is refused: silence about a misspelt one would hide it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sandbox import lists, searches
from sandbox.dialect import Answer, Call, Dialect, Purpose, Refused, Taken, json_answer
from sandbox.mailboxes import read_mailbox, read_mailboxes
from sandbox.messages import Envelope, Mailbox, Received, ReceivedAttachment
from sandbox.stories import Happening, Signed

_METHODS = {"/email": "POST", "/email/batch": "POST", "/server": "GET"} | dict.fromkeys(
    (lists.POSTMARK_STREAMS, *lists.POSTMARK_DUMPS, *searches.POSTMARK), "GET"
)
_DETAILS = re.compile(r"/messages/outbound/([^/]+)/details")
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "From": str, "To": str, "Cc": str, "Bcc": str, "ReplyTo": str, "Subject": str, "Tag": str, "HtmlBody": str,
    "TextBody": str, "Headers": list, "TrackOpens": bool, "TrackLinks": str, "Attachments": list, "Metadata": dict,
    "MessageStream": str,
}  # fmt: skip
_ATTACHMENT = {"Name", "Content", "ContentType", "ContentID"}
_MOST_BATCHED = 500
# Postmark's document leaves these out of a refused email's result, and its own SDK demands them.
_EMPTY = {"To": "", "SubmittedAt": "0001-01-01T00:00:00Z", "MessageID": str(uuid.UUID(int=0))}
_REFUSALS = {
    "unavailable": (503, 100, "Service unavailable: maintenance"),
    "ratelimit": (429, 429, "Rate limit exceeded"),
    "auth": (
        401,
        10,
        "The Server Token you provided in the X-Postmark-Server-Token request header was invalid.",
    ),
    "reject": (422, 300, "Invalid 'To' address."),
    "sender": (
        422,
        400,
        "The 'From' address you supplied is not a Sender Signature on your account.",
    ),
}


class Postmark(Dialect):
    name = "postmark"
    max_body = 50 << 20
    methods = _METHODS
    server = "nginx"

    def check(self, call: Call) -> Answer | None:
        given = (call.headers.get("X-Postmark-Server-Token") or "").strip()
        if not hmac.compare_digest(given.encode(), self.account.credentials["server_token"].encode()):
            return self.refusal("auth", 0)
        return None

    def take(self, call: Call) -> Taken:
        if call.media_type != "application/json":
            raise Refused(_error(415, 409, "JSON is required."))
        try:
            data = json.loads(call.body)
        except (ValueError, RecursionError) as error:
            raise Refused(_error(422, 402, "Invalid JSON.")) from error
        if call.path == "/email":
            if len(call.body) > 14 << 20:  # 10 MB, encoded
                raise Refused(_error(413, 300, "The email is larger than 10 MB."))
            message = self._message(data, len(call.body))
            return Taken([message], json_answer(200, _accepted(message)))
        if not isinstance(data, list) or not data or len(data) > _MOST_BATCHED:
            raise Refused(_error(422, 410, "A batch is a list of 1 to 500 messages."))
        messages, answers = [], []
        for entry in data:
            try:
                message = self._message(entry, len(json.dumps(entry)))
            except Refused as refused:
                answers.append({**_EMPTY, **json.loads(refused.answer.body)})
            else:
                messages.append(message)
                answers.append(_accepted(message))
        return Taken(messages, json_answer(200, answers))

    def _message(self, data: Any, size: int) -> Received:
        if not isinstance(data, dict):
            raise Refused(_error(422, 402, "A message is an object."))
        for name, value in data.items():
            kind = _FIELDS.get(name)
            if kind is None or not isinstance(value, kind):
                raise Refused(_error(422, 403, f"Invalid field '{name}'."))
        sender = _people(data, "From", read_one=True)[0]
        to, cc, bcc = (_people(data, name) if data.get(name) else () for name in ("To", "Cc", "Bcc"))
        everybody = (*to, *cc, *bcc)
        if not everybody:
            raise Refused(_error(422, 300, "Zero recipients specified."))
        if len(everybody) > 50:
            raise Refused(_error(422, 300, "At most 50 recipients per message."))
        if not (data.get("HtmlBody") or data.get("TextBody")):
            raise Refused(_error(422, 300, "Provide either email TextBody or HtmlBody or both."))
        inactive = {entry.address.lower() for entry in self.lists.of(*lists.REASONS)}
        if all(mailbox.email.lower() in inactive for mailbox in everybody):
            names = ", ".join(mailbox.email for mailbox in everybody)
            words = "You tried to send to recipient(s) that have been marked as inactive."
            raise Refused(_error(422, 406, f"{words} Found inactive addresses: {names}."))
        return Received(
            account=self.account.name,
            dialect=self.name,
            message_id=str(uuid.uuid4()),
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            envelope=Envelope(sender.email, tuple(m.email for m in everybody)),
            subject=data.get("Subject", ""),
            text=data.get("TextBody", ""),
            html=data.get("HtmlBody", ""),
            headers=tuple(_headers(data.get("Headers", []))),
            attachments=tuple(_attachment(entry) for entry in data.get("Attachments", [])),
            reply_to=_people(data, "ReplyTo") if data.get("ReplyTo") else (),
            categories=(data["Tag"],) if data.get("Tag") else (),
            custom_args=_metadata(data.get("Metadata", {})),
            stream=data.get("MessageStream", ""),
            size=size,
        )

    def purpose(self, call: Call) -> Purpose:
        if _DETAILS.fullmatch(call.path):
            return Purpose.ASKING if call.method == "GET" else Purpose.WRONG_METHOD
        return super().purpose(call)

    def tell(self, call: Call) -> Answer:
        if call.path in searches.POSTMARK or _DETAILS.fullmatch(call.path):
            return self._search(call)
        if call.path != "/server":
            return json_answer(200, lists.postmark(self.lists, call.path))
        return json_answer(200, {"ID": 1, "Name": self.account.name, "DeliveryType": "Live"})

    def _search(self, call: Call) -> Answer:
        taken = self.taken()
        try:
            if (details := _DETAILS.fullmatch(call.path)) is not None:
                return json_answer(200, searches.postmark_details(taken, details[1]))
            if call.path == "/bounces":
                return json_answer(200, searches.postmark_bounces(taken, call.query, self.tell_of))
            return json_answer(200, searches.postmark_messages(taken, call.query))
        except searches.Wrong:
            return _error(422, 600, "The 'count' and 'offset' parameters are required.")
        except searches.NotFound:
            return _error(422, 701, "This message was not found.")

    def error(self, status: int, message: str) -> Answer:
        return _error(status, status, message)

    def refusal(self, mode: str, seconds: float) -> Answer:  # noqa: ARG002 - it does not say when to come back
        return _error(*_REFUSALS[mode])

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        told = _TOLD.get(happening)
        if told is None:
            return None
        record, moment, fields = told
        content = {
            "RecordType": record,
            "ServerID": 1,
            "MessageStream": message.stream or "outbound",
            "MessageID": message.message_id,
            "Tag": message.categories[0] if message.categories else "",
            "Metadata": message.custom_args,
            moment: datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "Email" if record in ("Bounce", "SpamComplaint") else "Recipient": recipient,
            **fields,
        }
        if record in ("Bounce", "SpamComplaint"):
            digest = hashlib.sha256(f"{message.message_id} {recipient} {happening.value}".encode()).digest()
            content["ID"] = int.from_bytes(digest[:6], "big")
        return json.dumps(content).encode()

    def sign(self, body: bytes, at: float) -> Signed:  # noqa: ARG002 - nothing is signed
        secret = self.account.webhook["secret"]
        basic = base64.b64encode(f"{secret['username']}:{secret['password']}".encode()).decode()
        return Signed({"Authorization": f"Basic {basic}"}, body)


# Its record, the field of the time, and what else stands in it.
_TOLD: dict[Happening, tuple[str, str, dict[str, Any]]] = {
    Happening.DELIVERED: ("Delivery", "DeliveredAt", {"Details": "smtp;250 2.0.0 OK"}),
    Happening.BOUNCED_HARD: (
        "Bounce",
        "BouncedAt",
        {
            "Type": "HardBounce",
            "TypeCode": 1,
            "Name": "Hard bounce",
            "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
            "Details": "smtp;550 5.1.1 The email account that you tried to reach does not exist.",
            "Inactive": True,
        },
    ),
    Happening.BOUNCED_SOFT: (
        "Bounce",
        "BouncedAt",
        {
            "Type": "SoftBounce",
            "TypeCode": 4096,
            "Name": "Soft bounce",
            "Description": "Unable to temporarily deliver message (i.e. mailbox full, account disabled).",
            "Details": "smtp;552 5.2.2 Mailbox full",
            "Inactive": False,
        },
    ),
    Happening.DEFERRED: (
        "Bounce",
        "BouncedAt",
        {
            "Type": "Transient",
            "TypeCode": 2,
            "Name": "Message delayed",
            "Description": "The server could not temporarily deliver your message (ex: Message is delayed).",
            "Details": "smtp;451 4.7.1 Try again later",
            "Inactive": False,
        },
    ),
    Happening.DROPPED_LISTED: (
        "Bounce",
        "BouncedAt",
        {
            "Type": "BadEmailAddress",
            "TypeCode": 100000,
            "Name": "Invalid email address",
            "Description": "The address is not a valid email address.",
        },
    ),
    Happening.DROPPED: (
        "Bounce",
        "BouncedAt",
        {
            "Type": "Blocked",
            "TypeCode": 100006,
            "Name": "ISP block",
            "Description": "Blocked from this ISP due to content or blocklisting.",
        },
    ),
    Happening.COMPLAINED: (
        "SpamComplaint",
        "BouncedAt",
        {
            "Type": "SpamComplaint",
            "TypeCode": 512,
            "Name": "Spam complaint",
            "Description": "The subscriber explicitly marked this message as spam.",
        },
    ),
    Happening.OPENED: ("Open", "ReceivedAt", {"FirstOpen": True, "UserAgent": "Sandbox/1.0"}),
    Happening.CLICKED: (
        "Click",
        "ReceivedAt",
        {"OriginalLink": "https://example.com/", "UserAgent": "Sandbox/1.0"},
    ),
    Happening.UNSUBSCRIBED: (
        "SubscriptionChange",
        "ChangedAt",
        {"SuppressSending": True, "SuppressionReason": "ManualSuppression", "Origin": "Recipient"},
    ),
}


def _accepted(message: Received) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "To": ", ".join(str(mailbox) for mailbox in message.to),
        "SubmittedAt": now,
        "MessageID": message.message_id,
        "ErrorCode": 0,
        "Message": "OK",
    }


def _error(status: int, code: int, message: str) -> Answer:
    return json_answer(status, {"ErrorCode": code, "Message": message})


def _people(data: dict[str, Any], field: str, read_one: bool = False) -> tuple[Mailbox, ...]:
    try:
        return (read_mailbox(data[field]),) if read_one else read_mailboxes(data[field])
    except (ValueError, KeyError, AttributeError) as error:
        raise Refused(_error(422, 300, f"Invalid '{field}' address.")) from error


def _headers(headers: list[Any]) -> Iterator[tuple[str, str]]:
    for entry in headers:
        name, value = (entry.get("Name"), entry.get("Value")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, str) or not re.fullmatch(r"[!-9;-~]+", name):
            raise Refused(_error(422, 300, "Invalid 'Headers'."))
        if re.search(r"[\r\n]", value):
            raise Refused(_error(422, 300, f"Invalid header '{name}'."))
        yield name, value


def _metadata(given: dict[str, Any]) -> dict[str, str]:
    for name, value in given.items():
        if len(name) > 20 or not isinstance(value, str) or len(value) > 80:
            raise Refused(_error(422, 300, "Metadata names have 20 characters at most, values 80."))
    if len(given) > 10:
        raise Refused(_error(422, 300, "At most 10 metadata fields."))
    return dict(given)


def _attachment(entry: Any) -> ReceivedAttachment:
    if not isinstance(entry, dict) or entry.keys() - _ATTACHMENT or not entry.get("Name"):
        raise Refused(_error(422, 300, "Invalid 'Attachments'."))
    try:
        raw = base64.b64decode(entry.get("Content", ""), validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Refused(_error(422, 300, "An attachment is not base64.")) from error
    content_id = str(entry.get("ContentID", "")).removeprefix("cid:")
    return ReceivedAttachment(
        name=entry["Name"],
        type=entry.get("ContentType", "application/octet-stream"),
        size=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        disposition="inline" if content_id else "attachment",
        content_id=content_id,
    )
