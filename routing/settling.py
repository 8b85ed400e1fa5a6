"""What is settled about emails that are alike, so that a decision repeats only what the moment changes.

Emails of a user and type without anything special, which routing rules do not tell apart, may be carried by the same
providers at the same figures. Who may, is kept as long as nothing that is configured or learned changes; what they were
compared at, as long as the rates stand as they do. It is a memory, not a model: with and without it decisions are the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from domain.message import Submission
from domain.value import value
from routing.eligibility import Exclusion, concerns, lasting, matching_rule
from routing.explanation import row_text, seen_text
from routing.index import Worth
from routing.outlook import Outlook, Weighing, weigh
from routing.snapshot import ProviderSnapshot, RuleSnapshot, Snapshot
from routing.worths import in_place_of

_SMALL = 100_000  # characters of content that every provider takes
_LARGEST = 1_000_000  # bytes that a provider must take for that
_NAMED = "named by rules"  # their place in what is settled
_MOST_ALIKE = 1000  # weighings that are kept of one kind of emails


@value
class Moment:
    """The eligible as one snapshot shows them, and what of them changes from one moment to the next.

    `uneasy`: the numbers of those that something of the moment may stand in the way of; `taken`: whose probe is out;
    `rooms`: what is free of their rates.
    """

    snapshot: Snapshot
    fleet: Sequence[ProviderSnapshot]
    uneasy: Sequence[int]
    taken: Sequence[int]
    rooms: tuple[float, ...]

    def room(self, number: int) -> float:
        return self.rooms[number]


@dataclass(slots=True)
class Alike:
    """How the candidates compare, and the same as the ledger keeps it. `kept`: whole texts for it, by who was
    chosen and why.
    """

    weighing: Weighing
    seen: str
    kept: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class Settled:
    """What does not change from one moment to the next for emails that are alike.

    `eligible`: places in the snapshot's providers. What is chosen among is numbered by the place in `eligible`.
    """

    eligible: tuple[int, ...]
    exclusions: tuple[Exclusion, ...]
    rule: RuleSnapshot | None
    worth: Worth | None
    numbers: range
    outlook: Outlook | None
    _fleet_of: Callable[[Sequence[ProviderSnapshot]], Sequence[ProviderSnapshot]] = field(init=False)
    _moment: Moment | None = None
    _rows: dict[int, list[str]] = field(default_factory=dict)  # per group
    _alike: dict[Hashable, Alike] = field(default_factory=dict)

    def __post_init__(self) -> None:
        places = self.eligible  # itemgetter, which is twice as fast, gives a tuple of two or more only
        self._fleet_of = itemgetter(*places) if len(places) > 1 else lambda fleet: [fleet[i] for i in places]

    def at(self, snapshot: Snapshot) -> Moment:
        """The fleet as a snapshot shows it."""
        moment = self._moment
        if moment is None or moment.snapshot is not snapshot:
            fleet = self._fleet_of(snapshot.providers)
            uneasy = [k for k, p in enumerate(fleet) if p.uneasy]
            taken = [k for k in uneasy if fleet[k].probe_taken]
            moment = self._moment = Moment(snapshot, fleet, uneasy, taken, tuple([p.room for p in fleet]))
        return moment

    def rows(self, fleet: Sequence[ProviderSnapshot], group: int) -> list[str]:
        """The figures of each, as the ledger keeps them."""
        rows = self._rows.get(group)
        if rows is None:
            assert self.outlook is not None
            assert self.worth is not None
            standings = self.outlook.standings
            rows = [row_text(p.name, standings[k], self.worth, group) for k, p in enumerate(fleet)]
            self._rows[group] = rows
        return rows

    def alike(self, moment: Moment, numbers: Sequence[int], group: int, *, hopeful: bool) -> Alike:
        """How those with these numbers compare at this moment for an email to a group."""
        who = None if numbers is self.numbers else tuple(numbers)
        key = group, hopeful, who, moment.rooms
        found = self._alike.get(key)
        if found is None:
            assert self.outlook is not None
            assert self.worth is not None
            weighing = weigh(self.outlook, self.worth, group, numbers, moment.room, hopeful=hopeful)
            if len(self._alike) >= _MOST_ALIKE:
                self._alike.clear()
            rows = self.rows(moment.fleet, group)
            text = seen_text(self.outlook.version, self.worth, group, weighing.scores, rows)
            found = self._alike[key] = Alike(weighing, text)
        return found


def settled_for(submission: Submission, snapshot: Snapshot) -> Settled:
    """Who may carry such an email as things are configured. Plain emails of a user and type are all alike,
    but for what rules look at.
    """
    message, tracking, own = submission.message, submission.tracking, submission.tracking.links
    plain = (
        len(submission.envelope.recipients) == 1
        and not message.attachments
        and len(message.text or "") + len(message.html or "") < _SMALL
    )
    if not plain:
        return _settle(submission, snapshot)
    key = (
        submission.user_id.int, submission.email_type, submission.wishes, len(submission.envelope.reply_to),
        submission.test, tracking.opens, tracking.clicks, own and (own.opens, own.clicks), bool(message.html),
        tuple([name for name, _ in message.headers]) if message.headers else (),
        _marks(submission, snapshot) if snapshot.rules else (),
    )  # fmt: skip
    found: Settled | None = snapshot.settled.get(key)
    if found is None:
        found = _settle(submission, snapshot)
        sizes = (p.capabilities.max_bytes for p in snapshot.providers)
        if all(size is None or size > _LARGEST for size in sizes):
            snapshot.settled[key] = found
    return found


def _marks(submission: Submission, snapshot: Snapshot) -> Hashable:
    """What rules look at of an email with one recipient, beyond its user and type.

    What no rule names is left out, so that emails to a thousand domains are alike where rules name one of them.
    """
    named = snapshot.settled.get(_NAMED)
    if named is None:
        rules = snapshot.rules
        senders = frozenset([r.sender_domain for r in rules if r.sender_domain is not None])
        recipients = frozenset([r.recipient_domain for r in rules if r.recipient_domain is not None])
        tags = frozenset([r.tag for r in rules if r.tag is not None])
        named = (senders, recipients, tags) if senders or recipients or tags else ()
        snapshot.settled[_NAMED] = named
    if not named:
        return ()
    senders, recipients, tags = named
    envelope = submission.envelope
    return (
        senders.intersection((envelope.sender.domain,)),
        recipients.intersection((envelope.recipients[0].address.domain,)),
        tags.intersection(submission.tags),
    )


def _settle(submission: Submission, snapshot: Snapshot) -> Settled:
    rule = matching_rule(snapshot.rules, submission)
    eligible: list[int] = []
    exclusions: list[Exclusion] = []
    for place, provider in enumerate(snapshot.providers):
        if not concerns(provider, submission):
            continue
        reason = lasting(provider, submission, rule)
        if reason is None:
            eligible.append(place)
        else:
            exclusions.append(reason)
    fleet = snapshot.providers
    if rule is not None:
        eligible.sort(key=lambda i: rule.providers.index(fleet[i].id))
    worth = snapshot.worth(submission.user_id, submission.email_type)
    policy = submission.wishes.policy or (None if rule is None else rule.policy)
    if worth is not None and policy is not None:
        prices = [float(p.price) * 1000 for p in fleet if p.owner in (None, submission.user_id)]
        worth = in_place_of(worth, policy, prices)
    standings = [s for i in eligible if (s := fleet[i].standing) is not None]
    known = worth is not None and len(standings) == len(eligible)
    outlook = Outlook(snapshot.version, standings) if known else None
    return Settled(tuple(eligible), tuple(exclusions), rule, worth, range(len(eligible)), outlook)
