"""Amazon SES, API v2, as far as sending goes: SendEmail, GetAccount, ListEmailIdentities, GetEmailIdentity,
ListSuppressedDestinations.

Sources: the API reference of SES v2 (docs.aws.amazon.com/ses/latest/APIReference-V2) with its limits and common errors,
the AWS restJson1 protocol, and Signature Version 4. Requests that AWS would refuse by their signature are refused.
"""

import base64
import binascii
import hashlib
import json
import re
import secrets
from typing import Any

from sandbox import lists
from sandbox.dialect import Answer, Call, Dialect, Purpose, Refused, Taken, json_answer
from sandbox.mailboxes import read_mailbox
from sandbox.messages import Envelope, Mailbox, Received, ReceivedAttachment
from sandbox.mime import ParsedMime, parse_mime
from sandbox.ses_events import event_body, sign
from sandbox.sigv4 import BadSignature, verify
from sandbox.stories import Happening, Signed

_SEND, _ACCOUNT = "/v2/email/outbound-emails", "/v2/email/account"
_LIST, _IDENTITY = "/v2/email/list-identities", re.compile(r"/v2/email/identities(?:/[^/]+)?")
_FIELDS = {
    "FromEmailAddress", "FromEmailAddressIdentityArn", "Destination", "ReplyToAddresses",
    "FeedbackForwardingEmailAddress", "FeedbackForwardingEmailAddressIdentityArn", "Content", "EmailTags",
    "ConfigurationSetName", "EndpointId", "TenantName", "ListManagementOptions", "ConfigurationOverrides",
}  # fmt: skip
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME, _HEADER_VALUE = re.compile(r"[!-9;-@A-~]{1,126}"), re.compile(r"[ -~]{1,995}")
_REFUSALS = {
    "unavailable": (503, "ServiceUnavailableException", "Service is temporarily unavailable"),
    "ratelimit": (429, "TooManyRequestsException", "Maximum sending rate exceeded."),
    "auth": (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    "reject": (400, "BadRequestException", "Illegal address"),
    "sender": (
        400,
        "MessageRejected",
        "Email address is not verified. The following identities failed the check in region US-EAST-1: example.com",
    ),
}


class SES(Dialect):
    name = "ses"
    max_body = 56 << 20  # 40 MB of message, in base64 within JSON
    server = "AmazonSES"

    def purpose(self, call: Call) -> Purpose:
        if call.path == _SEND:
            return Purpose.SENDING if call.method == "POST" else Purpose.WRONG_METHOD
        if call.path == _LIST:
            return Purpose.ASKING if call.method == "POST" else Purpose.WRONG_METHOD
        if call.path in (_ACCOUNT, lists.SES) or _IDENTITY.fullmatch(call.path):
            return Purpose.ASKING if call.method == "GET" else Purpose.WRONG_METHOD
        return Purpose.UNKNOWN

    def check(self, call: Call) -> Answer | None:
        known = self.account.credentials
        try:
            verify(call, known["access_key_id"], known["secret_access_key"], "ses")
        except BadSignature as bad:
            return _error(403, bad.code, bad.message)
        return None

    def take(self, call: Call) -> Taken:
        try:
            asked = json.loads(call.body)
        except (ValueError, RecursionError) as error:
            raise Refused(_error(400, "SerializationException", "The body is not JSON.")) from error
        if not isinstance(asked, dict):
            raise Refused(_error(400, "SerializationException", "The body is not an object."))
        if unknown := asked.keys() - _FIELDS:
            raise Refused(_bad(f"unknown: {', '.join(sorted(unknown))}"))
        tags = _tags(asked.get("EmailTags", []))
        people = _destination(asked)
        message_id = f"{secrets.token_hex(8)}-{secrets.token_hex(4)}-{secrets.token_hex(2)}-000000"
        content = asked.get("Content")
        if not isinstance(content, dict) or len(content.keys() & {"Raw", "Simple"}) != 1:
            raise Refused(_bad("Content must have one of Raw and Simple here."))
        read = self._raw if "Raw" in content else self._simple
        message = read(asked, people, message_id, tags, len(call.body))
        return Taken([message], json_answer(200, {"MessageId": message_id}))

    def _raw(self, asked: Any, people: Any, message_id: str, tags: dict[str, str], size: int) -> Received:
        raw = _blob(asked["Content"]["Raw"].get("Data"), "Content.Raw.Data")
        if max(map(len, raw.split(b"\n"))) > 1000:
            raise Refused(_bad("A line of the message is longer than 1000 characters."))
        mime = parse_mime(raw)
        sender = read_mailbox(asked["FromEmailAddress"]) if "FromEmailAddress" in asked else mime.sender
        if not sender.email:
            raise Refused(_bad("Missing final '@domain'"))
        to, cc, bcc = people if any(people) else (mime.to, mime.cc, ())
        everyone = tuple(mailbox.email for mailbox in (*to, *cc, *bcc))
        if not everyone:
            raise Refused(_bad("Recipient count is 0."))
        return _received(
            self.account.name, message_id, mime, Envelope(sender.email, everyone), tags, bcc, size
        )

    def _simple(self, asked: Any, people: Any, message_id: str, tags: dict[str, str], size: int) -> Received:
        simple = asked["Content"]["Simple"]
        to, cc, bcc = people
        if not isinstance(simple, dict) or not isinstance(simple.get("Subject"), dict):
            raise Refused(_bad("Content.Simple.Subject is required."))
        try:
            sender = read_mailbox(asked.get("FromEmailAddress", ""))
            reply_to = tuple(read_mailbox(text) for text in asked.get("ReplyToAddresses", []))
        except (ValueError, TypeError, AttributeError) as error:
            raise Refused(_bad("Missing final '@domain'")) from error
        if not any(people):
            raise Refused(_bad("Recipient count is 0."))
        body = simple.get("Body") or {}
        return Received(
            account=self.account.name,
            dialect="ses",
            message_id=message_id,
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            envelope=Envelope(sender.email, tuple(m.email for m in (*to, *cc, *bcc))),
            subject=simple["Subject"].get("Data", ""),
            text=body.get("Text", {}).get("Data", ""),
            html=body.get("Html", {}).get("Data", ""),
            headers=_headers(simple.get("Headers", [])),
            attachments=tuple(_attachment(entry) for entry in simple.get("Attachments", [])),
            reply_to=reply_to,
            custom_args=tags,
            size=size,
        )

    def tell(self, call: Call) -> Answer:
        if call.path == lists.SES:
            return json_answer(200, lists.ses(self.lists, call.query))
        identity = {"IdentityType": "DOMAIN", "IdentityName": "example.com", "SendingEnabled": True}
        if call.path == _ACCOUNT:
            return json_answer(
                200,
                {
                    "DedicatedIpAutoWarmupEnabled": False,
                    "EnforcementStatus": "HEALTHY",
                    "ProductionAccessEnabled": True,
                    "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 0.0},
                    "SendingEnabled": True,
                },
            )
        if call.path == _LIST or call.path.endswith("/identities"):
            return json_answer(200, {"EmailIdentities": [{**identity, "VerificationStatus": "SUCCESS"}]})
        return json_answer(
            200, {"IdentityType": "DOMAIN", "VerifiedForSendingStatus": True, "VerificationStatus": "SUCCESS"}
        )

    def error(self, status: int, message: str) -> Answer:
        codes = {
            404: "UnknownOperationException",
            413: "RequestEntityTooLargeException",
            500: "InternalFailure",
        }
        return _error(status, codes.get(status, "BadRequestException"), message)

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:
        return sign(self.account.webhook["private_key"], body, at)

    def refusal(self, mode: str, seconds: float) -> Answer:  # noqa: ARG002 - AWS does not say when to come back
        return _error(*_REFUSALS[mode])


def _error(status: int, code: str, message: str) -> Answer:
    answer = json_answer(status, {"message": message})
    answer.headers |= {"x-amzn-ErrorType": code, "x-amzn-RequestId": secrets.token_hex(16)}
    return answer


def _bad(message: str) -> Answer:
    return _error(400, "BadRequestException", message)


def _tags(entries: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        pair = (entry.get("Name"), entry.get("Value")) if isinstance(entry, dict) else (None, None)
        if not all(isinstance(text, str) and _TAG.fullmatch(text) for text in pair):
            raise Refused(
                _bad(
                    f"Invalid tag <{pair[0]}>: only alphanumeric ASCII characters, '_', and '-' are allowed."
                )
            )
        found[str(pair[0])] = str(pair[1])
    return found


def _destination(asked: Any) -> tuple[tuple[Mailbox, ...], tuple[Mailbox, ...], tuple[Mailbox, ...]]:
    destination = asked.get("Destination") or {}
    if not isinstance(destination, dict) or destination.keys() - {
        "ToAddresses",
        "CcAddresses",
        "BccAddresses",
    }:
        raise Refused(_bad("Destination is not known."))
    try:
        to, cc, bcc = (
            tuple(read_mailbox(text) for text in destination.get(f"{kind}Addresses", []))
            for kind in ("To", "Cc", "Bcc")
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise Refused(_bad("Illegal address")) from error
    if any(not m.email.isascii() for m in (*to, *cc, *bcc)):
        raise Refused(_bad("Local address contains control or whitespace, or the domain is not Punycode."))
    if (count := len(to) + len(cc) + len(bcc)) > 50:
        raise Refused(_bad(f"Recipient count exceeds 50: {count}."))
    return to, cc, bcc


def _blob(text: Any, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Refused(_error(400, "SerializationException", f"{where} is not base64.")) from error


def _headers(entries: Any) -> tuple[tuple[str, str], ...]:
    if len(entries) > 15:
        raise Refused(_bad("Headers: at most 15."))
    found = tuple((str(entry.get("Name")), str(entry.get("Value"))) for entry in entries)
    for name, value in found:
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise Refused(_bad(f"Invalid header {name}."))
    return found


def _attachment(entry: Any) -> ReceivedAttachment:
    content = _blob(entry.get("RawContent"), "Attachments.RawContent")
    name = entry.get("FileName")
    if not name or len(name) > 255:
        raise Refused(_bad("Attachments.FileName has 1 to 255 characters."))
    return ReceivedAttachment(
        name=name,
        type=entry.get("ContentType", "application/octet-stream"),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        disposition=entry.get("ContentDisposition", "ATTACHMENT").lower(),
        content_id=entry.get("ContentId", ""),
    )


def _received(
    account: str,
    message_id: str,
    mime: ParsedMime,
    envelope: Envelope,
    tags: dict[str, str],
    bcc: tuple[Mailbox, ...],
    size: int,
) -> Received:
    return Received(
        account=account,
        dialect="ses",
        message_id=message_id,
        sender=mime.sender,
        to=mime.to,
        cc=mime.cc,
        bcc=bcc,
        envelope=envelope,
        subject=mime.subject,
        text=mime.text,
        html=mime.html,
        headers=mime.headers,
        attachments=mime.attachments,
        reply_to=mime.reply_to,
        custom_args=tags,
        size=size,
        defects=mime.defects,
    )
