"""Mailtrap's API, as far as sending goes: POST /api/send, POST /api/batch; both also for an inbox of its sandbox.

Sources: Mailtrap's API document (mailtrap/mailtrap-docs), and its SDKs for the fields. A batch is answered with 200
and a result for each of its emails.
"""

import hmac
import re
import uuid
from typing import Any

from sandbox.dialect import Answer, Call, Dialect, Purpose, Refused, Taken, json_answer
from sandbox.json_calls import Json, Wrong, file, headers, mailbox, mailboxes, only_known, read_object, texts
from sandbox.json_events import event_body, with_signature
from sandbox.mailboxes import read_mailboxes
from sandbox.messages import Envelope, Mailbox, Received, ReceivedAttachment
from sandbox.stories import Happening, Signed

_PATH = re.compile(r"/api/(send|batch)(?:/\d+)?")
_FIELDS = {
    "from": dict, "to": list, "cc": list, "bcc": list, "reply_to": dict, "subject": str, "text": str, "html": str,
    "attachments": list, "custom_variables": dict, "headers": dict, "category": str, "template_uuid": str,
    "template_variables": dict,
}  # fmt: skip
_FILE = {"content": str, "type": str, "filename": str, "disposition": str, "content_id": str}
_VARIABLES_BYTES, _LONGEST_CATEGORY, _MOST, _MOST_EMAILS = 1000, 255, 1000, 500
_REFUSALS = {
    "unavailable": (503, "Service unavailable"),
    "ratelimit": (429, "Rate limit exceeded"),
    "auth": (401, "Unauthorized"),
    "reject": (400, "'to' address is invalid"),
    "sender": (403, "Sending from domain example.com is not allowed"),
}


class Mailtrap(Dialect):
    name = "mailtrap"
    max_body = 14 << 20  # 10 MB, its files in base64

    def purpose(self, call: Call) -> Purpose:
        if not _PATH.fullmatch(call.path):
            return Purpose.UNKNOWN
        return Purpose.SENDING if call.method == "POST" else Purpose.WRONG_METHOD

    def check(self, call: Call) -> Answer | None:
        scheme, _, token = (call.headers.get("Authorization") or "").partition(" ")
        given = token if scheme.lower() == "bearer" else call.headers.get("Api-Token") or ""
        wanted = self.account.credentials["api_token"].encode()
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), wanted)
        return None if right else self.refusal("auth", 0)

    def take(self, call: Call) -> Taken:
        try:
            data = read_object(call.body)
            if call.path.startswith("/api/batch"):
                return self._batch(data)
            message, ids = self._read(data, len(call.body))
        except Wrong as wrong:
            raise Refused(_error(400, _words(wrong))) from wrong
        except ValueError as error:
            raise Refused(_error(400, "invalid JSON")) from error
        return Taken([message], json_answer(200, {"success": True, "message_ids": ids}))

    def _batch(self, data: Json) -> Taken:
        only_known(data, {"base": dict, "requests": list})
        if not 1 <= len(data.get("requests", [])) <= _MOST_EMAILS:
            raise Wrong("requests", f"must have 1 to {_MOST_EMAILS} items")
        messages, results = [], []
        for entry in data["requests"]:
            try:
                if not isinstance(entry, dict):
                    raise Wrong("requests", "is of the wrong type")
                message, ids = self._read({**data.get("base", {}), **entry}, 0)
            except Wrong as wrong:
                results.append({"success": False, "errors": [_words(wrong)]})
            else:
                messages.append(message)
                results.append({"success": True, "message_ids": ids})
        return Taken(messages, json_answer(200, {"success": True, "responses": results}))

    def _read(self, data: Json, size: int) -> tuple[Received, list[str]]:
        only_known(data, _FIELDS)
        for field in ("from", "subject"):
            if not data.get(field) and "template_uuid" not in data:
                raise Wrong(field, "is missing")
        if not data.get("text") and not data.get("html") and "template_uuid" not in data:
            raise Wrong("text", "is missing")
        sender = mailbox(data["from"], "from")
        to, cc, bcc = (mailboxes(data, field) for field in ("to", "cc", "bcc"))
        everyone = (*to, *cc, *bcc)
        if not 1 <= len(everyone) <= _MOST:
            raise Wrong("to", f"must have 1 to {_MOST} items")
        own = dict(headers(data.get("headers", {})))
        variables = data.get("custom_variables", {})
        if len(json_answer(0, variables).body) > _VARIABLES_BYTES:
            raise Wrong("custom_variables", "is larger than 1000 bytes")
        if len(data.get("category", "")) > _LONGEST_CATEGORY:
            raise Wrong("category", "is longer than 255 characters")
        reply_to: tuple[Mailbox, ...] = (mailbox(data["reply_to"], "reply_to"),) if "reply_to" in data else ()
        for name in [n for n in own if n.lower() == "reply-to"]:
            reply_to = read_mailboxes(own.pop(name))
        ids = [str(uuid.uuid4()) for _ in everyone]
        message = Received(
            account=self.account.name,
            dialect=self.name,
            message_id=ids[0],
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            envelope=Envelope(sender.email, tuple(m.email for m in everyone)),
            subject=data.get("subject", ""),
            text=data.get("text", ""),
            html=data.get("html", ""),
            headers=tuple(own.items()),
            attachments=tuple(_file(entry) for entry in data.get("attachments", [])),
            reply_to=reply_to,
            categories=(data["category"],) if data.get("category") else (),
            custom_args=texts(variables),
            size=size,
        )
        return message, ids

    def tell(self, call: Call) -> Answer:
        raise AssertionError(f"{call.path} asks nothing")

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:  # noqa: ARG002 - no time is signed
        return with_signature(self.account.webhook, "Mailtrap-Signature", body)

    def error(self, status: int, message: str) -> Answer:
        return _error(status, message)

    def refusal(self, mode: str, seconds: float) -> Answer:
        answer = _error(*_REFUSALS[mode])
        if answer.status == 429:
            answer.headers["Retry-After"] = str(int(seconds + 0.999))
        return answer


def _error(status: int, words: str) -> Answer:
    return json_answer(status, {"success": False, "errors": [words]})


def _words(wrong: Wrong) -> str:
    return (
        f"'{wrong.field}' is required"
        if wrong.problem == "is missing"
        else f"'{wrong.field}' {wrong.problem}"
    )


def _file(entry: Any) -> ReceivedAttachment:
    if not isinstance(entry, dict):
        raise Wrong("attachments", "is of the wrong type")
    only_known(entry, _FILE, "attachments.")
    inline = entry.get("disposition") == "inline"
    return file(
        "attachments",
        entry.get("filename"),
        entry.get("content"),
        entry.get("type"),
        inline,
        entry.get("content_id"),
    )
