"""The webhooks of Brevo, SparkPost, Mailjet, MailerSend and Mailtrap: what each tells, and what proves its calls.

Sources: developers.brevo.com/docs/transactional-webhooks; SparkPost's event reference; Mailjet's guide "Event
tracking"; developers.mailersend.com, "Webhooks" (second version); docs.mailtrap.io, "Webhooks".
"""

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from typing import Any

from sandbox.messages import Received
from sandbox.stories import Happening, Signed

_H = Happening
_HARD, _SOFT, _LATER = "550 5.1.1 user unknown", "552 5.2.2 mailbox full", "451 4.7.1 try again later"
_LINK, _BROWSER = "https://example.com/", "Sandbox/1.0"
Told = dict[Happening, tuple[str, dict[str, Any]]]

_BREVO: Told = {
    _H.QUEUED: ("request", {}),
    _H.DELIVERED: ("delivered", {}),
    _H.BOUNCED_HARD: ("hard_bounce", {"reason": _HARD}),
    _H.BOUNCED_SOFT: ("soft_bounce", {"reason": _SOFT}),
    _H.DEFERRED: ("deferred", {"reason": _LATER}),
    _H.DROPPED_LISTED: ("blocked", {"reason": "blocked : due to blacklist user"}),
    _H.DROPPED: ("error", {"reason": "the email could not be made"}),
    _H.COMPLAINED: ("spam", {}),
    _H.OPENED: ("opened", {}),
    _H.CLICKED: ("click", {"link": _LINK}),
    _H.UNSUBSCRIBED: ("unsubscribe", {}),
}
_BOUNCE = {"error_code": "550", "raw_reason": _HARD, "reason": _HARD}
_SPARKPOST: Told = {
    _H.QUEUED: ("message_event injection", {}),
    _H.DELIVERED: ("message_event delivery", {}),
    _H.BOUNCED_HARD: ("message_event bounce", {"bounce_class": "10", **_BOUNCE}),
    _H.BOUNCED_SOFT: ("message_event bounce", {"bounce_class": "22", "raw_reason": _SOFT, "reason": _SOFT}),
    _H.DEFERRED: ("message_event delay", {"bounce_class": "70", "raw_reason": _LATER, "reason": _LATER}),
    _H.DROPPED_LISTED: (
        "gen_event generation_rejection",
        {"raw_reason": "554 5.7.1 recipient address suppressed due to customer policy"},
    ),
    _H.DROPPED: (
        "gen_event generation_failure",
        {"raw_reason": "554 5.3.3 [internal] Error while rendering"},
    ),
    _H.COMPLAINED: ("message_event spam_complaint", {"fbtype": "abuse"}),
    _H.OPENED: ("track_event open", {"user_agent": _BROWSER}),
    _H.CLICKED: ("track_event click", {"user_agent": _BROWSER, "target_link_url": _LINK}),
    _H.UNSUBSCRIBED: ("unsubscribe_event list_unsubscribe", {}),
}
_MAILJET: Told = {
    _H.DELIVERED: ("sent", {"smtp_reply": "sent (250 2.0.0 OK)"}),
    _H.BOUNCED_HARD: (
        "bounce",
        {"blocked": True, "hard_bounce": True, "error_related_to": "recipient", "error": "user unknown"},
    ),
    _H.BOUNCED_SOFT: (
        "bounce",
        {"blocked": False, "hard_bounce": False, "error_related_to": "recipient", "error": "quota exceeded"},
    ),
    _H.DEFERRED: (
        "bounce",
        {"blocked": False, "hard_bounce": False, "error_related_to": "domain", "error": "greylisted"},
    ),
    _H.DROPPED_LISTED: ("blocked", {"error_related_to": "mailjet", "error": "preblocked"}),
    _H.DROPPED: ("blocked", {"error_related_to": "spam", "error": "content blocked"}),
    _H.COMPLAINED: ("spam", {"source": "JMRPP"}),
    _H.OPENED: ("open", {"ip": "127.0.0.1", "geo": "", "agent": _BROWSER}),
    _H.CLICKED: ("click", {"url": _LINK, "ip": "127.0.0.1", "geo": "", "agent": _BROWSER}),
    _H.UNSUBSCRIBED: ("unsub", {"mj_list_id": 0, "ip": "127.0.0.1", "geo": "", "agent": _BROWSER}),
}
_MAILERSEND: Told = {
    _H.QUEUED: ("sent", {}),
    _H.DELIVERED: ("delivered", {}),
    _H.BOUNCED_HARD: ("hard_bounced", {"bounce_code": "5.1.1", "bounce_reason": _HARD}),
    _H.BOUNCED_SOFT: ("soft_bounced", {"bounce_code": "5.2.2", "bounce_reason": _SOFT}),
    _H.DEFERRED: ("deferred", {"bounce_reason": _LATER}),
    _H.DROPPED_LISTED: ("suppressed", {"suppression_reason": "hard_bounced"}),
    _H.COMPLAINED: ("spam_complaints", {}),
    _H.OPENED: ("opened", {"ip": "127.0.0.1", "user_agent": _BROWSER}),
    _H.CLICKED: ("clicked", {"ip": "127.0.0.1", "user_agent": _BROWSER, "url": _LINK}),
    _H.UNSUBSCRIBED: ("unsubscribed", {"unsubscribe_reason": "I get too many emails"}),
}
_MAILTRAP: Told = {
    _H.DELIVERED: ("delivery", {}),
    _H.BOUNCED_HARD: (
        "bounce",
        {"response": _HARD, "response_code": 550, "bounce_category": "badmailbox"},
    ),
    _H.BOUNCED_SOFT: (
        "soft bounce",
        {"response": _SOFT, "response_code": 552, "bounce_category": "quotaissues"},
    ),
    _H.DROPPED_LISTED: ("reject", {"reason": "Recipient is in the suppression list"}),
    _H.DROPPED: ("suspension", {"reason": "other"}),
    _H.COMPLAINED: ("spam", {}),
    _H.OPENED: ("open", {"ip": "127.0.0.1", "user_agent": _BROWSER}),
    _H.CLICKED: ("click", {"ip": "127.0.0.1", "user_agent": _BROWSER, "url": _LINK}),
    _H.UNSUBSCRIBED: ("unsubscribe", {"ip": "127.0.0.1", "user_agent": _BROWSER}),
}
_ALL = {
    "brevo": _BREVO,
    "sparkpost": _SPARKPOST,
    "mailjet": _MAILJET,
    "mailersend": _MAILERSEND,
    "mailtrap": _MAILTRAP,
}


def event_body(message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
    """The call of the message's own dialect; None where that provider does not tell of such a thing."""
    told = _ALL[message.dialect].get(happening)
    if told is None:
        return None
    kind, more = told
    event_id = hashlib.sha256(f"{message.message_id} {recipient} {happening.value}".encode()).hexdigest()
    make = {
        "brevo": _brevo,
        "sparkpost": _sparkpost,
        "mailjet": _mailjet,
        "mailersend": _mailersend,
        "mailtrap": _mailtrap,
    }[message.dialect]
    return json.dumps(make(message, recipient, kind, more, at, event_id)).encode()


def _tag(message: Received) -> str:
    return message.categories[0] if message.categories else ""


def _brevo(m: Received, recipient: str, kind: str, more: dict[str, Any], at: float, _id: str) -> Any:
    second = int(at)
    return {
        "event": kind, "email": recipient, "id": 26224, "message-id": m.message_id, "subject": m.subject,
        "date": datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S"), "ts": second, "ts_event": second,
        "ts_epoch": int(at * 1000), "X-Mailin-custom": json.dumps(m.custom_args), "tags": list(m.categories),
        "sending_ip": "127.0.0.1", **more,
    }  # fmt: skip


def _sparkpost(m: Received, recipient: str, kind: str, more: dict[str, Any], at: float, event_id: str) -> Any:
    group, _, name = kind.partition(" ")
    event = {
        "type": name, "event_id": str(int(event_id[:14], 16)), "customer_id": "1", "message_id": event_id[:20],
        "transmission_id": m.message_id, "rcpt_to": recipient.lower(), "raw_rcpt_to": recipient, "subject": m.subject,
        "campaign_id": _tag(m), "rcpt_meta": m.custom_args, "timestamp": str(int(at)), **more,
    }  # fmt: skip
    return [{"msys": {group: event}}]


def _mailjet(m: Received, recipient: str, kind: str, more: dict[str, Any], at: float, _id: str) -> Any:
    payload = {name: value for name, value in m.custom_args.items() if name != "CustomID"}
    return {
        "event": kind, "time": int(at), "email": recipient, "MessageID": int(m.message_id), "mj_campaign_id": 1,
        "mj_contact_id": 1, "customcampaign": _tag(m), "CustomID": m.custom_args.get("CustomID", ""),
        "Payload": json.dumps(payload), **more,
    }  # fmt: skip


def _mailersend(
    m: Received, recipient: str, kind: str, more: dict[str, Any], at: float, event_id: str
) -> Any:
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = {
        "object": "activity", "id": event_id[:24], "type": kind, "message_id": m.message_id, "recipient": recipient,
        "subject": m.subject, "tags": list(m.categories), "meta": more or [],
    }  # fmt: skip
    return {"type": f"activity.{kind}", "domain_id": "7nxe3yjmeq28vp0k", "created_at": moment, "data": data}


def _mailtrap(m: Received, recipient: str, kind: str, more: dict[str, Any], at: float, event_id: str) -> Any:
    event = {
        "event": kind, "timestamp": int(at), "sending_stream": "transactional", "category": _tag(m),
        "custom_variables": m.custom_args, "message_id": m.message_id, "email": recipient,
        "event_id": f"{event_id[:8]}-{event_id[8:12]}-4{event_id[13:16]}-8{event_id[17:20]}-{event_id[20:32]}", **more,
    }  # fmt: skip
    return {"events": [event]}


def fresh_credentials() -> dict[str, Any]:
    """Of those who sign nothing."""
    return {"secret": {"username": "sandbox", "password": secrets.token_urlsafe(24)}}


def fresh_secret() -> dict[str, Any]:
    return {"secret": {"signing_secret": secrets.token_hex(16)}}


def with_credentials(webhook: dict[str, Any], body: bytes) -> Signed:
    secret = webhook["secret"]
    basic = base64.b64encode(f"{secret['username']}:{secret['password']}".encode()).decode()
    return Signed({"Authorization": f"Basic {basic}"}, body)


def with_signature(webhook: dict[str, Any], header: str, body: bytes) -> Signed:
    """HMAC-SHA256 of the raw body, in hexadecimal."""
    key = webhook["secret"]["signing_secret"].encode()
    return Signed({header: hmac.new(key, body, "sha256").hexdigest()}, body)
