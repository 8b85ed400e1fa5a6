"""Reports that come back as emails: of delivery (RFC 3464), of abuse (RFC 5965), and automatic answers (RFC 3834).

A report is in the hands of whoever wrote it, and only an email's recipients can know its attempt's id: what it says is
believed of recipients of that attempt alone (domain.lifecycle.fold finds others nowhere).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import HeaderParser
from email.utils import parseaddr, parsedate_to_datetime
from typing import Final

from domain.events import BounceClass, DeliveryEvent, EventType, InboundEvent, RejectReason
from providers.fields import ATTEMPT, ATTEMPT_FIELD
from providers.webhooks import attempt_of, enhanced_code, inbound, instant, word

LARGEST: Final = 2_000_000  # bytes of a report that is read; reports quote no more than the email's head

_ACTIONS: Final[Mapping[str, EventType]] = {
    "failed": EventType.BOUNCED,
    "delayed": EventType.DEFERRED,
    "delivered": EventType.DELIVERED,
    "relayed": EventType.SENT,  # to a system that tells no more
    "expanded": EventType.SENT,  # to the members of a list
}
_FEEDBACK: Final[Mapping[str, tuple[EventType, RejectReason | None]]] = {
    "abuse": (EventType.COMPLAINED, RejectReason.SPAM),
    "fraud": (EventType.COMPLAINED, RejectReason.SPAM),
    "virus": (EventType.COMPLAINED, RejectReason.SPAM),
    "other": (EventType.COMPLAINED, RejectReason.OTHER),
    "opt-out": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED),
    "opt-out-list": (EventType.UNSUBSCRIBED, RejectReason.UNSUBSCRIBED),
}
# RFC 3463: what says nothing against the address (a full mailbox, a busy system, our own address, the content), and
# what is a host's policy.
_SOFT: Final = re.compile(r"4\.|5\.1\.[78]$|5\.2\.[23]$|5\.[3-6]\.")
_POLICY: Final = re.compile(r"[45]\.7\.")
_INVALID: Final = re.compile(r"5\.1\.[01236]$")
_ID: Final = re.compile(r"<[^<>\s]{1,900}>")
# What the standard library raises of strange emails: MessageError of encoded words, OverflowError of dates.
_WRONG: Final = (
    ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError, MessageError
)  # fmt: skip


def read_report(raw: bytes) -> list[InboundEvent]:
    """What an email reports; nothing where it is no report. Raises nothing: anybody may have written it."""
    try:
        message = message_from_bytes(raw[:LARGEST], policy=policy.compat32)
        events = list(_events(message))
        name = word(message.get("Message-ID")) or ""
    except _WRONG:
        return []
    if not events:
        return []
    text = raw[:LARGEST].decode("utf-8", "replace").replace("\0", "")
    return inbound(events, f"{name}\n{text}"[:20_000])


def _events(message: Message) -> Iterator[DeliveryEvent]:
    kind = str(message.get_param("report-type") or "").lower()
    parts = {part.get_content_type(): part for part in message.walk() if part is not message}
    at = _date(message)
    if "message/delivery-status" in parts or kind == "delivery-status":
        yield from _of_delivery(parts, at)
    elif "message/feedback-report" in parts:
        yield from _of_abuse(parts, at)
    elif str(message.get("Auto-Submitted", "no")).partition(";")[0].strip().lower() == "auto-replied":
        named = _ID.search(str(message.get("In-Reply-To") or message.get("References") or ""))
        if named:
            yield DeliveryEvent(
                EventType.AUTORESPONDED,
                occurred_at=at,
                recipient=_address(message.get("From")),
                provider_message_id=named[0],
                description=_text(message.get("Subject")),
            )


def _of_delivery(parts: Mapping[str, Message], at: datetime | None) -> Iterator[DeliveryEvent]:
    blocks = [block for block in _blocks(parts.get("message/delivery-status")) if block.get("Action")]
    original = _original(parts)
    for block in blocks:
        action = str(block["Action"]).strip().lower()
        status = enhanced_code(word(block.get("Status"))) or enhanced_code(word(block.get("Diagnostic-Code")))
        said = _text(_after_semicolon(block.get("Diagnostic-Code")))
        event = _ACTIONS.get(action, EventType.UNKNOWN)
        bounced = event is EventType.BOUNCED
        reason, bounce = _judge(status or "") if bounced else (None, None)
        yield DeliveryEvent(
            event,
            occurred_at=_when(block.get("Last-Attempt-Date")) or at,
            recipient=_address(_after_semicolon(block.get("Original-Recipient")))
            or _address(_after_semicolon(block.get("Final-Recipient"))),
            attempt_id=attempt_of({ATTEMPT: (original.get(ATTEMPT_FIELD) or "").strip()}),
            provider_message_id=_named(original),
            reject_reason=reason,
            bounce=bounce,
            status_code=status,
            description=said or f"the mail server reports: {action}",
            mta_response=said,
        )


def _of_abuse(parts: Mapping[str, Message], at: datetime | None) -> Iterator[DeliveryEvent]:
    original = _original(parts)
    fields = next(iter(_blocks(parts["message/feedback-report"])), Message())
    kind = str(fields.get("Feedback-Type", "")).strip().lower()
    event, reason = _FEEDBACK.get(kind, (EventType.UNKNOWN, None))
    yield DeliveryEvent(
        event,
        occurred_at=_when(fields.get("Arrival-Date") or fields.get("Received-Date")) or at,
        recipient=_address(fields.get("Original-Rcpt-To")),
        attempt_id=attempt_of({ATTEMPT: (original.get(ATTEMPT_FIELD) or "").strip()}),
        provider_message_id=_named(original),
        reject_reason=reason,
        description=f"a feedback report: {kind or 'of no type'}",
        user_agent=_text(fields.get("User-Agent")),
    )


def _blocks(part: Message | None) -> Iterable[Message]:
    """The groups of fields of a part: the parser makes messages of them, unless the part came encoded."""
    if part is None:
        return []
    payload = part.get_payload()
    found = [p for p in payload if isinstance(p, Message)] if isinstance(payload, list) else []
    if any(p.keys() for p in found):
        return found
    raw = part.get_payload(decode=True) or (found[0].get_payload(decode=True) if found else b"")
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(payload)
    return [
        HeaderParser(policy=policy.compat32).parsestr(g)
        for g in re.split(r"\r?\n\s*\r?\n", text)
        if g.strip()
    ]


def _original(parts: Mapping[str, Message]) -> Message:
    """The head of the email that the report is of."""
    for kind in (
        "message/rfc822",
        "message/rfc822-headers",
        "text/rfc822-headers",
        "message/global-headers",
        "message/global",
    ):
        part = parts.get(kind)
        if part is None:
            continue
        payload = part.get_payload()
        if isinstance(payload, list) and payload and isinstance(payload[0], Message) and payload[0].keys():
            return payload[0]
        raw = part.get_payload(decode=True)
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(payload)
        return HeaderParser(policy=policy.compat32).parsestr(text)
    return Message()


def _judge(status: str) -> tuple[RejectReason, BounceClass]:
    """A report without a status is of no more weight than one that another try may mend."""
    if _POLICY.match(status):
        return RejectReason.BLOCKED, BounceClass.SOFT
    if not status or _SOFT.match(status):
        return RejectReason.BOUNCED, BounceClass.SOFT
    return (RejectReason.INVALID if _INVALID.match(status) else RejectReason.BOUNCED), BounceClass.HARD


def _named(original: Message) -> str | None:
    found = _ID.search(str(original.get("Message-ID") or ""))
    return found[0] if found else None


def _after_semicolon(value: object) -> str | None:
    """What follows the type, as in `rfc822; ada@example.com`."""
    return None if value is None else str(value).partition(";")[2].strip() or str(value).strip()


def _address(value: object) -> str | None:
    if value is None:
        return None
    address = parseaddr(re.sub(r"\s+", " ", str(value)))[1]
    return address if "@" in address else None


def _text(value: object) -> str | None:
    """On one line, decoded, and short."""
    if value is None:
        return None
    try:
        decoded = str(make_header(decode_header(str(value))))
    except (ValueError, LookupError, MessageError):
        decoded = str(value)
    return word(" ".join(decoded.split())[:500])


def _when(value: object) -> datetime | None:
    """In UTC; None for what is no time, or none that a database can tell."""
    try:
        return instant(parsedate_to_datetime(str(value)).isoformat()) if value is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _date(message: Message) -> datetime | None:
    return _when(message.get("Date"))
