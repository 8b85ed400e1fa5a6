"""Resend's API, as far as sending goes: POST /emails, POST /emails/batch, GET /domains.

Sources: Resend's OpenAPI document (resend/resend-openapi), and of resend.com/docs the pages "Errors", "Rate limit" and
"Idempotency keys". A field that the document does not know is refused: silence about a misspelt one would hide it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import threading
import uuid
from collections.abc import Iterator
from typing import Any

from sandbox.accounts import Account
from sandbox.dialect import Answer, Call, Dialect, Refused, Taken, json_answer
from sandbox.mailboxes import read_mailbox
from sandbox.messages import Envelope, Mailbox, Received, ReceivedAttachment
from sandbox.resend_events import event_body, sign
from sandbox.stories import Happening, Signed

_METHODS = {"/emails": "POST", "/emails/batch": "POST", "/domains": "GET"}
_FIELDS = {
    "from": str, "to": (str, list), "subject": str, "bcc": (str, list), "cc": (str, list), "reply_to": (str, list),
    "html": str, "text": str, "template": dict, "headers": dict, "scheduled_at": str, "attachments": list,
    "tags": list, "topic_id": str,
}  # fmt: skip
_ATTACHMENT = {"content", "filename", "path", "content_type", "content_id"}
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_RATE = 2
_ADDRESS = (
    "Invalid `{field}` field. The email address needs to follow the `email@example.com` or "
    "`Name <email@example.com>` format."
)
_REFUSALS = {
    "unavailable": (503, "application_error", "Service unavailable"),
    "ratelimit": (
        429,
        "rate_limit_exceeded",
        f"Too many requests. You can only make {_RATE} requests per second.",
    ),
    "auth": (403, "invalid_api_key", "API key is invalid"),
    "reject": (422, "validation_error", _ADDRESS.format(field="to")),
    "sender": (
        403,
        "validation_error",
        "The example.com domain is not verified. Please, add and verify your domain on https://resend.com/domains",
    ),
}


class Resend(Dialect):
    name = "resend"
    max_body = 40 << 20  # "40MB per email, after Base64 encoding of the attachments"
    methods = _METHODS
    server = "cloudflare"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[bytes, Answer]] = {}

    def check(self, call: Call) -> Answer | None:
        scheme, _, key = (call.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return _error(401, "missing_api_key", "Missing API key in the authorization header.")
        if not hmac.compare_digest(key.strip().encode(), self.account.credentials["api_key"].encode()):
            return self.refusal("auth", 0)
        return None

    def take(self, call: Call) -> Taken:
        key = call.headers.get("Idempotency-Key")
        digest = hashlib.sha256(call.path.encode() + b"\0" + call.body).digest()
        if key is not None:
            if not 1 <= len(key) <= 256:
                raise Refused(_error(400, "invalid_idempotency_key", "The key must be between 1-256 chars."))
            with self._lock:
                known = self._kept.get(key)
            if known is not None and known[0] == digest:
                return Taken([], known[1])
            if known is not None:
                raise Refused(
                    _error(
                        409,
                        "invalid_idempotent_request",
                        "Same idempotency key used with a different request payload.",
                    )
                )
        messages, answer = self._read(call)

        def keep() -> None:
            if key is not None:
                with self._lock:
                    self._kept[key] = (digest, answer)

        return Taken(messages, answer, keep)

    def _read(self, call: Call) -> tuple[list[Received], Answer]:
        try:
            data = json.loads(call.body)
        except (ValueError, RecursionError) as error:
            raise Refused(_error(400, "validation_error", "The request body is not valid JSON.")) from error
        if call.path == "/emails":
            message = self._message(data, len(call.body))
            return [message], json_answer(200, {"id": message.message_id}, **_rate_headers(_RATE - 1, 1))
        if not isinstance(data, list) or not 1 <= len(data) <= 100:
            raise Refused(_invalid("A batch is a list of 1 to 100 emails."))
        permissive = call.headers.get("x-batch-validation") == "permissive"
        messages, errors = [], []
        for index, entry in enumerate(data):
            try:
                if isinstance(entry, dict) and entry.keys() & {"attachments", "scheduled_at"}:
                    raise Refused(_invalid("`attachments` and `scheduled_at` are not supported in a batch."))
                messages.append(self._message(entry, len(json.dumps(entry))))
            except Refused as refused:
                if not permissive:
                    raise
                errors.append({"index": index, "message": json.loads(refused.answer.body)["message"]})
        content: dict[str, Any] = {"data": [{"id": message.message_id} for message in messages]}
        if permissive:
            content["errors"] = errors
        return messages, json_answer(200, content, **_rate_headers(_RATE - 1, 1))

    def _message(self, data: Any, size: int) -> Received:
        if not isinstance(data, dict):
            raise Refused(_invalid("An email is an object."))
        for name, value in data.items():
            kind = _FIELDS.get(name)
            if kind is None:
                raise Refused(_invalid(f"Unrecognized field `{name}`."))
            if not isinstance(value, kind):  # type: ignore[arg-type]
                raise Refused(_invalid(f"Invalid `{name}` field."))
        for name in ("from", "to", "subject"):
            if not data.get(name):
                raise Refused(_error(422, "missing_required_field", f"Missing `{name}` field."))
        if not any(data.get(name) for name in ("html", "text", "template")):
            raise Refused(_error(422, "missing_required_field", "Missing `html` or `text` field."))
        sender = _mailbox(data["from"], "from")
        to, cc, bcc, reply_to = (tuple(_people(data, name)) for name in ("to", "cc", "bcc", "reply_to"))
        if len(to) > 50:
            raise Refused(_invalid("Invalid `to` field. At most 50 recipients."))
        return Received(
            account=self.account.name,
            dialect=self.name,
            message_id=str(uuid.uuid4()),
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            envelope=Envelope(sender.email, tuple(m.email for m in (*to, *cc, *bcc))),
            subject=data["subject"],
            text=data.get("text", ""),
            html=data.get("html", ""),
            headers=tuple(_headers(data.get("headers", {}))),
            attachments=tuple(_attachment(entry) for entry in data.get("attachments", [])),
            reply_to=reply_to,
            custom_args=dict(_tag(entry) for entry in data.get("tags", [])),
            size=size,
        )

    def tell(self, call: Call) -> Answer:  # noqa: ARG002 - one question, one answer
        domain = {
            "id": str(uuid.UUID(int=1)),
            "name": "example.com",
            "status": "verified",
            "created_at": "2026-01-01T00:00:00.000Z",
            "region": "us-east-1",
        }
        return json_answer(200, {"object": "list", "has_more": False, "data": [domain]})

    def error(self, status: int, message: str) -> Answer:
        kinds = {
            404: "not_found",
            405: "method_not_allowed",
            413: "validation_error",
            500: "application_error",
        }
        return _error(status, kinds.get(status, "validation_error"), message)

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:
        return sign(self.account.webhook["secret"]["signing_secret"], body, at)

    def refusal(self, mode: str, seconds: float) -> Answer:
        answer = _error(*_REFUSALS[mode])
        if answer.status == 429:
            wait = str(int(seconds + 0.999))
            answer.headers |= {
                "retry-after": wait,
                **{n.replace("_", "-"): v for n, v in _rate_headers(0, int(wait)).items()},
            }
        return answer


def _rate_headers(left: int, seconds: int) -> dict[str, str]:
    return {
        "ratelimit_limit": str(_RATE),
        "ratelimit_remaining": str(left),
        "ratelimit_reset": str(seconds),
    }


def _error(status: int, name: str, message: str) -> Answer:
    return json_answer(status, {"statusCode": status, "name": name, "message": message})


def _invalid(message: str) -> Answer:
    return _error(422, "validation_error", message)


def _mailbox(text: Any, field: str) -> Mailbox:
    try:
        return read_mailbox(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise Refused(_invalid(_ADDRESS.format(field=field))) from error


def _people(data: dict[str, Any], field: str) -> Iterator[Mailbox]:
    values = data.get(field, [])
    for value in [values] if isinstance(values, str) else values:
        yield _mailbox(value, field)


def _headers(headers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if not isinstance(value, str) or not re.fullmatch(r"[!-9;-~]+", name) or re.search(r"[\r\n]", value):
            raise Refused(_invalid(f"Invalid `headers` field: `{name}`."))
        yield name, value


def _tag(entry: Any) -> tuple[str, str]:
    pair = (entry.get("name"), entry.get("value")) if isinstance(entry, dict) else (None, None)
    if not all(isinstance(text, str) and _TAG.fullmatch(text) for text in pair):
        raise Refused(
            _invalid(
                "Tags should only contain ASCII letters, numbers, underscores, or dashes, and at most 256 of them."
            )
        )
    return str(pair[0]), str(pair[1])


def _attachment(entry: Any) -> ReceivedAttachment:
    if not isinstance(entry, dict) or entry.keys() - _ATTACHMENT:
        raise Refused(_error(422, "invalid_attachment", "Attachment has unknown fields."))
    content, path = entry.get("content"), entry.get("path")
    if not content and not path:
        raise Refused(_error(422, "invalid_attachment", "Attachment must have either a `content` or `path`."))
    if not entry.get("filename") and not path:
        raise Refused(_error(422, "invalid_attachment", "Attachment must have a `filename`."))
    try:
        raw = bytes(content) if isinstance(content, list) else base64.b64decode(content or "", validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Refused(_error(422, "invalid_attachment", "Attachment `content` is not base64.")) from error
    return ReceivedAttachment(
        name=entry.get("filename", ""),
        type=entry.get("content_type", "application/octet-stream"),
        size=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        disposition="inline" if entry.get("content_id") else "attachment",
        content_id=entry.get("content_id", ""),
    )
