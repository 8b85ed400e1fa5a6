"""Row ↔ value: the only place that knows how a Submission lies in `email_jobs` and `email_contents`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason
from domain.files import StoredFile
from domain.message import (
    Address,
    Disposition,
    Envelope,
    Lane,
    Message,
    OnUnknown,
    OwnLinks,
    Recipient,
    RecipientKind,
    RoutingWishes,
    Submission,
    Tracking,
)
from domain.suppression import LeftOut

_DAY_MS = 86_400_000


def content_hash(submission: Submission) -> bytes:
    """SHA-256 of what `email_contents` holds of an email: the bodies, not the subject or the headers.

    The day that the email's id bears is part of it (RFC 9562, 5.7: its first 48 bits are milliseconds): bodies of
    a day are purged together, and no later email can need one of them.
    """
    day = (submission.id.int >> 80) // _DAY_MS
    return _hash_bodies(submission.message.text, submission.message.html, day)


@lru_cache(maxsize=32)  # the emails of a campaign share their bodies
def _hash_bodies(text: str | None, html: str | None, day: int) -> bytes:
    canonical = json.dumps([text, html, day], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def job_row(
    submission: Submission, api_key_id: UUID | None, status: str, files: Sequence[StoredFile] = ()
) -> dict[str, Any]:
    """The row of `email_jobs` for a newly accepted email."""
    envelope, wishes, tracking = submission.envelope, submission.wishes, submission.tracking
    return {
        "id": submission.id,
        "user_id": submission.user_id,
        "api_key_id": api_key_id,
        "recipient": envelope.recipients[0].address.email,
        "subject": submission.message.subject,
        "content_hash": content_hash(submission),
        "envelope": {
            "from": _address(envelope.sender),
            "recipients": [{**_address(r.address), "kind": r.kind.value} for r in envelope.recipients],
            "reply_to": [_address(a) for a in envelope.reply_to],
            "headers": [list(pair) for pair in submission.message.headers],
            **({"files": [file_row(file) for file in files]} if files else {}),
        },
        "email_type": submission.email_type,
        "lane": submission.lane.value,
        "on_unknown": submission.on_unknown.value,
        "options": {
            "pinned": sorted(wishes.pinned),
            "excluded": sorted(wishes.excluded),
            "max_cost": None if wishes.max_cost is None else str(wishes.max_cost),
            **{name: value for name in _IF_GIVEN if (value := getattr(wishes, name)) is not None},
            "track_opens": tracking.opens,
            "track_clicks": tracking.clicks,
            **({} if tracking.links is None else {"links": [tracking.links.base, tracking.links.key]}),
            **({"test": True} if submission.test else {}),
        },
        "tags": list(submission.tags),
        "metadata": dict(submission.metadata),
        "status": status,
        "send_at": submission.send_at,
        "expires_at": submission.expires_at,
    }


def left_out_row(one: LeftOut) -> dict[str, str]:
    """A recipient that an email goes without, as its envelope keeps them."""
    return {
        **_address(one.recipient.address),
        "kind": one.recipient.kind.value,
        "cause": one.cause.value,
    }


def submission(row: Any, text: str | None, html: str | None) -> Submission:
    """The value of a row of `email_jobs` (`options` as text) and of its content."""
    envelope = row.envelope
    headers, reply_to = envelope["headers"], envelope["reply_to"]
    tracking, wishes, test = _treatment(row.options)
    return Submission(
        id=row.id,
        user_id=row.user_id,
        message=Message(row.subject, text, html, tuple([(name, value) for name, value in headers])),
        envelope=Envelope(
            _sender(envelope["from"]["email"], envelope["from"]["name"]),
            tuple(
                [Recipient(Address(r["email"], r["name"]), _KINDS[r["kind"]]) for r in envelope["recipients"]]
            ),
            tuple([Address(**a) for a in reply_to]),
        ),
        email_type=row.email_type,
        lane=_LANES[row.lane],
        on_unknown=_ON_UNKNOWN[row.on_unknown],
        tags=tuple(row.tags),
        metadata=row.metadata or {},
        tracking=tracking,
        wishes=wishes,
        send_at=row.send_at,
        expires_at=row.expires_at,
        test=test,
    )


_IF_GIVEN = ("policy", "residency")  # wishes that few emails have; older rows do not know them
_KINDS = {kind.value: kind for kind in RecipientKind}
_LANES = {lane.value: lane for lane in Lane}
_ON_UNKNOWN = {choice.value: choice for choice in OnUnknown}
# Most emails of a sender are alike in these.
_sender = lru_cache(maxsize=256)(Address)


@lru_cache(maxsize=256)
def _treatment(options: str) -> tuple[Tracking, RoutingWishes, bool]:
    read = orjson.loads(options)
    links = read.get("links")
    own = None
    if links is not None:
        base, key = links
        own = OwnLinks(base, key, bool(read["track_opens"]), bool(read["track_clicks"]))
    return (
        Tracking(read["track_opens"], read["track_clicks"], own),
        RoutingWishes(
            pinned=frozenset(read["pinned"]),
            excluded=frozenset(read["excluded"]),
            max_cost=None if read["max_cost"] is None else Decimal(read["max_cost"]),
            **{name: read.get(name) for name in _IF_GIVEN},
        ),
        read.get("test", False),
    )


def file_row(file: StoredFile) -> dict[str, Any]:
    """A file of an email as JSON."""
    return {
        "id": str(file.id),
        "hash": file.hash.hex(),
        "size": file.size,
        "filename": file.filename,
        "content_type": file.content_type,
        "disposition": file.disposition.value,
        "content_id": file.content_id,
    }


def stored_files(envelope: Mapping[str, Any]) -> tuple[StoredFile, ...]:
    """The files of an email, as its row has them."""
    return tuple(
        StoredFile(
            UUID(f["id"]),
            bytes.fromhex(f["hash"]),
            f["size"],
            f["filename"],
            f["content_type"],
            Disposition(f["disposition"]),
            f["content_id"],
        )
        for f in envelope.get("files", ())
    )


def _address(address: Address) -> dict[str, str]:
    return {"email": address.email, "name": address.name}


def event_row(event: DeliveryEvent) -> dict[str, Any]:
    """An event as JSON; what is not said is left out.

    A refusal of some only is kept as one that nobody acts on: a process of a version that knows no `partly`, and in a
    rolling upgrade there are such, would take it for a refusal of all, and an email that was taken for failed.
    """
    type_ = EventType.UNKNOWN if event.type is EventType.REJECTED and event.partly else event.type
    row: dict[str, Any] = {
        "type": type_.value,
        "event_id": event.event_id,
        "occurred_at": event.occurred_at and event.occurred_at.isoformat(),
        "recipient": event.recipient,
        "attempt_id": event.attempt_id and str(event.attempt_id),
        "email_id": event.email_id and str(event.email_id),
        "provider_message_id": event.provider_message_id,
        "reject_reason": event.reject_reason and event.reject_reason.value,
        "bounce": event.bounce and event.bounce.value,
        "listed": event.listed,
        "partly": event.partly,
        "status_code": event.status_code,
        "description": event.description,
        "mta_response": event.mta_response,
        "click_url": event.click_url,
        "user_agent": event.user_agent,
        "machine": event.machine,
        "tags": list(event.tags),
        "metadata": dict(event.metadata),
    }
    return {name: value for name, value in row.items() if value}


def event_value(row: Mapping[str, Any]) -> DeliveryEvent:
    """The value of what `event_row` made."""
    given = {name: row.get(name) for name in _PLAIN}
    partly = row.get("partly", False)
    type_ = EventType(row["type"])
    names = ("occurred_at", "attempt_id", "email_id", "reject_reason", "bounce")
    at, attempt, email, reason, bounce = (row.get(name) for name in names)
    return DeliveryEvent(
        type=EventType.REJECTED if type_ is EventType.UNKNOWN and partly else type_,
        occurred_at=None if at is None else datetime.fromisoformat(at),
        attempt_id=None if attempt is None else UUID(attempt),
        email_id=None if email is None else UUID(email),
        reject_reason=None if reason is None else RejectReason(reason),
        bounce=None if bounce is None else BounceClass(bounce),
        listed=row.get("listed", False),
        partly=partly,
        tags=tuple(row.get("tags", ())),
        metadata=row.get("metadata", {}),
        **given,
    )


_PLAIN = (
    "event_id",
    "recipient",
    "provider_message_id",
    "status_code",
    "description",
    "mta_response",
    "click_url",
    "user_agent",
    "machine",
)
