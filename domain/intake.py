"""What passes between intake and the database: emails as asked for, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from domain.files import StoredFile, WantedFile
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
from domain.suppression import LeftOut
from domain.templates import Wanted


@dataclass(frozen=True, slots=True)
class Objection:
    """What is wrong with one field of the draft at `item`; `path` leads to the field."""

    item: int
    path: tuple[str | int, ...]
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An email as it was asked for. `on_unknown` None: as its type says; the lane is the type's alone.

    `item` is its place in the request; `objections`: what is wrong with it already, where its content could not be
    made; intake refuses it then, unless the request was answered before. `template`: what its content is made of;
    `resend_of`: the email whose place it takes.
    `wanted` are the files that it asks for, `files` the same once they are kept. `once`: what makes the entry of a
    batch safe to repeat by itself.
    """

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
    item: int = 0
    objections: tuple[Objection, ...] = ()
    template: Wanted | None = None
    campaign_id: UUID | None = None
    wanted: tuple[WantedFile, ...] = ()
    files: tuple[StoredFile, ...] = ()
    resend_of: UUID | None = None
    once: Once | None = None


@dataclass(frozen=True, slots=True)
class TypeTerms:
    """How emails of a declared type are treated."""

    lane: Lane
    on_unknown: OnUnknown
    marketing: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is true at the moment of accepting.

    `types` and `providers` are named with their owner, None for those that everybody has; `keys` are the API
    keys that were asked about and may still be used. `with_lists`: users who do not write to some addresses any more.
    `campaigns`: whose they are, and how many emails a minute they may send; none that was cancelled.
    `link_secrets`: what proves their links, by which recipients unsubscribe.
    `public_url`: under which address people reach us. `now` is the database's time.
    """

    now: datetime
    types: Mapping[tuple[UUID | None, str], TypeTerms]
    providers: frozenset[tuple[UUID | None, str]]
    keys: frozenset[UUID]
    with_lists: frozenset[UUID] = frozenset()
    campaigns: Mapping[UUID, tuple[UUID, int | None]] = field(default_factory=dict)
    link_secrets: Mapping[UUID, bytes] = field(default_factory=dict)
    public_url: str | None = None

    def terms(self, user_id: UUID, email_type: str) -> TypeTerms | None:
        """The user's own type goes before the one that everybody has."""
        return self.types.get((user_id, email_type)) or self.types.get((None, email_type))

    def has_provider(self, user_id: UUID, name: str) -> bool:
        return (user_id, name) in self.providers or (None, name) in self.providers


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
class Handover:
    """The emails of one request. All of them are accepted, or none."""

    sender: Sender
    drafts: Sequence[Draft]
    once: Once | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """An email that is now ours to deliver. `item` is its place in the request. `replayed`: it was accepted before,
    under its entry's key.
    """

    id: UUID
    status: Status
    item: int = 0
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a request, an entry per email in the order asked. `replayed`: it had been given before."""

    emails: tuple[Accepted, ...]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Memo:
    """The answer that is to be given again where the request is repeated."""

    user_id: UUID
    once: Once
    answer: Sequence[Accepted]


@dataclass(frozen=True, slots=True)
class Entry:
    """An email ready to be written: `status` is scheduled or queued; or suppressed, where nobody may be written to.

    `left_out`: those of its recipients that may not, where others may; the submission is without them.
    `due_at`: when it may go first, where that is not when it was asked for.
    """

    submission: Submission
    status: Status
    api_key_id: UUID | None
    left_out: Sequence[LeftOut] = ()
    campaign_id: UUID | None = None
    due_at: datetime | None = None
    files: tuple[StoredFile, ...] = ()
    resend_of: UUID | None = None


class Refused(Exception):
    """Nothing was accepted. `objections` lists every one."""

    def __init__(self, objections: Sequence[Objection]) -> None:
        super().__init__("; ".join(o.detail for o in objections))
        self.objections = tuple(objections)


class SenderGone(Exception):
    """The API key was revoked or has expired."""


class AlreadyResent(Exception):
    """Other emails have taken the place of `emails` meanwhile."""

    def __init__(self, emails: frozenset[UUID]) -> None:
        super().__init__(", ".join(sorted(map(str, emails))))
        self.emails = emails


class KeyTaken(Exception):
    """The idempotency key was used for another request."""


class KeyInFlight(Exception):
    """A request with the same idempotency key is being worked on; its answer is not known yet."""
