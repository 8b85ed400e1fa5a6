"""MailerSend's API, as far as sending goes: POST /v1/email, GET /v1/domains.

Sources: developers.mailersend.com: "Email" and "General". What it accepts it answers with 202, an empty body of type
text/html, and the id as a header.
"""

import hmac
import mimetypes
import secrets
from posixpath import splitext
from typing import Any

from sandbox.dialect import Answer, Call, Dialect, Refused, Taken, json_answer
from sandbox.json_calls import Json, Wrong, file, headers, mailbox, mailboxes, only_known, read_object
from sandbox.json_events import event_body, with_signature
from sandbox.messages import Envelope, Received, ReceivedAttachment
from sandbox.stories import Happening, Signed

_METHODS = {"/v1/email": "POST", "/v1/domains": "GET"}
_FIELDS = {
    "from": dict, "to": list, "cc": list, "bcc": list, "reply_to": dict, "subject": str, "text": str, "html": str,
    "attachments": list, "template_id": str, "tags": list, "variables": list, "personalization": list,
    "precedence_bulk": bool, "send_at": int, "in_reply_to": str, "references": list, "settings": dict, "headers": list,
    "list_unsubscribe": str,
}  # fmt: skip
_SETTINGS = {"track_clicks": bool, "track_opens": bool, "track_content": bool}
_MOST = {"to": 50, "cc": 10, "bcc": 10, "tags": 5}
_NEVER = "must be a valid email address"
_REFUSALS = {
    "unavailable": (503, "Service Unavailable", None),
    "ratelimit": (429, "Your account reached its rate limit of 60 requests/min. #MS42903", None),
    "auth": (401, "Unauthenticated.", None),
    "reject": (422, f"The to.0.email {_NEVER}.", "to.0.email"),
    "sender": (
        422,
        "The from.email domain must be verified in your account to send emails. #MS42207",
        "from.email",
    ),
}


class MailerSend(Dialect):
    name = "mailersend"
    max_body = 35 << 20  # 25 MB of files, in base64
    methods = _METHODS
    accepted = 202
    server = "cloudflare"

    def check(self, call: Call) -> Answer | None:
        scheme, _, token = (call.headers.get("Authorization") or "").partition(" ")
        wanted = self.account.credentials["api_token"].encode()
        right = scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode("utf-8", "replace"), wanted
        )
        return None if right else self.refusal("auth", 0)

    def take(self, call: Call) -> Taken:
        try:
            message = self._read(read_object(call.body), len(call.body))
        except Wrong as wrong:
            raise Refused(_error(422, f"The {wrong.field} {wrong.problem}.", wrong.field)) from wrong
        except ValueError as error:
            raise Refused(_error(400, "The request body is not valid JSON.")) from error
        # As PHP answers where there is no body.
        told = {"Content-Type": "text/html; charset=UTF-8", "x-message-id": message.message_id}
        return Taken([message], Answer(202, {**told, "x-apiquota-remaining": "99"}))

    def _read(self, data: Json, size: int) -> Received:
        data = {
            name: value for name, value in data.items() if value is not None
        }  # null is as good as nothing
        only_known(data, _FIELDS)
        for field in ("from", "to", "subject"):
            if not data.get(field):
                raise Wrong(field, "is missing")
        if not data.get("text") and not data.get("html") and not data.get("template_id"):
            raise Wrong("text", "field is required when html is not present")
        for field, most in _MOST.items():
            if len(data.get(field, [])) > most:
                raise Wrong(field, f"may not have more than {most} items")
        sender = mailbox(_without_nulls(data["from"]), "from")
        to, cc, bcc = (
            mailboxes({f: [_without_nulls(v) for v in data.get(f, [])]}, f) for f in ("to", "cc", "bcc")
        )
        if any(c in person.name for person in (*to, *cc, *bcc) for c in ";,"):
            raise Wrong("to.0.name", "may not contain ; or ,")
        only_known(_without_nulls(data.get("settings", {})), _SETTINGS, "settings.")
        own = {e.get("name"): e.get("value") for e in data.get("headers", []) if isinstance(e, dict)}
        more = [
            ("In-Reply-To", data.get("in_reply_to")),
            ("References", " ".join(data.get("references", []))),
        ]
        more.append(("Precedence", "bulk" if data.get("precedence_bulk") else None))
        if any(not isinstance(tag, str) for tag in data.get("tags", [])):
            raise Wrong("tags.0", "must be a string")
        return Received(
            account=self.account.name,
            dialect=self.name,
            message_id=secrets.token_hex(12),
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            envelope=Envelope(sender.email, tuple(m.email for m in (*to, *cc, *bcc))),
            subject=data["subject"],
            text=data.get("text", ""),
            html=data.get("html", ""),
            headers=(*headers(own), *((name, value) for name, value in more if value)),
            attachments=tuple(_file(entry) for entry in data.get("attachments", [])),
            reply_to=(mailbox(_without_nulls(data["reply_to"]), "reply_to"),) if "reply_to" in data else (),
            categories=tuple(data.get("tags", [])),
            size=size,
        )

    def tell(self, call: Call) -> Answer:  # noqa: ARG002 - one question, one answer
        domain = {
            "id": "7nxe3yjmeq28vp0k", "name": "example.com", "dkim": True, "spf": True, "tracking": False,
            "is_verified": True, "is_cname_verified": True, "is_dns_active": True, "is_cname_active": True,
            "is_tracking_allowed": True, "has_not_queued_messages": False, "not_queued_messages_count": 0,
            "domain_settings": {}, "created_at": "2026-01-01T00:00:00.000000Z",
            "updated_at": "2026-01-01T00:00:00.000000Z",
        }  # fmt: skip
        return json_answer(200, {"data": [domain], "meta": {"total": 1, "current_page": 1, "per_page": 100}})

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:  # noqa: ARG002 - no time is signed
        return with_signature(self.account.webhook, "Signature", body)

    def error(self, status: int, message: str) -> Answer:
        return _error(status, message)

    def refusal(self, mode: str, seconds: float) -> Answer:
        answer = _error(*_REFUSALS[mode])
        if answer.status == 429:
            wait = str(int(seconds + 0.999))
            answer.headers |= {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "retry-after": wait}
        return answer


def _error(status: int, message: str, field: str | None = None) -> Answer:
    return json_answer(status, {"message": message, **({"errors": {field: [message]}} if field else {})})


def _without_nulls(value: Any) -> Any:
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def _file(entry: Any) -> ReceivedAttachment:
    if not isinstance(entry, dict):
        raise Wrong("attachments.0", "must be an array")
    found = _without_nulls(entry)
    only_known(found, {"content": str, "disposition": str, "filename": str, "id": str}, "attachments.0.")
    disposition = found.get("disposition", "attachment")
    if disposition not in ("inline", "attachment"):
        raise Wrong("attachments.0.disposition", "is invalid")
    kind, _ = mimetypes.guess_type("x" + splitext(found.get("filename", ""))[1])  # the name is no URL
    return file(
        "attachments.0",
        found.get("filename"),
        found.get("content"),
        kind,
        disposition == "inline",
        found.get("id"),
    )
