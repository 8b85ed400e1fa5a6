"""Brevo's API, as far as sending goes: POST /v3/smtp/email, GET /v3/account, GET /v3/senders/domains.

Sources: Brevo's API document (swagger_definition.yml), and of developers.brevo.com "Idempotent requests" and "API rate
limits". A field that the document does not know is refused: silence about a misspelt one would hide it.
"""

import hmac
import json
import mimetypes
import re
import secrets
import threading
import time
import uuid
from dataclasses import replace
from posixpath import splitext

from sandbox.accounts import Account
from sandbox.dialect import Answer, Call, Dialect, Refused, Taken, json_answer
from sandbox.json_calls import (
    Json,
    Wrong,
    file,
    headers,
    mailbox,
    mailboxes,
    only_known,
    read_object,
    required,
    texts,
)
from sandbox.json_events import event_body, with_credentials
from sandbox.mailboxes import decode_name
from sandbox.messages import Envelope, Mailbox, Received, ReceivedAttachment
from sandbox.stories import Happening, Signed

_METHODS = {"/v3/smtp/email": "POST", "/v3/account": "GET", "/v3/senders/domains": "GET"}
_FIELDS = {
    "sender": dict, "to": list, "bcc": list, "cc": list, "htmlContent": str, "textContent": str, "subject": str,
    "replyTo": dict, "attachment": list, "headers": dict, "templateId": int, "params": dict, "messageVersions": list,
    "tags": list, "scheduledAt": str, "batchId": str, "preheader": str,
}  # fmt: skip
_EXTENSIONS = re.compile(
    r"(?i).+\.(xlsx|xls|ods|docx|docm|doc|csv|pdf|txt|gif|jpg|jpeg|png|tif|tiff|rtf|bmp|cgm|css|shtml|html|htm|zip|xml"
    r"|ppt|pptx|tar|ez|ics|mobi|msg|pub|eps|odt|mp3|m4a|m4v|wma|ogg|flac|wav|aif|aifc|aiff|mp4|mov|avi|mkv|mpeg|mpg|wmv|pkpass|xlsm)"
)
_LONGEST_NAME = 70
_REFUSALS = {
    "unavailable": (503, "unavailable", "Service unavailable"),
    "ratelimit": (429, "too_many_requests", "You have reached your request limit"),
    "auth": (401, "unauthorized", "Key not found"),
    "reject": (400, "invalid_parameter", "email is not valid in to"),
    "sender": (
        400,
        "invalid_parameter",
        "Sending has been rejected because the sender you used shop@example.com is not valid. Validate your sender or "
        "authenticate your domain",
    ),
}


class Brevo(Dialect):
    name = "brevo"
    max_body = 27 << 20  # 20 MB of email, its files in base64
    methods = _METHODS
    accepted = 201
    server = "cloudflare"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._lock = threading.Lock()
        self._keys: set[str] = set()

    def check(self, call: Call) -> Answer | None:
        given = (call.headers.get("api-key") or "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self.account.credentials["api_key"].encode()):
            return self.refusal("auth", 0)
        return None

    def take(self, call: Call) -> Taken:
        try:
            data = read_object(call.body)
        except ValueError as error:
            raise Refused(_error(400, "bad_request", "Input must be a valid JSON object")) from error
        try:
            message, key = self._read(data, len(call.body))
        except Wrong as wrong:
            code = "missing_parameter" if wrong.problem == "is missing" else "invalid_parameter"
            raise Refused(_error(400, code, f"{wrong.field} {wrong.problem}")) from wrong
        if key is not None:
            with self._lock:
                if key in self._keys:
                    raise Refused(_error(400, "duplicate_parameter", "Duplicate idempotencyKey"))

        def keep() -> None:
            if key is not None:
                with self._lock:
                    self._keys.add(key)

        return Taken([message], json_answer(201, {"messageId": message.message_id}), keep)

    def _read(self, data: Json, size: int) -> tuple[Received, str | None]:
        only_known(data, _FIELDS)
        required(data, "sender", "to", "subject")
        if not data.get("htmlContent") and not data.get("textContent"):
            raise Wrong("htmlContent", "is missing")
        sender = mailbox(data["sender"], "sender")
        to, cc, bcc = (mailboxes(data, field) for field in ("to", "cc", "bcc"))
        reply_to: tuple[Mailbox, ...] = (mailbox(data["replyTo"], "replyTo"),) if "replyTo" in data else ()
        for person in (sender, *to, *cc, *bcc, *reply_to):
            if len(person.name) > _LONGEST_NAME:
                raise Wrong("name", "is longer than 70 characters")
        sender, to, cc, bcc, reply_to = (
            _read(sender),
            *(tuple(map(_read, p)) for p in (to, cc, bcc, reply_to)),
        )
        own = dict(headers(data.get("headers", {})))
        key = next((own.pop(name) for name in list(own) if name.lower() == "idempotencykey"), None)
        if key is not None:
            try:
                uuid.UUID(key)
            except ValueError as error:
                raise Wrong("headers.idempotencyKey", "is not a UUID") from error
        custom = own.pop("X-Mailin-custom", "")
        try:
            args = texts(json.loads(custom)) if custom else {}
        except ValueError:
            args = {"X-Mailin-custom": custom}
        tags = data.get("tags", [])
        if any(not isinstance(tag, str) for tag in tags):
            raise Wrong("tags", "is of the wrong type")
        message = Received(
            account=self.account.name,
            dialect=self.name,
            message_id=f"<{time.strftime('%Y%m%d%H%M')}.{secrets.randbelow(10**11)}@smtp-relay.mailin.fr>",
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            envelope=Envelope(sender.email, tuple(m.email for m in (*to, *cc, *bcc))),
            subject=data["subject"],
            text=data.get("textContent", ""),
            html=data.get("htmlContent", ""),
            headers=tuple(own.items()),
            attachments=tuple(_attachment(entry) for entry in data.get("attachment", [])),
            reply_to=reply_to,
            categories=tuple(tags),
            custom_args=args,
            size=size,
        )
        return message, key

    def tell(self, call: Call) -> Answer:
        if call.path == "/v3/senders/domains":
            domain = {
                "id": "6454",
                "domain_name": "example.com",
                "authenticated": True,
                "verified": True,
                "ip": "",
            }
            return json_answer(200, {"domains": [domain], "count": 1})
        return json_answer(
            200,
            {
                "email": "owner@example.com",
                "firstName": "Sandbox",
                "lastName": "Owner",
                "companyName": "Example",
                "address": {"street": "1 Main St", "city": "Paris", "zipCode": "75000", "country": "France"},
                "plan": [{"type": "free", "creditsType": "sendLimit", "credits": 300}],
                "relay": {
                    "enabled": True,
                    "data": {"userName": "x", "relay": "smtp-relay.brevo.com", "port": 587},
                },
            },
        )

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:  # noqa: ARG002 - nothing is signed
        return with_credentials(self.account.webhook, body)

    def error(self, status: int, message: str) -> Answer:
        codes = {404: "document_not_found", 405: "method_not_allowed", 500: "internal_error"}
        return _error(status, codes.get(status, "bad_request"), message)

    def refusal(self, mode: str, seconds: float) -> Answer:
        answer = _error(*_REFUSALS[mode])
        if answer.status == 429:
            answer.headers |= {
                "x-sib-ratelimit-limit": "1000",
                "x-sib-ratelimit-remaining": "0",
                "x-sib-ratelimit-reset": str(int(seconds + 0.999)),
            }
        return answer


def _error(status: int, code: str, message: str) -> Answer:
    return json_answer(status, {"code": code, "message": message})


def _read(person: Mailbox) -> Mailbox:
    """As a recipient sees it: encoded words in a name pass as they are."""
    return replace(person, name=decode_name(person.name))


def _attachment(entry: Json) -> ReceivedAttachment:
    if not isinstance(entry, dict):
        raise Wrong("attachment", "is of the wrong type")
    only_known(entry, {"name": str, "content": str, "url": str}, "attachment.")
    name = entry.get("name", "")
    if not _EXTENSIONS.fullmatch(name):
        raise Wrong("attachment", "has an unsupported file format")
    kind, _ = mimetypes.guess_type("x" + splitext(name)[1])  # the name is no URL
    return file("attachment", name, entry.get("content"), kind)
