"""What passes between intake and the database: emails as asked for, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from domain.lifecycle import Status
from domain.message import (
    Envelope,
    Lane,
    Message,
    OnUnknown,
    RoutingWishes,
    Submission,
    Tracking,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """An email as it was asked for. `on_unknown` None: as its type says; the lane is the type's alone."""

    message: Message
    envelope: Envelope
    email_type: str
    on_unknown: OnUnknown | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    tracking: Tracking = Tracking()
    wishes: RoutingWishes = RoutingWishes()
    send_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TypeTerms:
    """How emails of a declared type are treated."""

    lane: Lane
    on_unknown: OnUnknown


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is true at the moment of accepting: the database's time, and which of the asked-for names exist."""

    now: datetime
    types: Mapping[str, TypeTerms]
    providers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sender:
    """On whose behalf emails are accepted, and with which key."""

    user_id: UUID
    api_key_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Once:
    """A request that may arrive more than once. `request_hash` tells whether two requests are the same."""

    route: str
    key: str
    request_hash: bytes
    keep: timedelta


@dataclass(frozen=True, slots=True)
class Accepted:
    """An email that is now ours to deliver."""

    id: UUID
    status: Status


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a request, an entry per email in the order asked. `replayed`: it had been given before."""

    emails: tuple[Accepted, ...]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """An email ready to be written: `status` is scheduled or queued, `note_id` names its first timeline line."""

    submission: Submission
    status: Status
    note_id: UUID


@dataclass(frozen=True, slots=True)
class Objection:
    """What is wrong with one field of the draft at `item`; `path` leads to the field."""

    item: int
    path: tuple[str | int, ...]
    code: str
    detail: str


class Refused(Exception):
    """Nothing was accepted. `objections` lists every one."""

    def __init__(self, objections: Sequence[Objection]) -> None:
        super().__init__("; ".join(o.detail for o in objections))
        self.objections = tuple(objections)


class KeyTaken(Exception):
    """The idempotency key was used for another request."""


class KeyInFlight(Exception):
    """A request with the same idempotency key is being worked on; its answer is not known yet."""
