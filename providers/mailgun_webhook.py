"""Mailgun's webhooks: JSON with `event-data`, and the form of accounts from before 2018.

Sources: the user manual, "Tracking messages", "Automatic Retries" (for eight hours) and "Securing webhooks":
HMAC-SHA256 of timestamp and token; Mailgun's reference of events for reasons and codes. The body itself is not signed,
so the token may be used once only (`nonce`). An event's `id` is unique and the same when the call is repeated; the
legacy form has none, there the token stands in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.utils import parseaddr
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict

from domain.events import (
    BounceClass,
    DeliveryEvent,
    EventType,
    Forged,
    RejectReason,
    Verified,
    WebhookRequest,
)
from providers.fields import ATTEMPT, EMAIL, SecretKey
from providers.webhooks import (
    JSONWebhook,
    attempt_of,
    email_of,
    embedded,
    enhanced_code,
    hmac_hex,
    instant,
    lately,
    loads,
    mapping,
    texts,
    word,
    words,
)
from providers.world import World

_KINDS = {
    "accepted": EventType.QUEUED,
    "rejected": EventType.REJECTED,
    "delivered": EventType.DELIVERED,
    "failed": EventType.BOUNCED,
    "bounced": EventType.BOUNCED,  # this and the next are the legacy form's
    "dropped": EventType.REJECTED,
    "opened": EventType.OPENED,
    "clicked": EventType.CLICKED,
    "unsubscribed": EventType.UNSUBSCRIBED,
    "complained": EventType.COMPLAINED,
}
# Codes of Mailgun's own, for what it did not even try.
_SUPPRESSED = {
    605: RejectReason.BOUNCED,
    606: RejectReason.UNSUBSCRIBED,
    607: RejectReason.SPAM,
    625: RejectReason.BLOCKED,
}
# For how long Mailgun repeats a call, and an hour more: it does not say that each is signed anew, and none is to be
# lost where we were away. Others take five minutes, which would lose those. The price: the body is not signed, and
# who has kept a call that never came here may make one of their own of it in that time. One that came gives them
# nothing, since its token is used once, and known for longer than this (db.repositories.retention).
_REPEATS = timedelta(hours=9)
_TIMED_OUT = frozenset({498, 499})
# What Mailgun itself says of a failure, where its code says nothing.
_REASONS = {
    "suppress-bounce": RejectReason.BOUNCED,
    "suppress-unsubscribe": RejectReason.UNSUBSCRIBED,
    "suppress-complaint": RejectReason.SPAM,
    "bounce": RejectReason.BOUNCED,
    "espblock": RejectReason.BLOCKED,
    "generic": RejectReason.OTHER,
}
_TOKEN = re.compile(r"[\x21-\x7e]{1,200}")  # documented: 50 characters, random
_SIGNATURE = ("timestamp", "token", "signature")
# Those of all events that do not quote the email's head; "clicked" has a url besides.
_LEGACY_FIELDS = frozenset(
    {
        *_SIGNATURE, "event", "recipient", "attachment-count", "campaign-id", "campaign-name", "city", "client-name",
        "client-os", "client-type", "code", "country", "description", "device-type", "domain", "error", "h", "ip",
        "mailing-list", "message-headers", "message-id", "notification", "reason", "region", "tag", "user-agent",
        "x-mailgun-sid", "x-mailgun-tag", "attachment", "body-plain",
    }
)  # fmt: skip


class WebhookSecret(BaseModel):
    """The account's "HTTP webhook signing key", which is not its API key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signing_key: SecretKey


class Webhook(JSONWebhook[WebhookSecret]):
    def prove(self, request: WebhookRequest, secret: WebhookSecret, now: datetime) -> Verified:
        try:
            (item,) = self.items(request)
            signature = item["signature"]
            token, stamp, given = (str(signature[part]) for part in ("token", "timestamp", "signature"))
        except (ValueError, TypeError, LookupError) as error:
            raise Forged("the signature is missing or wrong") from error
        hmac_hex(given, secret.signing_key.get_secret_value().encode(), f"{stamp}{token}".encode())
        lately(stamp, now, _REPEATS)
        if not _TOKEN.fullmatch(token):
            raise Forged("the token is none of Mailgun's")
        return Verified(nonce=token)

    def items(self, request: WebhookRequest) -> Iterable[Mapping[str, Any]]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        item = loads(request.body) if kind in ("application/json", "") else _from_form(kind, request)
        if not isinstance(item, dict):
            raise ValueError("not an object")
        return [item]

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        data, signature = item["event-data"], item["signature"]
        status, reject = mapping(data.get("delivery-status")), mapping(data.get("reject"))
        headers = mapping(mapping(data.get("message")).get("headers"))
        kind, reason, bounce = _meaning(data, status)
        said, answered = word(status.get("description")), word(status.get("message"))
        message_id = word(headers.get("message-id"))
        variables = texts(data.get("user-variables"))
        yield DeliveryEvent(
            type=kind,
            event_id=word(data.get("id")) or word(signature["token"]),
            occurred_at=instant(data.get("timestamp")),
            recipient=word(data.get("recipient")) or parseaddr(word(headers.get("to")) or "")[1] or None,
            attempt_id=attempt_of(variables),
            email_id=email_of(variables),
            provider_message_id=f"<{message_id.strip('<>')}>" if message_id else None,
            reject_reason=reason,
            bounce=bounce,
            status_code=enhanced_code(answered, said, word(status.get("enhanced-code"))),
            description=said or word(reject.get("reason")) or word(reject.get("description")),
            mta_response=answered,
            click_url=word(data.get("url")),
            user_agent=word(mapping(data.get("client-info")).get("user-agent")),
            tags=words(data.get("tags")),
            metadata={name: value for name, value in variables.items() if name not in (ATTEMPT, EMAIL)},
        )


def _meaning(
    data: Mapping[str, Any], status: Mapping[str, Any]
) -> tuple[EventType, RejectReason | None, BounceClass | None]:
    event, reason = word(data.get("event")) or "", word(data.get("reason"))
    kind = _KINDS.get(event, EventType.UNKNOWN)
    if event not in ("failed", "bounced", "dropped", "rejected"):
        return kind, None, None
    code = _number(status.get("code"))
    timed_out = code in _TIMED_OUT or reason == "old"
    if event == "failed" and data.get("severity") == "temporary":
        other = _REASONS.get(reason or "", RejectReason.OTHER)
        return EventType.DEFERRED, RejectReason.TIMED_OUT if timed_out else other, None
    if event in ("failed", "dropped") and code in _SUPPRESSED:
        return EventType.REJECTED, _SUPPRESSED[code], None
    if event == "failed" and reason is not None and reason.startswith("suppress-"):
        return EventType.REJECTED, _REASONS.get(reason, RejectReason.OTHER), None
    if timed_out:
        return kind, RejectReason.TIMED_OUT, BounceClass.SOFT if kind is EventType.BOUNCED else None
    if kind is EventType.REJECTED:
        by_host = event == "dropped" and re.match(r"[45](?:\d\d$|\.)", word(status.get("code")) or "")
        return kind, RejectReason.BOUNCED if by_host else RejectReason.OTHER, None
    soft = word(status.get("bounce-type")) == "soft"
    because = _REASONS.get(reason or "", RejectReason.BOUNCED)
    return kind, because, BounceClass.SOFT if soft else BounceClass.HARD


def _number(value: object) -> int | None:
    text = word(value) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None


def _from_form(kind: str, request: WebhookRequest) -> dict[str, Any]:
    """The legacy form as the JSON of today. Raises ValueError.

    A variable of the user's may have the name of a field, and comes as another field of that name: those of the
    signature are the last ones then, all others the first. Of two tags nobody can say whether one is a variable.
    """
    fields = _fields(kind, request)
    places: dict[str, list[int]] = {}
    for place, (name, _) in enumerate(fields):
        places.setdefault(name.lower(), []).append(place)
    owned = {name: at[-1 if name in _SIGNATURE else 0] for name, at in places.items()}
    own = {name: fields[place][1] for name, place in owned.items()}
    known = _LEGACY_FIELDS | ({"url"} if own.get("event") == "clicked" else set())
    foreign = {
        name: value
        for place, (name, value) in enumerate(fields)
        if name.lower() not in known
        or (place != owned[name.lower()] and name.lower() not in ("tag", "x-mailgun-tag"))
    }
    head = list(_pairs(own.get("message-headers")))
    headers = dict(head)
    merged: dict[str, Any] = {}
    for name, value in head:
        if name == "x-mailgun-variables":
            merged |= embedded(value)
    variables = merged if "message-headers" in own else foreign
    return {
        "signature": {name: own[name] for name in _SIGNATURE if name in own},
        "event-data": {
            "event": own.get("event"),
            "recipient": own.get("recipient"),
            "timestamp": own.get("timestamp"),
            "reason": own.get("reason"),
            "url": own.get("url"),
            "tags": [v for n, v in fields if n.lower() in ("tag", "x-mailgun-tag")],
            "user-variables": variables,
            "client-info": {"user-agent": own.get("user-agent")},
            "message": {"headers": {"message-id": own.get("message-id") or headers.get("message-id")}},
            "delivery-status": {
                "code": own.get("code"),
                "message": own.get("error") or own.get("notification"),
                "description": own.get("description"),
            },
        },
    }


def _fields(kind: str, request: WebhookRequest) -> list[tuple[str, str]]:
    if kind == "application/x-www-form-urlencoded":
        text = request.body.decode("utf-8", "replace")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=1000)
    if kind != "multipart/form-data":
        raise ValueError("neither JSON nor a form")
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode("latin-1", "replace")
    form = message_from_bytes(head + request.body, policy=policy.HTTP)
    found = []
    for part in form.iter_parts() if form.is_multipart() else ():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found.append((name, content.decode("utf-8", "replace")))
    return found


def _pairs(text: str | None) -> Iterable[tuple[str, str]]:
    """The email's headers, as a JSON list of pairs."""
    found = json.loads(text) if text else []
    for pair in found if isinstance(found, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair):
            yield pair[0].lower(), pair[1]


def webhook(_name: str, _config: Any, secrets: Sequence[WebhookSecret], _world: World) -> Webhook:
    return Webhook(secrets)
