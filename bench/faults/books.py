"""The three books, and what they say together: accepted, received, and the ledger between them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# An email that ended so was never taken by a provider, and says so.
NOT_SENT = frozenset({"failed", "cancelled", "expired", "suppressed"})
MOVING = frozenset({"scheduled", "queued", "deferred"})


@dataclass(frozen=True, slots=True)
class Received:
    """A line of the sandbox's book, written before it answered."""

    email_id: str
    attempt_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A line of the ledger. `outcome` is accepted, not_sent, unknown or None (open)."""

    id: str
    email_id: str
    outcome: str | None


@dataclass(slots=True)
class Books:
    """`accepted`: the email ids that were answered with 202, by the client's own number of each."""

    accepted: Mapping[str, Sequence[str]]
    received: Sequence[Received]
    statuses: Mapping[str, str]
    attempts: Sequence[Attempt]


@dataclass(slots=True)
class Verdict:
    """Ids of emails, by what is wrong with them. `moving`: not at rest yet, so nothing can be said of them."""

    accepted: int = 0
    sent: int = 0
    unknown: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)
    accepted_twice: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {
            "accepted": self.accepted,
            "lost": len(self.lost),
            "unknown": len(self.unknown),
            "duplicates": len(self.duplicates),
            "unexplained_duplicates": len(self.unexplained),
            "phantoms": len(self.phantoms),
        }


def reconcile(books: Books) -> Verdict:
    """Find what was lost, sent twice, or received without a line in the ledger.

    Lost: accepted, and neither received nor shown as not sent or unknown; also what is shown as sent and was not
    received. A duplicate is explained where the ledger itself shows an unknown attempt of the email. An email that
    the client got two ids for was accepted twice, which nothing explains.
    """
    verdict = Verdict()
    copies = Counter(r.email_id for r in books.received)
    ledger: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in books.attempts:
        ledger[attempt.email_id].append(attempt)
    for number, ids in books.accepted.items():
        if len(set(ids)) > 1:
            verdict.accepted_twice.append(number)
            verdict.unexplained.append(ids[-1])
            verdict.duplicates.append(ids[-1])
    emails = {email_id for ids in books.accepted.values() for email_id in ids}
    verdict.accepted = len(books.accepted)
    for email_id in sorted(emails):
        _judge(email_id, books.statuses.get(email_id), copies[email_id], ledger[email_id], verdict)
    lines = {(a.id, a.email_id) for a in books.attempts}
    verdict.phantoms = sorted(
        {r.attempt_id for r in books.received if (r.attempt_id, r.email_id) not in lines}
    )
    return verdict


def _judge(
    email_id: str, status: str | None, copies: int, attempts: Iterable[Attempt], verdict: Verdict
) -> None:
    doubt = any(a.outcome == "unknown" for a in attempts)
    if copies > 1:
        verdict.duplicates.append(email_id)
        if not doubt:
            verdict.unexplained.append(email_id)
    if status == "sent":
        verdict.sent += 1
    elif status == "unknown":
        verdict.unknown.append(email_id)
        return
    elif status in MOVING:
        verdict.moving.append(email_id)
        return
    if copies == 0 and status not in NOT_SENT:
        verdict.lost.append(email_id)
    if copies > 0 and status in NOT_SENT and email_id not in verdict.unexplained:
        # It reached somebody, and the ledger says that it did not: a falsehood as bad as a duplicate.
        verdict.unexplained.append(email_id)
