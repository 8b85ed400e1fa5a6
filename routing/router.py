"""The decision: which provider carries an email now, which comes next, and why no other."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.attempt import Attempt
from domain.errors import Unsupported
from domain.message import Submission, Tracking
from routing.breaker import Admission
from routing.eligibility import Because, Exclusion, at_the_moment, lasting, matching_rule
from routing.explanation import FORM, in_words, row_text, seen_text, tell
from routing.index import Worth
from routing.mailbox_groups import GROUPS, group_number
from routing.outlook import Choice, Outlook, Reason, Score, blended, choose
from routing.snapshot import ProviderSnapshot, RuleSnapshot, Snapshot
from routing.worths import URGENT_WAIT

_SMALL = 100_000  # characters of content that every provider takes
_MOST_TEXTS = 1000  # that are kept of one kind of emails
_LARGEST = 1_000_000  # bytes that a provider must take for that
_PLAIN = Tracking()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that may carry the email. `cost` is for the whole email, all recipients."""

    provider_id: UUID
    provider: str
    cost: Decimal
    currency: str
    probe: bool


@dataclass(slots=True)
class _Settled:
    """What does not change from one moment to the next for emails that are alike.

    `eligible`: places in the snapshot's providers. What is chosen among is numbered by the place in `eligible`.
    """

    eligible: tuple[int, ...]
    exclusions: tuple[Exclusion, ...]
    rule: RuleSnapshot | None
    worth: Worth | None
    numbers: range
    outlook: Outlook | None
    rows: dict[int, list[str]] = field(default_factory=dict)  # per group
    texts: dict[tuple[int, tuple[Score, ...]], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """Who carries the email, and the reason of every exclusion. `chosen` None: nobody can carry it now.

    `fleet`: those that were looked at, and `scores` their indexes, where enough was learned to tell; else they come
    the best first. `group`: the mailbox group of its recipients.
    """

    chosen: Candidate | None
    fleet: Sequence[ProviderSnapshot]
    exclusions: Sequence[Exclusion]
    rule: RuleSnapshot | None
    reason: str
    recipients: int = 1
    scores: Sequence[Score] | None = None
    group: int = 0
    view: int = 0
    worth: Worth | None = None
    seen: str | None = None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Those that could carry it, the best first."""
        ranked = self.fleet
        if self.scores is not None:
            by_rule = self.rule is not None
            order = self.scores if by_rule else sorted(self.scores, key=lambda s: s[1])
            ranked = [self.fleet[k] for k, *_ in order]
        others = [p for p in ranked if self.chosen is None or p.id != self.chosen.provider_id]
        first = () if self.chosen is None else (self.chosen,)
        return (*first, *(_candidate(p, self.recipients) for p in others))

    @property
    def hopeless(self) -> bool:
        """Every provider is ruled out by the email itself: waiting would not help."""
        return self.chosen is None and bool(self.exclusions) and all(e.hopeless for e in self.exclusions)

    @property
    def retry_at(self) -> datetime | None:
        """The earliest time at which an exclusion is known to pass."""
        return min((e.retry_at for e in self.exclusions if e.retry_at is not None), default=None)

    def explanation(self) -> str:
        """The decision in one or two sentences."""
        names = [c.provider for c in self.candidates]
        excluded = [(e.provider, e.detail) for e in self.exclusions]
        chosen = None if self.chosen is None else self.chosen.provider
        return in_words(chosen, self.reason, names[1] if len(names) > 1 else None, excluded)

    def kept(self) -> str:
        """What the ledger keeps, as JSON text (routing.explanation.tell makes words of it)."""
        chosen = "null" if self.chosen is None else json.dumps(self.chosen.provider)
        rule = "null" if self.rule is None else f'"{self.rule.id}"'
        excluded = "[]"
        if self.exclusions:
            rows = [
                (e.provider, e.because.value, e.detail, e.retry_at and e.retry_at.isoformat())
                for e in self.exclusions
            ]
            excluded = json.dumps(rows, ensure_ascii=False)
        head = (
            f'{{"form":{FORM},"chosen":{chosen},"reason":"{self.reason}","rule":{rule},"excluded":{excluded}'
        )
        if self.seen is None or self.worth is None:
            costs = [(c.provider, f"{c.cost:f}", c.currency) for c in self.candidates]
            return f'{head},"costs":{json.dumps(costs, ensure_ascii=False)}}}'
        worth = f"[{self.worth.value:.6g},{self.worth.wait:.6g}]"
        learned = f'"view":{self.view},"worth":{worth},"group":"{GROUPS[self.group]}"'
        return f'{head},{learned},"seen":{self.seen}}}'

    def as_json(self) -> dict[str, Any]:
        """What the API shows."""
        return tell(json.loads(self.kept()))


def decide(
    submission: Submission,
    snapshot: Snapshot,
    history: Sequence[Attempt],
    now: datetime,
    chance: random.Random,
) -> Decision:
    """Find the provider that carries the email now.

    `history` is what rules providers out: the tries of this round, and earlier ones that could not be
    expressed. Providers of a rule come in the rule's order. Without a rule the lowest expected cost comes first,
    where the email's type has a worth and all that can carry it have been learned about; else the cheapest, then
    the more reliable. Equals are shuffled by `chance`.
    """
    settled = _settled(submission, snapshot)
    fleet = [snapshot.providers[i] for i in settled.eligible]
    numbers: Sequence[int] = settled.numbers
    exclusions: Sequence[Exclusion] = settled.exclusions
    if history or not all([p.calm for p in fleet]):  # noqa: C419  # a list is faster
        numbers, exclusions = _of_the_moment(settled, fleet, submission, history, now)
    if settled.outlook is not None and numbers:
        return _weigh(settled, fleet, numbers, exclusions, submission, snapshot.version, history, chance, now)
    return _by_cost(settled, [fleet[k] for k in numbers], exclusions, submission, history, chance, now)


def _settled(submission: Submission, snapshot: Snapshot) -> _Settled:
    """Who may carry such an email as things are configured. Plain emails of a user and type are all alike."""
    message = submission.message
    plain = (
        len(submission.envelope.recipients) == 1
        and not message.attachments
        and submission.tracking == _PLAIN
        and len(message.text or "") + len(message.html or "") < _SMALL
    )
    if not plain:
        return _settle(submission, snapshot)
    key = (
        submission.user_id, submission.email_type, submission.wishes, len(submission.envelope.reply_to),
        len(submission.tags), tuple([name for name, _ in message.headers]),
    )  # fmt: skip
    found: _Settled | None = snapshot.settled.get(key)
    if found is None:
        found = _settle(submission, snapshot)
        sizes = (p.capabilities.max_bytes for p in snapshot.providers)
        if all(size is None or size > _LARGEST for size in sizes):
            snapshot.settled[key] = found
    return found


def _settle(submission: Submission, snapshot: Snapshot) -> _Settled:
    rule = matching_rule(snapshot.rules, submission)
    eligible: list[int] = []
    exclusions: list[Exclusion] = []
    for place, provider in enumerate(snapshot.providers):
        if provider.owner is not None and provider.owner != submission.user_id:
            continue  # nobody hears of another user's
        reason = lasting(provider, submission, rule)
        if reason is None:
            eligible.append(place)
        else:
            exclusions.append(reason)
    fleet = snapshot.providers
    if rule is not None:
        eligible.sort(key=lambda i: rule.providers.index(fleet[i].id))
    worth = snapshot.worth(submission.user_id, submission.email_type)
    standings = [s for i in eligible if (s := fleet[i].standing) is not None]
    known = worth is not None and len(standings) == len(eligible)
    outlook = Outlook(snapshot.version, standings) if known else None
    return _Settled(tuple(eligible), tuple(exclusions), rule, worth, range(len(eligible)), outlook)


def _of_the_moment(
    settled: _Settled,
    fleet: Sequence[ProviderSnapshot],
    submission: Submission,
    history: Sequence[Attempt],
    now: datetime,
) -> tuple[list[int], list[Exclusion]]:
    tried: dict[UUID, bool] = {}
    for attempt in history:
        unexpressed = attempt.error == Unsupported.code
        tried[attempt.provider_id] = tried.get(attempt.provider_id, False) or unexpressed
    going: list[int] = []
    exclusions = list(settled.exclusions)
    for number, provider in enumerate(fleet):
        reason = (
            None
            if provider.calm and provider.id not in tried
            else at_the_moment(provider, submission, tried, now)
        )
        if reason is None:
            going.append(number)
        else:
            exclusions.append(reason)
    return going, exclusions


def _weigh(
    settled: _Settled,
    fleet: Sequence[ProviderSnapshot],
    numbers: Sequence[int],
    exclusions: Sequence[Exclusion],
    submission: Submission,
    view: int,
    history: Sequence[Attempt],
    chance: random.Random,
    now: datetime,
) -> Decision:
    """The choice by what was learned."""
    outlook, worth = settled.outlook, settled.worth
    assert outlook is not None
    assert worth is not None
    recipients = submission.envelope.recipients
    group = group_number(recipients[0].address.domain)
    mixed = len(recipients) > 1 and any(group_number(r.address.domain) != group for r in recipients)
    if mixed:
        outlook = blended(outlook, [group_number(r.address.domain) for r in recipients])

    def room(k: int) -> float:
        return fleet[k].room

    patient = worth.wait < URGENT_WAIT
    taken = [k for k in numbers if fleet[k].probe_taken]
    choice: Choice | None = None
    if settled.rule is None:
        choice = choose(
            outlook, worth, group, numbers, room, chance, explores=patient, probes=patient, taken=taken
        )
    else:  # strictly in the rule's order; one that is not well only where all of them are not
        for k in numbers:
            own = choose(
                outlook, worth, group, (k,), room, chance, explores=False, probes=patient, taken=taken
            )
            if own is not None and (choice is None or choice.reason is Reason.PANIC):
                choice = own
            if choice is not None and choice.reason is not Reason.PANIC:
                break
    if choice is None:
        shut = [Exclusion.while_down(fleet[k], now) for k in numbers]
        return Decision(None, (), [*exclusions, *shut], settled.rule, _first_of_all([*exclusions, *shut]))
    if mixed:
        rows = [row_text(p.name, outlook.standings[k], worth, group) for k, p in enumerate(fleet)]
        seen = seen_text(choice.scores, rows)
    else:
        seen = _seen(settled, fleet, choice, worth, group)
    provider = fleet[choice.provider]
    candidate = _candidate(
        provider,
        len(recipients),
        probe=choice.probe or provider.breaker.admission(now) is Admission.PROBE,
    )
    reason = choice.reason.value
    if choice.reason is Reason.LOWEST_EXPECTED_COST:
        reason = f"FAILOVER_{len(history)}" if history else "RULE" if settled.rule else reason
    return Decision(
        candidate,
        fleet,
        exclusions,
        settled.rule,
        reason,
        len(recipients),
        choice.scores,
        group,
        view,
        worth,
        seen,
    )


def _seen(
    settled: _Settled, fleet: Sequence[ProviderSnapshot], choice: Choice, worth: Worth, group: int
) -> str:
    """The figures of a choice. Where all were compared alike they are the same for every such email."""
    rows = settled.rows.get(group)
    if rows is None:
        assert settled.outlook is not None
        standings = settled.outlook.standings
        rows = [row_text(p.name, standings[k], worth, group) for k, p in enumerate(fleet)]
        settled.rows[group] = rows
    key = group, tuple(choice.scores)
    text = settled.texts.get(key)
    if text is None:
        if len(settled.texts) > _MOST_TEXTS:
            settled.texts.clear()
        text = settled.texts[key] = seen_text(choice.scores, rows)
    return text


def _by_cost(
    settled: _Settled,
    eligible: Sequence[ProviderSnapshot],
    exclusions: Sequence[Exclusion],
    submission: Submission,
    history: Sequence[Attempt],
    chance: random.Random,
    now: datetime,
) -> Decision:
    """The choice where nothing has been learned yet: by the rule, or by the list price."""
    rule = settled.rule

    def rank(provider: ProviderSnapshot) -> tuple[float | Decimal, ...]:
        return (provider.base_cost, -provider.reliability, chance.random())

    ranked = tuple(eligible) if rule is not None else tuple(sorted(eligible, key=rank))
    if not ranked:
        return Decision(None, (), exclusions, rule, _first_of_all(exclusions))
    probe = ranked[0].breaker.admission(now) is Admission.PROBE
    reason = "LOWEST_COST"
    if probe:
        reason = "PROBE"
    elif history:
        reason = f"FAILOVER_{len({a.provider_id for a in history})}"
    elif rule is not None:
        reason = "RULE"
    recipients = submission.recipient_count
    chosen = _candidate(ranked[0], recipients, probe=probe)
    return Decision(chosen, ranked, exclusions, rule, reason, recipients)


def _candidate(provider: ProviderSnapshot, recipients: int, *, probe: bool = False) -> Candidate:
    return Candidate(provider.id, provider.name, provider.base_cost * recipients, provider.currency, probe)


def _first_of_all(exclusions: Sequence[Exclusion]) -> str:
    """Why nobody can carry the email: the reason that stands in the way of the most providers."""
    if not exclusions:
        return "NO_PROVIDER"
    reasons = [e.because for e in exclusions]
    order = list(Because)
    return max(set(reasons), key=lambda r: (reasons.count(r), -order.index(r))).value
