"""Mailjet's Send API v3.1: POST /v3.1/send, GET /v3/REST/sender and /v3/REST/message.

Sources: Mailjet's guide "Send API v3.1" with its table of errors. Each message of a call has its own result: where
all were taken the status is 200, where all were refused it is that of the first error.
"""

import hmac
import secrets
import uuid
from base64 import b64encode
from typing import Any

from sandbox import searches
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
    texts,
)
from sandbox.json_events import event_body, with_credentials
from sandbox.messages import Envelope, Mailbox, Received, ReceivedAttachment
from sandbox.stories import Happening, Signed

_METHODS = {"/v3.1/send": "POST", "/v3/REST/sender": "GET", searches.MAILJET: "GET"}
_FIELDS = {
    "From": dict, "Sender": dict, "To": list, "Cc": list, "Bcc": list, "ReplyTo": dict, "Subject": str, "TextPart": str,
    "HTMLPart": str, "TemplateID": int, "TemplateLanguage": bool, "TemplateErrorReporting": dict,
    "TemplateErrorDeliver": bool, "Attachments": list, "InlinedAttachments": list, "Priority": int,
    "CustomCampaign": str, "DeduplicateCampaign": bool, "TrackOpens": str, "TrackClicks": str, "CustomID": str,
    "EventPayload": str, "URLTags": str, "Headers": dict, "Variables": dict,
}  # fmt: skip
_FILE = {"ContentType": str, "Filename": str, "ContentID": str, "Base64Content": str}
_TRACKING = {"account_default", "enabled", "disabled"}
_FORBIDDEN = {
    "from", "sender", "subject", "to", "cc", "bcc", "reply-to", "return-path", "delivered-to", "dkim-signature",
    "domainkey-status", "received-spf", "authentication-results", "received", "x-mailjet-prio", "x-mailjet-debug",
    "user-agent", "x-mailer", "x-mj-customid", "x-mj-eventpayload", "x-mj-vars", "x-mj-templateerrordeliver",
    "x-mj-templateerrorreporting", "x-mj-templatelanguage", "x-mailjet-trackopen", "x-mailjet-trackclick",
    "x-mj-templateid", "x-mj-workflowid", "x-feedback-id", "x-mailjet-segmentation", "list-id", "x-mj-mid",
    "x-mj-errormessage", "date", "x-csa-complaints", "message-id", "x-mailjet-campaign",
    "x-mj-statisticscontactslistid",
}  # fmt: skip
_MOST = 50
_CODES = {
    "is missing": "mj-0003",
    "is of the wrong type": "mj-0004",
    "is not a known field": "mj-0004",
    "is not a valid address": "mj-0013",
    "has no name": "mj-0012",
    "has no content": "mj-0012",
    "has no text, HTML or template": "send-0003",
    "is a forbidden header": "send-0011",
    "has too many recipients": "send-0015",
    "has too many elements": "mj-0008",
}


class Mailjet(Dialect):
    name = "mailjet"
    max_body = 21 << 20  # 15 MB of email, its files in base64
    methods = _METHODS

    def check(self, call: Call) -> Answer | None:
        known = self.account.credentials
        basic = b64encode(f"{known['api_key']}:{known['secret_key']}".encode()).decode()
        given = (call.headers.get("Authorization") or "").encode("utf-8", "replace")
        return None if hmac.compare_digest(given, f"Basic {basic}".encode()) else self.refusal("auth", 0)

    def take(self, call: Call) -> Taken:
        try:
            data = read_object(call.body)
            only_known(
                data, {"Messages": list, "Globals": dict, "SandboxMode": bool, "AdvanceErrorHandling": bool}
            )
            entries = data["Messages"]
        except (ValueError, LookupError) as error:
            words = "Malformed JSON, please review the syntax and properties types."
            raise Refused(json_answer(400, _error("mj-0002", words))) from error
        if not 1 <= len(entries) <= _MOST:
            raise Refused(json_answer(400, _error("mj-0007" if not entries else "mj-0008", "Messages")))
        messages, results = [], []
        for entry in entries:
            try:
                message = self._read(entry, data.get("Globals", {}), len(call.body))
            except Wrong as wrong:
                code = _CODES.get(wrong.problem, "mj-0005")
                why = {**_error(code, f"{wrong.field} {wrong.problem}"), "ErrorRelatedTo": [wrong.field]}
                results.append({"Status": "error", "Errors": [why]})
            else:
                messages.append(message)
                results.append(_result(message, data.get("SandboxMode") is True))
        answer = json_answer(200 if messages else 400, {"Messages": results})
        if not messages:
            raise Refused(answer)
        return Taken([] if data.get("SandboxMode") else messages, answer)

    def _read(self, entry: Any, common: Json, size: int) -> Received:
        if not isinstance(entry, dict):
            raise Wrong("Messages", "is of the wrong type")
        data = {**common, **entry}
        only_known(data, _FIELDS)
        for field in ("From", "To"):
            if not data.get(field):
                raise Wrong(field, "is missing")
        if not any(data.get(part) for part in ("TextPart", "HTMLPart", "TemplateID")):
            raise Wrong("TextPart", "has no text, HTML or template")
        sender = mailbox(data["From"], "From", "Email", "Name")
        to, cc, bcc = (mailboxes(data, field, "Email", "Name") for field in ("To", "Cc", "Bcc"))
        if len((*to, *cc, *bcc)) > _MOST:
            raise Wrong("To,CC,Bcc", "has too many recipients")
        own = headers(data.get("Headers", {}), "Headers")
        for name, _ in own:
            if name.lower() in _FORBIDDEN:
                raise Wrong(f'Headers["{name}"]', "is a forbidden header")
        for field in ("TrackOpens", "TrackClicks"):
            if data.get(field, "enabled") not in _TRACKING:
                raise Wrong(field, "is not an allowed value")
        files = [
            _file(e, field) for field in ("Attachments", "InlinedAttachments") for e in data.get(field, [])
        ]
        if max(len(files), len(own)) > _MOST:
            raise Wrong("Attachments", "has too many elements")
        tag = data.get("CustomCampaign")
        return Received(
            account=self.account.name,
            dialect=self.name,
            message_id=str(7 * 10**16 + secrets.randbelow(10**16)),
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            envelope=Envelope(sender.email, tuple(m.email for m in (*to, *cc, *bcc))),
            subject=data.get("Subject", ""),
            text=data.get("TextPart", ""),
            html=data.get("HTMLPart", ""),
            headers=own,
            attachments=tuple(files),
            reply_to=(mailbox(data["ReplyTo"], "ReplyTo", "Email", "Name"),) if "ReplyTo" in data else (),
            categories=(tag,) if tag else (),
            custom_args=_payload(data),
            size=size,
        )

    def tell(self, call: Call) -> Answer:
        if call.path == searches.MAILJET:
            return json_answer(200, searches.mailjet(self.taken(), call.query))
        sender = {
            "ID": 1, "Email": "*@example.com", "Name": "", "Status": "Active", "EmailType": "unknown",
            "IsDefaultSender": False, "CreatedAt": "2026-01-01T00:00:00Z", "DNSID": 1, "Filename": "",
        }  # fmt: skip
        return json_answer(200, {"Count": 1, "Data": [sender], "Total": 1})

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:  # noqa: ARG002 - nothing is signed
        return with_credentials(self.account.webhook, body)

    def error(self, status: int, message: str) -> Answer:
        return json_answer(status, _error("mj-0011" if status == 413 else "", message, status))

    def refusal(self, mode: str, seconds: float) -> Answer:
        match mode:
            case "unavailable":
                return Answer(503, {"Content-Type": "text/html"}, b"<h1>503 Service Unavailable</h1>")
            case "ratelimit":
                wait = str(int(seconds + 0.999))
                return Answer(429, {"Content-Type": "text/html", "Retry-After": wait}, b"Rate limit exceeded")
            case "auth":
                words = (
                    "API key authentication/authorization failure. You may be unauthorized to access the API or your "
                    "API key may be expired. Visit API keys management section to check your keys."
                )
                return json_answer(401, _error("", words, 401))
            case "sender":
                words = '"shop@example.com" is not an authorized sender email address for your account.'
                error = {**_error("send-0008", words, 403), "ErrorRelatedTo": ["From"]}
                return json_answer(403, {"Messages": [{"Status": "error", "Errors": [error]}]})
        error = {
            **_error("mj-0013", '"ada@example" is an invalid email address.'),
            "ErrorRelatedTo": ["To[0].Email"],
        }
        return json_answer(400, {"Messages": [{"Status": "error", "Errors": [error]}]})


def _error(code: str, words: str, status: int = 400) -> Json:
    error = {
        "ErrorIdentifier": str(uuid.uuid4()),
        "ErrorCode": code,
        "StatusCode": status,
        "ErrorMessage": words,
    }
    return {name: value for name, value in error.items() if value}


def _result(message: Received, only_validated: bool) -> Json:
    number = 0 if only_validated else int(message.message_id)

    def told(people: tuple[Mailbox, ...]) -> list[Json]:
        return [
            {
                "Email": person.email,
                "MessageUUID": "" if only_validated else str(uuid.uuid4()),
                "MessageID": number,
                "MessageHref": f"https://api.mailjet.com/v3/REST/message/{number}",
            }
            for person in people
        ]

    custom_id = message.custom_args.get("CustomID", "")
    people = {"To": told(message.to), "Cc": told(message.cc), "Bcc": told(message.bcc)}
    return {"Status": "success", "CustomID": custom_id, **people}


def _payload(data: Json) -> dict[str, str]:
    found: dict[str, str] = {}
    if payload := data.get("EventPayload"):
        try:
            found = texts(read_object(payload.encode()))
        except ValueError:
            found = {"EventPayload": payload}
    return {**found, "CustomID": data["CustomID"]} if data.get("CustomID") else found


def _file(entry: Any, field: str) -> ReceivedAttachment:
    if not isinstance(entry, dict):
        raise Wrong(field, "is of the wrong type")
    only_known(entry, _FILE, f"{field}.")
    if not entry.get("ContentType"):
        raise Wrong(f"{field}.ContentType", "is missing")
    return file(
        field, entry.get("Filename"), entry.get("Base64Content"), entry["ContentType"],
        field == "InlinedAttachments", entry.get("ContentID"),
    )  # fmt: skip
