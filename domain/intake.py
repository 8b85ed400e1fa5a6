"""What passes between intake and the database: emails as asked for, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.files import StoredFile, WantedFile
from domain.keys import NO_LIMITS, KeyLimits
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
from domain.sender_domains import lineage
from domain.suppression import LeftOut
from domain.templates import Wanted
from domain.value import value


@value
class Objection:
    """What is wrong with one field of the draft at `item`; `path` leads to the field."""

    item: int
    path: tuple[str | int, ...]
    code: str
    detail: str


@value
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


@value
class TypeTerms:
    """How emails of a declared type are treated."""

    lane: Lane
    on_unknown: OnUnknown
    marketing: bool = False


@value
class HouseRules:
    """What whoever runs the service has settled for all emails. `public_url`: under which address people reach us;
    `own_domains_only`: users send only from domains that they have proved to be theirs.
    """

    public_url: str | None = None
    own_domains_only: bool = False


NO_RULES: Final = HouseRules()


@value
class Surroundings:
    """What is true at the moment of accepting.

    `types`, `providers` and the `regions` that some of them are in are named with their owner, None for those that
    everybody has; `keys` are the API keys that were asked about and may still be used.
    `with_lists`: users who do not write to some addresses any more.
    `campaigns`: whose they are, and how many emails a minute they may send; none that was cancelled.
    `link_secrets`: what proves their links, by which recipients unsubscribe.
    `proved`: of the senders' domains and those above them, the ones that are proved to be somebody's, and whose.
    `rules` are the house's; `now` is the database's time.
    """

    now: datetime
    types: Mapping[tuple[UUID | None, str], TypeTerms]
    providers: frozenset[tuple[UUID | None, str]]
    keys: frozenset[UUID]
    with_lists: frozenset[UUID] = frozenset()
    campaigns: Mapping[UUID, tuple[UUID, int | None]] = field(default_factory=dict)
    link_secrets: Mapping[UUID, bytes] = field(default_factory=dict)
    proved: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    regions: frozenset[tuple[UUID | None, str]] = frozenset()
    rules: HouseRules = NO_RULES

    def terms(self, sender: Sender, email_type: str) -> TypeTerms | None:
        """The user's own type goes before the one that everybody has."""
        return self.types.get((sender.library, email_type)) or self.types.get((None, email_type))

    def may_send_from(self, sender: Sender, domain: str) -> bool:
        """Whether the domain is the sender's, or nobody has proved that it is theirs. In a test anybody may."""
        if sender.is_test:
            return True
        owners = [self.proved[name] for name in lineage(domain) if name in self.proved]
        if not owners:
            return not self.rules.own_domains_only
        return any(sender.user_id in those for those in owners)

    def has_provider(self, sender: Sender, name: str) -> bool:
        """In a test the live providers may be named, as in the request that is tried out."""
        return (sender.library, name) in self.providers or (None, name) in self.providers

    def has_region(self, sender: Sender, name: str) -> bool:
        """Whether any provider that the sender sees keeps its emails there; in a test the live ones, likewise."""
        return (sender.library, name) in self.regions or (None, name) in self.regions


@value
class Sender:
    """On whose behalf emails are accepted, with which key, and what that is limited to.

    `test_of`: `user_id` is the account of that user's test keys.
    """

    user_id: UUID
    api_key_id: UUID | None = None
    limits: KeyLimits = NO_LIMITS
    test_of: UUID | None = None

    @property
    def is_test(self) -> bool:
        return self.test_of is not None

    @property
    def library(self) -> UUID:
        """Whose templates, email types and providers may be named: those of live keys, also with a test key."""
        return self.test_of or self.user_id


@value
class Once:
    """A request that may arrive more than once. `request_hash` tells whether two requests are the same."""

    route: str
    key: str
    request_hash: bytes
    keep: timedelta


@value
class Handover:
    """The emails of one request. All of them are accepted, or none."""

    sender: Sender
    drafts: Sequence[Draft]
    once: Once | None = None


@value
class Accepted:
    """An email that is now ours to deliver. `item` is its place in the request. `replayed`: it was accepted before,
    under its entry's key.
    """

    id: UUID
    status: Status
    item: int = 0
    replayed: bool = False


@value
class Receipt:
    """The answer to a request, an entry per email in the order asked. `replayed`: it had been given before."""

    emails: tuple[Accepted, ...]
    replayed: bool = False


@value
class Memo:
    """The answer that is to be given again where the request is repeated."""

    user_id: UUID
    once: Once
    answer: Sequence[Accepted]


@value
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
