"""SparkPost's API, as far as sending goes: POST /api/v1/transmissions, GET /api/v1/sending-domains and
/api/v1/events/message.

Sources: SparkPost's API reference for transmissions, and its "Extended error codes". What it does with `header_to`
and the Cc header stands in "cc/bcc with the REST API": who is in neither is a hidden recipient.
"""

import hmac
import secrets
from dataclasses import replace
from typing import Any

from sandbox import searches
from sandbox.dialect import Answer, Call, Dialect, Purpose, Refused, Taken, json_answer
from sandbox.json_calls import Json, Wrong, file, headers, only_known, read_object, required, texts
from sandbox.json_events import event_body, with_credentials
from sandbox.mailboxes import is_address, read_mailboxes
from sandbox.messages import Envelope, Mailbox, Received
from sandbox.mime import parse_mime
from sandbox.stories import Happening, Signed

_METHODS = {"/api/v1/transmissions": "POST", "/api/v1/sending-domains": "GET", searches.SPARKPOST: "GET"}
_FIELDS = {
    "options": dict, "recipients": list, "campaign_id": str, "description": str, "metadata": dict,
    "substitution_data": dict, "return_path": str, "content": dict, "name": str,
}  # fmt: skip
_OPTIONS = {
    "start_time": str, "open_tracking": bool, "click_tracking": bool, "initial_open": bool, "transactional": bool,
    "sandbox": bool, "skip_suppression": bool, "ip_pool": str, "inline_css": bool, "perform_substitutions": bool,
}  # fmt: skip
_CONTENT = {
    "from": (str, dict), "subject": str, "text": str, "html": str, "amp_html": str, "reply_to": str, "headers": dict,
    "attachments": list, "inline_images": list, "email_rfc822": str, "template_id": str, "use_draft_template": bool,
}  # fmt: skip
_RECIPIENT = {
    "address": (str, dict),
    "tags": list,
    "metadata": dict,
    "substitution_data": dict,
    "return_path": str,
}
_ADDRESS = {"email": str, "name": str, "header_to": str}
_LONGEST_CAMPAIGN = 64
_REFUSALS = {
    "unavailable": (503, "Service unavailable", None, None),
    "ratelimit": (429, "Too many requests", None, None),
    "auth": (401, "Unauthorized.", None, None),
    "reject": (400, "no valid recipients", "5002", "At least one valid recipient is required"),
    "sender": (400, "Invalid domain", "7001", "Unconfigured Sending Domain <example.com>"),
}


class SparkPost(Dialect):
    name = "sparkpost"
    max_body = 21 << 20
    methods = _METHODS
    server = "msys-http"

    def purpose(self, call: Call) -> Purpose:
        return super().purpose(replace(call, path=call.path.rstrip("/")))

    def check(self, call: Call) -> Answer | None:
        given = (call.headers.get("Authorization") or "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self.account.credentials["api_key"].encode()):
            return self.refusal("auth", 0)
        return None

    def take(self, call: Call) -> Taken:
        try:
            data = read_object(call.body)
        except ValueError as error:
            raise Refused(_error(422, "invalid data format/type", "1300", "the body is no JSON")) from error
        try:
            message = self._read(data, len(call.body))
        except Wrong as wrong:
            missing = wrong.problem == "is missing"
            code = "1400" if missing else "1300"
            words = "required field is missing" if missing else "invalid data format/type"
            raise Refused(_error(422, words, code, f"{wrong.field} {wrong.problem}")) from wrong
        results = {
            "total_rejected_recipients": 0,
            "total_accepted_recipients": len(message.envelope.recipients),
            "id": message.message_id,
        }
        return Taken([message], json_answer(200, {"results": results}))

    def _read(self, data: Json, size: int) -> Received:
        only_known(data, _FIELDS)
        required(data, "recipients", "content")
        only_known(data.get("options", {}), _OPTIONS, "options.")
        content = data["content"]
        only_known(content, _CONTENT, "content.")
        if len(data.get("campaign_id", "").encode()) > _LONGEST_CAMPAIGN:
            raise Wrong("campaign_id", "is longer than 64 bytes")
        addresses = [_recipient(entry) for entry in data["recipients"]]
        message = self._mime(content) if "email_rfc822" in content else self._parts(content)
        to_lines = [a["header_to"] for a in addresses if "header_to" in a]
        to = read_people(to_lines[0], "header_to") if to_lines else _alone(addresses)
        shown = {m.email for m in (*to, *message.cc)}
        everyone = tuple(a["email"] for a in addresses)
        tag = data.get("campaign_id")
        return replace(
            message,
            message_id=str(secrets.randbelow(9 * 10**17) + 10**17),
            to=to,
            bcc=tuple(Mailbox(address) for address in everyone if address not in shown),
            envelope=Envelope(message.sender.email, everyone),
            categories=(tag,) if tag else (),
            custom_args=texts(data.get("metadata", {})),
            size=size,
        )

    def _mime(self, content: Json) -> Received:
        mime = parse_mime(content["email_rfc822"].encode("utf-8"))
        return Received(self.account.name, self.name, "", **vars(mime))

    def _parts(self, content: Json) -> Received:
        required(content, "from", "subject")
        if not content.get("text") and not content.get("html"):
            raise Wrong("content", "is missing")
        sender = content["from"]
        if isinstance(sender, dict):
            sender = f"{sender.get('name', '')} <{sender.get('email')}>"
        own = dict(headers(content.get("headers", {}), "content.headers"))
        copies = next((own.pop(name) for name in list(own) if name.lower() == "cc"), None)
        files = [file("attachments", *_file(entry)) for entry in content.get("attachments", [])]
        files += [
            file("inline_images", *_file(entry), True, entry["name"])
            for entry in content.get("inline_images", [])
        ]
        return Received(
            account=self.account.name,
            dialect=self.name,
            message_id="",
            sender=read_people(sender, "content.from")[0],
            cc=read_people(copies, "content.headers.CC") if copies else (),
            reply_to=read_people(content["reply_to"], "content.reply_to") if "reply_to" in content else (),
            subject=content["subject"],
            text=content.get("text", ""),
            html=content.get("html", ""),
            headers=tuple(own.items()),
            attachments=tuple(files),
        )

    def tell(self, call: Call) -> Answer:
        if call.path == searches.SPARKPOST:
            try:
                return json_answer(200, searches.sparkpost(self.taken(), call.query))
            except searches.Wrong:
                return _error(400, "invalid data format/type", "1300", "from must be YYYY-MM-DDTHH:MM:SSZ")
        status = {
            "ownership_verified": True, "dkim_status": "valid", "spf_status": "unverified",
            "compliance_status": "valid", "abuse_at_status": "unverified", "postmaster_at_status": "unverified",
        }  # fmt: skip
        return json_answer(200, {"results": [{"domain": "example.com", "status": status}]})

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:  # noqa: ARG002 - nothing is signed
        return with_credentials(self.account.webhook, body)

    def error(self, status: int, message: str) -> Answer:
        return _error(status, message, {404: "1600", 405: "1102"}.get(status))

    def refusal(self, mode: str, seconds: float) -> Answer:  # noqa: ARG002 - it does not say how long to wait
        return _error(*_REFUSALS[mode])


def _error(status: int, message: str, code: str | None = None, description: str | None = None) -> Answer:
    error = {"message": message, "code": code, "description": description}
    return json_answer(status, {"errors": [{k: v for k, v in error.items() if v is not None}]})


def read_people(text: str, field: str) -> tuple[Mailbox, ...]:
    try:
        return read_mailboxes(text)
    except ValueError as error:
        raise Wrong(field, "is not a list of addresses") from error


def _recipient(entry: Any) -> Json:
    if not isinstance(entry, dict):
        raise Wrong("recipients", "is of the wrong type")
    only_known(entry, _RECIPIENT, "recipients.")
    address = entry.get("address")
    if isinstance(address, str):
        found = read_people(address, "recipients.address")[0]
        address = {"email": found.email, "name": found.name}
    if not isinstance(address, dict):
        raise Wrong("recipients.address", "is missing")
    only_known(address, _ADDRESS, "recipients.address.")
    if not is_address(address.get("email", "")):
        raise Wrong("recipients.address.email", "is not a valid address")
    return address


def _alone(addresses: list[Json]) -> tuple[Mailbox, ...]:
    return tuple(Mailbox(a["email"], a.get("name", "")) for a in addresses)


def _file(entry: Any) -> tuple[str, str, str]:
    if not isinstance(entry, dict):
        raise Wrong("content.attachments", "is of the wrong type")
    only_known(entry, {"name": str, "type": str, "data": str}, "content.attachments.")
    return entry.get("name", ""), entry.get("data", ""), entry.get("type", "")
