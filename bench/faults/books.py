"""The three books, and what they say together: accepted, received, and the ledger between them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PLAIN: Final = "plain"
TEMPLATE: Final = "template"
FILE: Final = "attachment"
BOTH: Final = "both"
SHAPES: Final = (PLAIN, TEMPLATE, FILE, BOTH)  # what an email consists of beside its own words

# An email that ended so was never taken by a provider, and says so.
NOT_SENT = frozenset({"failed", "cancelled", "expired", "suppressed"})
MOVING = frozenset({"scheduled", "queued", "sending", "deferred"})


@dataclass(frozen=True, slots=True)
class Content:
    """What must arrive of an email: its subject, as a template made it too, and the SHA-256 of each of its files."""

    shape: str = PLAIN
    subject: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """A line of the sandbox's book, written before it answered."""

    email_id: str
    attempt_id: str
    subject: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A line of the ledger. `outcome` is accepted, not_sent, unknown or None (open); `opened` in epoch seconds."""

    id: str
    email_id: str
    outcome: str | None
    opened: float = 0.0


@dataclass(slots=True)
class Books:
    """`accepted`: the email ids that were answered with 202, by the client's own number of each.

    `statuses`: every email that the service knows of, also those that nobody was told of. `resends`: the emails
    that are to be sent once more when it is unknown whether they were.
    """

    accepted: Mapping[str, Sequence[str]]
    received: Sequence[Received]
    statuses: Mapping[str, str]
    attempts: Sequence[Attempt]
    resends: Collection[str] = ()
    contents: Mapping[str, Content] = field(default_factory=dict)

    def of_shape(self, shape: str) -> Books:
        """The part that emails of this shape have in them."""

        def mine(email_id: str) -> bool:
            content = self.contents.get(email_id)
            return (content.shape if content is not None else PLAIN) == shape

        return Books(
            {number: ids for number, ids in self.accepted.items() if mine(ids[0])},
            [line for line in self.received if mine(line.email_id)],
            {email_id: status for email_id, status in self.statuses.items() if mine(email_id)},
            self.attempts,
            self.resends,
            self.contents,
        )


@dataclass(slots=True)
class Verdict:
    """Ids of emails, by what is wrong with them. `moving`: not at rest yet, so nothing can be said of them.

    `unasked`: the service has the email and the client never got its id, though it asked until it got one. It
    asked once for it, so this is a second email of one request. `mangled`: received with another subject or other files
    than it was handed over with.
    """

    accepted: int = 0
    sent: int = 0
    unknown: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)
    mangled: list[str] = field(default_factory=list)
    accepted_twice: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {
            "accepted": self.accepted,
            "lost": len(self.lost),
            "unknown": len(self.unknown),
            "duplicates": len(self.duplicates),
            "unexplained_duplicates": len(self.unexplained),
            "phantoms": len(self.phantoms),
            "mangled": len(self.mangled),
        }


def reconcile(books: Books) -> Verdict:
    """Find what was lost, sent twice, or received without a line in the ledger.

    Lost: accepted, and neither received nor shown as not sent or unknown; also what is shown as sent and was not
    received. A duplicate is explained where the email was to be resent in doubt, the ledger calls all of its
    copies unknown but one, and each has an attempt of its own. Two emails for one request, told to the client or
    not, are explained by nothing.
    """
    verdict = Verdict()
    copies: dict[str, Counter[str]] = defaultdict(Counter)
    for line in books.received:
        copies[line.email_id][line.attempt_id] += 1
    outcomes = {attempt.id: attempt.outcome for attempt in books.attempts}
    for number, ids in books.accepted.items():
        if len(set(ids)) > 1:
            verdict.accepted_twice.append(number)
            verdict.unexplained.append(ids[-1])
            verdict.duplicates.append(ids[-1])
    emails = {email_id for ids in books.accepted.values() for email_id in ids}
    verdict.accepted = len(books.accepted)
    verdict.unasked = sorted(books.statuses.keys() - emails)
    verdict.duplicates += verdict.unasked
    verdict.unexplained += verdict.unasked
    for email_id in sorted(emails):
        _count(email_id, copies[email_id], outcomes, email_id in books.resends, verdict)
        _judge(email_id, books.statuses.get(email_id), bool(copies[email_id]), verdict)
    lines = {(a.id, a.email_id) for a in books.attempts}
    verdict.phantoms = sorted(
        {r.attempt_id for r in books.received if (r.attempt_id, r.email_id) not in lines}
    )
    verdict.mangled = sorted(
        {
            line.email_id
            for line in books.received
            if (content := books.contents.get(line.email_id)) is not None
            and (content.subject, content.files) != (line.subject, line.files)
        }
    )
    return verdict


def by_shape(books: Books) -> dict[str, Verdict]:
    """A verdict on each shape of which there were emails."""
    found = {shape: reconcile(books.of_shape(shape)) for shape in SHAPES}
    return {shape: v for shape, v in found.items() if v.accepted or any(v.counts().values())}


def _count(
    email_id: str, copies: Counter[str], outcomes: Mapping[str, str | None], resends: bool, verdict: Verdict
) -> None:
    if copies.total() <= 1:
        return
    verdict.duplicates.append(email_id)
    certain = sum(outcomes.get(attempt) != "unknown" for attempt in copies)
    if not resends or certain > 1 or max(copies.values()) > 1:
        verdict.unexplained.append(email_id)


def _judge(email_id: str, status: str | None, arrived: bool, verdict: Verdict) -> None:
    if status == "sent":
        verdict.sent += 1
    elif status == "unknown":
        verdict.unknown.append(email_id)
        return
    elif status in MOVING:
        verdict.moving.append(email_id)
        return
    if not arrived and status not in NOT_SENT:
        verdict.lost.append(email_id)
    if arrived and status in NOT_SENT and email_id not in verdict.unexplained:
        # It reached somebody, and the ledger says that it did not: a falsehood as bad as a duplicate.
        verdict.unexplained.append(email_id)


def share_out_doubts(
    attempts: Iterable[Attempt], begins: Sequence[float], allowed: Sequence[int], early: float = 1.0
) -> list[int]:
    """How many attempts ended unknown by each fault: the one in whose time they were opened.

    `begins` are the faults' begins in epoch seconds, in order; `allowed` how many each explains. An attempt that was
    opened up to `early` seconds before the next fault may have been open when that began: it counts there where
    its own explains no more. What is earlier than all counts to the first.
    """
    counts = [0] * len(begins)
    for attempt in sorted(attempts, key=lambda a: a.opened):
        if attempt.outcome != "unknown" or not begins:
            continue
        place = max(0, sum(begin <= attempt.opened for begin in begins) - 1)
        following = place + 1
        if (
            counts[place] >= allowed[place]
            and following < len(begins)
            and begins[following] - early <= attempt.opened
            and counts[following] < allowed[following]
        ):
            place = following
        counts[place] += 1
    return counts
