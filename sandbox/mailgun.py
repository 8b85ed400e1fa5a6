"""Mailgun's API, as far as sending goes: POST /v3/{domain}/messages and …/messages.mime, GET /v3|v4/domains…; its
lists, and its events.

Sources: Mailgun's own OpenAPI document (mailgun/mailgun-mcp-server) and its user manual, "Sending messages". The words
of its refusals are theirs, since clients match on them.
"""

import hashlib
import hmac
import json
import re
import secrets
from base64 import b64encode
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from sandbox import lists, searches
from sandbox.dialect import Answer, Call, Dialect, Purpose, Refused, Taken, json_answer
from sandbox.forms import Field, InvalidForm, read_form
from sandbox.mailboxes import read_mailbox, read_mailboxes
from sandbox.mailgun_events import event_body, sign
from sandbox.messages import Envelope, Mailbox, Received, ReceivedAttachment
from sandbox.mime import parse_mime
from sandbox.stories import Happening, Signed

_SENDING = re.compile(r"/v3/([^/]+)/messages(\.mime)?")
_DOMAINS = re.compile(r"/v[34]/domains(?:/([^/]+))?")
_LISTS = re.compile(r"/v3/([^/]+)/(bounces|complaints|unsubscribes)")
_EVENTS = re.compile(r"/v3/([^/]+)/events")
_PARTS = {
    "from", "to", "cc", "bcc", "subject", "text", "html", "amp-html", "attachment", "inline", "template",
    "recipient-variables", "message",
}  # fmt: skip
_OPTIONS = {
    "tag", "dkim", "secondary-dkim", "secondary-dkim-public", "deliverytime", "deliver-within",
    "deliverytime-optimize-period", "time-zone-localize", "testmode", "tracking", "tracking-clicks", "tracking-opens",
    "require-tls", "skip-verification", "sending-ip", "sending-ip-pool", "tracking-pixel-location-top", "archive-to",
    "suppress-headers",
}  # fmt: skip
_SWITCHES = {"yes", "no", "true", "false", "htmlonly"}
_OPTIONS_BYTES = 16 * 1024
_REFUSALS = {
    "unavailable": (503, "Service Unavailable"),
    "reject": (400, "to parameter is not a valid address. please check documentation"),
    "sender": (
        403,
        "Domain example.com is not allowed to send: The domain is unverified and requires DNS configuration. Log in to "
        "your control panel to view required DNS records.",
    ),
}


class Mailgun(Dialect):
    name = "mailgun"
    max_body = 26 << 20  # "maximum message size … is 25MB", and what a form needs besides

    def purpose(self, call: Call) -> Purpose:
        if _SENDING.fullmatch(call.path):
            return Purpose.SENDING if call.method == "POST" else Purpose.WRONG_METHOD
        if _DOMAINS.fullmatch(call.path) or _LISTS.fullmatch(call.path) or _EVENTS.fullmatch(call.path):
            return Purpose.ASKING if call.method == "GET" else Purpose.WRONG_METHOD
        return Purpose.UNKNOWN

    def check(self, call: Call) -> Answer | None:
        key = b64encode(f"api:{self.account.credentials['api_key']}".encode()).decode()
        given = call.headers.get("Authorization") or ""
        if not hmac.compare_digest(given.encode("utf-8", "replace"), f"Basic {key}".encode()):
            return self.refusal("auth", 0)
        return None

    def take(self, call: Call) -> Taken:
        path = _SENDING.fullmatch(call.path)
        if path is None:
            raise AssertionError(call.path)
        domain = unquote(path[1])
        try:
            fields = read_form(call)
        except InvalidForm as error:
            raise Refused(_error(400, "Invalid form data")) from error
        for field in fields:
            _check_name(field)
        options = sum(len(f.name) + len(f.content) for f in fields if f.name[:2] in ("o:", "h:", "v:", "t:"))
        if options > _OPTIONS_BYTES:
            words = "Send options (parameters starting with o:, h:, v:, or t:) are limited to 16KB total"
            raise Refused(_error(400, words))
        message_id = f"<{secrets.token_hex(14)}@{domain}>"
        read = _read_mime if path[2] else _read_parts
        message = read(fields, self.account.name, message_id, len(call.body))
        merging = _one(fields, "recipient-variables")
        messages = _merged(message, json.loads(merging)) if merging else [message]
        return Taken(messages, json_answer(200, {"id": message_id, "message": "Queued. Thank you."}))

    def tell(self, call: Call) -> Answer:
        if (of := _LISTS.fullmatch(call.path)) is not None:
            base_url = f"http://{call.headers.get('Host')}"
            return json_answer(200, lists.mailgun(self.lists, of[1], of[2], call.query, base_url))
        if (of := _EVENTS.fullmatch(call.path)) is not None:
            base_url = f"http://{call.headers.get('Host')}"
            return json_answer(200, searches.mailgun(self.taken(), of[1], call.query, base_url))
        path = _DOMAINS.fullmatch(call.path)
        wanted = unquote(path[1]) if path and path[1] else None
        domain = {
            "id": "5f0000000000000000000001",
            "name": wanted or "example.com",
            "state": "active",
            "type": "custom",
            "created_at": "Thu, 01 Jan 2026 00:00:00 GMT",
            "smtp_login": f"postmaster@{wanted or 'example.com'}",
            "spam_action": "disabled",
        }
        if wanted:
            return json_answer(
                200, {"domain": domain, "receiving_dns_records": [], "sending_dns_records": []}
            )
        return json_answer(200, {"total_count": 1, "items": [domain]})

    def error(self, status: int, message: str) -> Answer:
        if status == 404:
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"Mailgun Magnificent API")
        return _error(status, message)

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:
        return sign(self.account.webhook["secret"]["signing_key"], body, at)

    def refusal(self, mode: str, seconds: float) -> Answer:
        if mode == "auth":
            return Answer(401, {"Content-Type": "text/plain; charset=utf-8"}, b"Forbidden")
        if mode == "ratelimit":
            wait = int(seconds + 0.999)
            words = (
                "Domain example.com is not allowed to send: account-requests-per-sec limit exceeded, "
                f"try again after {wait} seconds"
            )
            return _error(429, words)
        return _error(*_REFUSALS[mode])


def _error(status: int, message: str) -> Answer:
    return json_answer(status, {"message": message})


def _check_name(field: Field) -> None:
    """Mailgun ignores what it does not know; here a misspelt name is told."""
    name = field.name
    prefix, _, rest = name.partition(":")
    if name in _PARTS or (prefix in ("h", "v", "t") and rest):
        return
    if prefix == "o" and rest in _OPTIONS:
        if rest.startswith("tracking") and field.text not in _SWITCHES:
            raise Refused(_error(400, f"{name} must be one of {', '.join(sorted(_SWITCHES))}"))
        return
    raise Refused(_error(400, f"unknown parameter {name}"))


def _mailboxes(fields: list[Field], name: str) -> tuple[Mailbox, ...]:
    found: list[Mailbox] = []
    try:
        for field in fields:
            if field.name == name:
                found += read_mailboxes(field.text)
    except ValueError as error:
        words = f"{name} parameter is not a valid address. please check documentation"
        raise Refused(_error(400, words)) from error
    return tuple(found)


def _one(fields: list[Field], name: str) -> str:
    return next((field.text for field in fields if field.name == name), "")


def _merged(message: Received, values: dict[str, Any]) -> list[Received]:
    """Of each recipient in To an email of its own, with what stands for `%recipient.…%` filled in."""

    def filled(text: str, own: dict[str, Any]) -> str:
        return re.sub(r"%recipient\.([^%\s]+)%", lambda found: str(own.get(found[1], "")), text)

    copies = []
    for mailbox in message.to:
        own = values.get(mailbox.email) or {}
        copies.append(
            replace(
                message,
                to=(mailbox,),
                envelope=Envelope(message.envelope.sender, (mailbox.email,)),
                subject=filled(message.subject, own),
                text=filled(message.text, own),
                html=filled(message.html, own),
                custom_args={name: filled(value, own) for name, value in message.custom_args.items()},
            )
        )
    return copies


def _variables(fields: list[Field]) -> dict[str, str]:
    return {f.name[2:]: f.text for f in fields if f.name.startswith("v:")}


def _tags(fields: list[Field]) -> tuple[str, ...]:
    return tuple(f.text for f in fields if f.name == "o:tag")


def _read_parts(fields: list[Field], account: str, message_id: str, size: int) -> Received:
    to, cc, bcc = (_mailboxes(fields, kind) for kind in ("to", "cc", "bcc"))
    if not to:
        raise Refused(_error(400, "to parameter is missing"))
    if len(to) + len(cc) + len(bcc) > 1000:
        raise Refused(_error(400, "too many recipients: at most 1000"))
    try:
        sender = read_mailbox(_one(fields, "from"))
    except ValueError as error:
        raise Refused(_error(400, "from parameter is missing")) from error
    if not any(f.name in ("text", "html", "amp-html", "template") and f.content for f in fields):
        words = "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified"
        raise Refused(_error(400, words))
    if (merging := _one(fields, "recipient-variables")) and not _is_object(merging):
        raise Refused(_error(400, "recipient-variables parameter is not valid JSON"))
    headers = tuple((f.name[2:], f.text) for f in fields if f.name.startswith("h:"))
    reply_to = [value for name, value in headers if name.lower() == "reply-to"]
    return Received(
        account=account,
        dialect="mailgun",
        message_id=message_id,
        sender=sender,
        to=to,
        cc=cc,
        bcc=bcc,
        envelope=Envelope(sender.email, tuple(m.email for m in (*to, *cc, *bcc))),
        subject=_one(fields, "subject"),
        text=_one(fields, "text"),
        html=_one(fields, "html"),
        headers=headers,
        # An attachment without a name is dropped there without a word.
        attachments=tuple(_file(f) for f in fields if f.name in ("attachment", "inline") and f.filename),
        reply_to=read_mailboxes(reply_to[0]) if reply_to else (),
        categories=_tags(fields),
        custom_args=_variables(fields),
        size=size,
    )


def _read_mime(fields: list[Field], account: str, message_id: str, size: int) -> Received:
    recipients = _mailboxes(fields, "to")
    raw = next((f.content for f in fields if f.name == "message"), b"")
    if not recipients or not raw:
        raise Refused(_error(400, f"{'message' if recipients else 'to'} parameter is missing"))
    mime = parse_mime(raw)
    shown = {mailbox.email.lower() for mailbox in (*mime.to, *mime.cc)}
    return Received(
        account=account,
        dialect="mailgun",
        message_id=message_id,
        sender=mime.sender,
        to=mime.to,
        cc=mime.cc,
        bcc=tuple(m for m in recipients if m.email.lower() not in shown),
        envelope=Envelope(mime.sender.email, tuple(m.email for m in recipients)),
        subject=mime.subject,
        text=mime.text,
        html=mime.html,
        headers=mime.headers,
        attachments=mime.attachments,
        reply_to=mime.reply_to,
        categories=_tags(fields),
        custom_args=_variables(fields),
        size=size,
        defects=mime.defects,
    )


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _file(field: Field) -> ReceivedAttachment:
    inline = field.name == "inline"
    return ReceivedAttachment(
        name=field.filename or "",
        type=field.type,
        size=len(field.content),
        sha256=hashlib.sha256(field.content).hexdigest(),
        disposition="inline" if inline else "attachment",
        content_id=(field.filename or "") if inline else "",
    )
